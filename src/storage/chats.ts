import type { Clock } from '../kernel/clock.ts'
import type { ChatTimer } from '../kernel/message-facts.ts'
import { resolveParty } from './contacts.ts'
import { conversationOf, partyOfChat, setTimer } from './conversations.ts'
import { type Database, query, queryOne, sql, sqlPair, type Work } from './database.ts'
import { lockDevice } from './device-lock.ts'
import { deviceGone } from './events.ts'
import { type MessageRecord, SELECT_MESSAGES, toMessageRow } from './message-rows.ts'
import type {
  ChatCursor,
  ChatRepository,
  ChatRow,
  HistoryPage,
  MessageCursor,
  PollVote,
  ShownMessage,
} from './port/chats.ts'
import type { MessageRow } from './port/messages.ts'
import { ftsQuery, queryTermsOf, tsQuery } from './search-terms.ts'

interface ChatRecord {
  readonly id: number
  readonly conversation_id: string
  readonly chat: string
  readonly contact_id: string | null
  readonly pn: string | null
  readonly lid: string | null
  readonly push_name: string | null
  readonly last_at: number | null
  readonly unread: number
  readonly marked_unread: unknown
  readonly archived: unknown
  readonly pinned_at: number | null
  readonly muted_until: number | null
  readonly disappearing: number | null
  readonly last_row: number | null
}

/** `hidden = 0` and `not hidden`: each database's own form of the partial indexes' condition. */
const pair = (name: string, make: (shown: (table: string) => string) => string) =>
  sqlPair(name, { sqlite: make((table) => `${table}.hidden = 0`), postgres: make((table) => `not ${table}.hidden`) })

const selectChats = (shown: (table: string) => string) => `select v.id, v.conversation_id, v.chat, v.contact_id, c.pn,
  c.lid, c.push_name, v.last_at, v.marked_unread, v.archived, v.pinned_at, v.muted_until, v.disappearing,
  (select count(*) from messages u where u.device_id = v.device_id and u.conversation_id = v.conversation_id
     and u.state = 'received' and ${shown('u')}) as unread,
  (select l.id from messages l where l.device_id = v.device_id and l.conversation_id = v.conversation_id
     and ${shown('l')} order by l.timestamp desc, l.id desc limit 1) as last_row
  from conversations v left join contacts c on c.device_id = v.device_id and c.contact_id = v.contact_id`

const findByChat = pair(
  'chats_find',
  (shown) => `${selectChats(shown)} where v.device_id = ? and v.alias_of is null and
    (v.contact_id is null and v.chat = ? or v.contact_id in (
      select contact_id from contacts where device_id = ? and pn = ?
      union all select contact_id from contacts where device_id = ? and lid = ?)) limit 1`,
)
const listing = (name: string, more: string) =>
  pair(
    name,
    (shown) => `${selectChats(shown)} where v.device_id = ? and v.alias_of is null and v.last_at is not null
      and (v.last_at, v.id) < (?, ?) ${more} order by v.last_at desc, v.id desc limit ?`,
  )
const listAll = listing('chats_list', '')
const listArchived = listing('chats_list_archived', 'and v.archived = ?')

const rowsById = sqlPair('chats_rows', {
  sqlite: `${SELECT_MESSAGES} where m.id in (select value from json_each(?))`,
  postgres: `${SELECT_MESSAGES} where m.id in (select value::bigint from json_array_elements_text(?::json))`,
})
const inConversation = (shown: (table: string) => string) =>
  `${SELECT_MESSAGES} where m.device_id = ? and m.conversation_id = ? and ${shown('m')}`
const older = pair(
  'chats_older',
  (shown) => `${inConversation(shown)} and (m.timestamp, m.id) < (?, ?) and (m.timestamp, m.id) > (?, ?)
    order by m.timestamp desc, m.id desc limit ?`,
)
const newer = pair(
  'chats_newer',
  (shown) => `${inConversation(shown)} and (m.timestamp, m.id) < (?, ?) and (m.timestamp, m.id) > (?, ?)
    order by m.timestamp, m.id limit ?`,
)
const placeOf = sql(
  'chats_place',
  `select timestamp, id from messages where device_id = ? and message_id = ? and conversation_id = ? order by id limit 1`,
)
// by order of storing, which the index gives without sorting
const searchOlder = sqlPair('chats_search', {
  sqlite: `${SELECT_MESSAGES} join message_search s on s.rowid = m.id where s.terms match ? and m.device_id = ?
    and s.rowid < ? and s.rowid > ? order by s.rowid desc limit ?`,
  postgres: `${SELECT_MESSAGES} join message_search s on s.message_row = m.id where s.terms @@ ?::tsquery and m.device_id = ?
    and s.message_row < ? and s.message_row > ? order by s.message_row desc limit ?`,
})
const aliasesOf = sql(
  'chats_aliases',
  'select conversation_id from conversations where device_id = ? and alias_of = ? limit 50',
)
const readUnread = pair(
  'chats_unread',
  (shown) => `${inConversation(shown)} and m.state = 'received' order by m.timestamp desc, m.id desc limit ?`,
)
const markRead = sqlPair('chats_mark_read', {
  sqlite: `update messages set state = 'read' where device_id = ? and conversation_id = ? and state = 'received'
    and message_id in (select value from json_each(?))`,
  postgres: `update messages set state = 'read' where device_id = ? and conversation_id = ? and state = 'received'
    and message_id in (select value from json_array_elements_text(?::json))`,
})
const readVotes = sql(
  'chats_votes',
  `select p.voter, p.from_me, p.options, p.voted_at from poll_votes p join messages m on m.id = p.message_row
   where m.device_id = ? and m.conversation_id = ? and m.message_id = ? order by p.voted_at, p.voter_key`,
)
const reactionsOf = sqlPair('chats_reactions', {
  sqlite: `select message_row, reactor, from_me, emoji, reacted_at from message_reactions
    where message_row in (select value from json_each(?)) and emoji <> '' order by reacted_at, reactor_key`,
  postgres: `select message_row, reactor, from_me, emoji, reacted_at from message_reactions
    where message_row in (select value::bigint from json_array_elements_text(?::json)) and emoji <> ''
    order by reacted_at, reactor_key`,
})
const editsOf = sqlPair('chats_edits', {
  sqlite: `select message_row, text, edited_at from message_edits
    where message_row in (select value from json_each(?)) order by edited_at`,
  postgres: `select message_row, text, edited_at from message_edits
    where message_row in (select value::bigint from json_array_elements_text(?::json)) order by edited_at`,
})
const namesOf = sqlPair('chats_names', {
  sqlite: `select contact_id, pn, lid from contacts where device_id = ? and contact_id in (select value from json_each(?))`,
  postgres: `select contact_id, pn, lid from contacts where device_id = ?
    and contact_id in (select value from json_array_elements_text(?::json))`,
})

interface Place {
  readonly timestamp: number
  readonly id: number
}
/** Beyond every row. */
const END: Place = { timestamp: Number.MAX_SAFE_INTEGER, id: Number.MAX_SAFE_INTEGER }
const BEGIN: Place = { timestamp: -1, id: 0 }

/** Conversations and what is in them, for reading; what changes them comes through intake. */
export class ChatStore implements ChatRepository {
  readonly #database: Database
  readonly #clock: Pick<Clock, 'now'>

  constructor(parts: { readonly database: Database; readonly clock: Pick<Clock, 'now'> }) {
    this.#database = parts.database
    this.#clock = parts.clock
  }

  async find(deviceId: string, chat: string): Promise<ChatRow | undefined> {
    const [found] = await this.#database.read<ChatRecord>(findByChat, deviceId, chat, deviceId, chat, deviceId, chat)
    return found && toChat(found, undefined)
  }

  list(
    deviceId: string,
    page: { readonly limit: number; readonly before?: ChatCursor; readonly archived?: boolean },
  ): Promise<readonly ChatRow[]> {
    const { lastAt, id } = page.before ?? { lastAt: END.timestamp, id: END.id }
    return this.#database.readAll(
      (function* () {
        const found =
          page.archived === undefined
            ? yield* query<ChatRecord>(listAll, deviceId, lastAt, id, page.limit)
            : yield* query<ChatRecord>(listArchived, deviceId, lastAt, id, page.archived, page.limit)
        const rows = found.flatMap(({ last_row }) => last_row ?? [])
        const messages = yield* query<MessageRecord>(rowsById, JSON.stringify(rows))
        const shown = yield* withActions(deviceId, messages)
        const byRow = new Map(messages.map((message, i) => [message.id, shown[i]]))
        return found.map((chat) => toChat(chat, chat.last_row === null ? undefined : byRow.get(chat.last_row)))
      })(),
    )
  }

  history(
    deviceId: string,
    conversationId: string,
    { limit, before, after, search }: HistoryPage,
  ): Promise<readonly ShownMessage[] | 'unknown_cursor'> {
    const { kind } = this.#database
    return this.#database.readAll(
      (function* () {
        const upper = before ? yield* placeFor(deviceId, conversationId, before, 'before') : END
        const lower = after ? yield* placeFor(deviceId, conversationId, after, 'after') : BEGIN
        if (!upper || !lower) return 'unknown_cursor' as const
        if (search !== undefined) {
          const terms = queryTermsOf(search)
          if (terms.length === 0) return []
          const aliases = yield* query<{ conversation_id: string }>(aliasesOf, deviceId, conversationId)
          const ids = [conversationId, ...aliases.map(({ conversation_id }) => conversation_id)]
          const asked = kind === 'sqlite' ? ftsQuery(ids, terms) : tsQuery(ids, terms)
          const found = yield* query<MessageRecord>(searchOlder, asked, deviceId, upper.id, lower.id, limit)
          return yield* withActions(deviceId, found)
        }
        const range = [upper.timestamp, upper.id, lower.timestamp, lower.id]
        const statement = after && !before ? newer : older
        const found = yield* query<MessageRecord>(statement, deviceId, conversationId, ...range, limit)
        return yield* withActions(deviceId, statement === newer ? found.toReversed() : found)
      })(),
    )
  }

  async unread(deviceId: string, conversationId: string, limit: number): Promise<readonly MessageRow[]> {
    const found = await this.#database.read<MessageRecord>(readUnread, deviceId, conversationId, limit)
    return found.map(toMessageRow)
  }

  async markRead(deviceId: string, conversationId: string, messageIds: readonly string[]): Promise<void> {
    await this.#database.write(() => query(markRead, deviceId, conversationId, JSON.stringify(messageIds)), deviceId)
  }

  async votes(deviceId: string, conversationId: string, messageId: string): Promise<readonly PollVote[]> {
    const found = await this.#database.read<{ voter: string; from_me: unknown; options: string; voted_at: number }>(
      readVotes,
      deviceId,
      conversationId,
      messageId,
    )
    return found
      .map((vote) => ({
        voter: vote.voter,
        fromMe: Boolean(vote.from_me),
        options: JSON.parse(vote.options) as string[],
        at: vote.voted_at,
      }))
      .filter(({ options }) => options.length > 0)
  }

  async setTimer(deviceId: string, chat: string, timer: ChatTimer): Promise<void> {
    const now = this.#clock.now()
    await this.#database.write(function* () {
      if ((yield* lockDevice(deviceId)) === undefined) throw deviceGone()
      const names = partyOfChat(chat)
      const party = names && (yield* resolveParty(deviceId, names, now))
      const conversationId = yield* conversationOf(deviceId, chat, party?.contactId, now)
      yield* setTimer(deviceId, conversationId, timer)
    }, deviceId)
  }
}

function* placeFor(
  deviceId: string,
  conversationId: string,
  cursor: MessageCursor,
  side: 'before' | 'after',
): Work<Place | undefined> {
  if ('timestamp' in cursor) return { timestamp: cursor.timestamp, id: side === 'before' ? 0 : END.id }
  return yield* queryOne<Place>(placeOf, deviceId, cursor.messageId, conversationId)
}

function* withActions(deviceId: string, records: readonly MessageRecord[]): Work<readonly ShownMessage[]> {
  if (records.length === 0) return []
  const rows = JSON.stringify(records.map(({ id }) => id))
  const contacts = [...new Set(records.flatMap(({ sender_contact_id }) => sender_contact_id ?? []))]
  const reactions = yield* query<{
    message_row: number
    reactor: string
    from_me: unknown
    emoji: string
    reacted_at: number
  }>(reactionsOf, rows)
  const edits = records.some(({ edited_at }) => edited_at !== null)
    ? yield* query<{ message_row: number; text: string | null; edited_at: number }>(editsOf, rows)
    : []
  const names = yield* query<{ contact_id: string; pn: string | null; lid: string | null }>(
    namesOf,
    deviceId,
    JSON.stringify(contacts),
  )
  const reactionsByRow = Map.groupBy(reactions, ({ message_row }) => message_row)
  const editsByRow = Map.groupBy(edits, ({ message_row }) => message_row)
  const byContact = new Map(names.map((name) => [name.contact_id, name]))
  return records.map((record) => ({
    ...toMessageRow(record),
    senderPn: byContact.get(record.sender_contact_id ?? '')?.pn ?? undefined,
    senderLid: byContact.get(record.sender_contact_id ?? '')?.lid ?? undefined,
    reactions: (reactionsByRow.get(record.id) ?? []).map((one) => ({
      reactor: one.reactor,
      fromMe: Boolean(one.from_me),
      emoji: one.emoji,
      at: one.reacted_at,
    })),
    edits: (editsByRow.get(record.id) ?? []).map(({ text, edited_at }) => ({ text: text ?? undefined, at: edited_at })),
  }))
}

const toChat = (record: ChatRecord, lastMessage: ShownMessage | undefined): ChatRow => ({
  conversationId: record.conversation_id,
  chat: record.chat,
  contactId: record.contact_id ?? undefined,
  pn: record.pn ?? undefined,
  lid: record.lid ?? undefined,
  pushName: record.push_name ?? undefined,
  lastAt: record.last_at ?? undefined,
  unreadCount: Number(record.unread),
  markedUnread: Boolean(record.marked_unread),
  archived: Boolean(record.archived),
  pinnedAt: record.pinned_at ?? undefined,
  mutedUntil: record.muted_until ?? undefined,
  disappearing: record.disappearing ?? undefined,
  lastMessage,
  cursor: { lastAt: record.last_at ?? 0, id: record.id },
})
