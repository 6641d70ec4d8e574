import { newUuid } from '../kernel/ids.ts'
import { kindOfJid } from '../kernel/jid.ts'
import type { ChatTimer } from '../kernel/message-facts.ts'
import { query, queryOne, sql, type Work } from './database.ts'
import type { PartyNames } from './port/messages.ts'

interface ConversationRecord {
  readonly id: number
  readonly conversation_id: string
  readonly disappearing: number | null
  readonly disappearing_at: number | null
}

const SELECT = 'select id, conversation_id, disappearing, disappearing_at from conversations'
const byContact = sql(
  'conversations_by_contact',
  `${SELECT} where device_id = ? and contact_id = ? and alias_of is null`,
)
const byChat = sql('conversations_by_chat', `${SELECT} where device_id = ? and chat = ? and contact_id is null`)
const insert = sql(
  'conversations_insert',
  `insert into conversations (device_id, conversation_id, contact_id, chat, created_at, disappearing, disappearing_at)
   values (?, ?, ?, ?, ?, ?, ?)`,
)
const putTimer = sql(
  'conversations_timer',
  `update conversations set disappearing = ?, disappearing_at = ? where device_id = ? and conversation_id = ?
     and (disappearing_at is null or disappearing_at <= ?)`,
)
const giveTo = sql('conversations_give', 'update conversations set contact_id = ? where id = ?')
const retire = sql('conversations_retire', 'update conversations set alias_of = ?, contact_id = ? where id = ?')
const flatten = sql(
  'conversations_flatten',
  'update conversations set alias_of = ?, contact_id = ? where device_id = ? and alias_of = ?',
)
// A message that both hold (it came under either name) stays once, the readable copy of the two.
const dropUnreadable = sql(
  'conversations_drop_unreadable',
  `delete from messages where device_id = ? and conversation_id = ? and type = 'undecryptable' and exists (
     select 1 from messages other where other.device_id = messages.device_id and other.message_id = messages.message_id
       and other.conversation_id = ? and other.from_me = messages.from_me)`,
)
const dropDoubles = sql(
  'conversations_drop_doubles',
  `delete from messages where device_id = ? and conversation_id = ? and exists (
     select 1 from messages other where other.device_id = messages.device_id and other.message_id = messages.message_id
       and other.conversation_id = ? and other.from_me = messages.from_me)`,
)
const moveMessages = sql(
  'conversations_move',
  'update messages set conversation_id = ? where device_id = ? and conversation_id = ?',
)

/** The person behind a chat when the caller names nobody: a one-to-one chat's JID is a name of theirs. */
export const partyOfChat = (chat: string): PartyNames | undefined => {
  const kind = kindOfJid(chat)
  if (kind === 'pn') return { pn: chat, lid: undefined }
  if (kind === 'lid') return { pn: undefined, lid: chat }
  return undefined
}

export interface Conversation {
  readonly conversationId: string
  readonly isNew: boolean
  /** Undefined = not known. */
  readonly timer: ChatTimer | undefined
}

/** Inside a unit that holds the device's lock: the id of the contact's conversation, or of the chat's; made if new. */
export function* conversationOf(
  deviceId: string,
  chat: string,
  contactId: string | undefined,
  now: number,
): Work<string> {
  return (yield* openConversation(deviceId, chat, contactId, now)).conversationId
}

/** The same, with what a message in it must know. `ofNewChats`: the timer of a one-to-one chat that is made. */
export function* openConversation(
  deviceId: string,
  chat: string,
  contactId: string | undefined,
  now: number,
  ofNewChats?: ChatTimer | undefined,
): Work<Conversation> {
  const found: ConversationRecord | undefined =
    contactId === undefined
      ? yield* queryOne<ConversationRecord>(byChat, deviceId, chat)
      : yield* queryOne<ConversationRecord>(byContact, deviceId, contactId)
  if (found) return { conversationId: found.conversation_id, isNew: false, timer: timerOf(found) }
  const conversationId = newUuid()
  const timer = contactId !== undefined && ofNewChats && ofNewChats.seconds > 0 ? ofNewChats : undefined
  yield* query(insert, deviceId, conversationId, contactId, chat, now, timer?.seconds, timer?.setAt)
  return { conversationId, isNew: true, timer }
}

const timerOf = ({ disappearing, disappearing_at }: ConversationRecord): ChatTimer | undefined =>
  disappearing === null ? undefined : { seconds: Number(disappearing), setAt: Number(disappearing_at ?? 0) }

/** Inside a unit: the timer of a conversation, unless it has a newer one. */
export function* setTimer(deviceId: string, conversationId: string, { seconds, setAt }: ChatTimer): Work<void> {
  yield* query(putTimer, seconds, setAt, deviceId, conversationId, setAt)
}

/**
 * Inside a unit: after two contacts turned out to be one, so do their conversations. The older id stays and gets the
 * messages; answers the id that became an alias, if there were two.
 */
export function* mergeConversations(
  deviceId: string,
  keepContactId: string,
  mergedContactId: string,
): Work<string | undefined> {
  const kept = yield* queryOne<ConversationRecord>(byContact, deviceId, keepContactId)
  const merged = yield* queryOne<ConversationRecord>(byContact, deviceId, mergedContactId)
  if (!merged) return undefined
  if (!kept) {
    yield* query(giveTo, keepContactId, merged.id)
    return undefined
  }
  const [older, younger] = kept.id < merged.id ? [kept, merged] : [merged, kept]
  const [stays, goes] = [older.conversation_id, younger.conversation_id]
  const timer = timerOf(younger)
  if (timer) yield* setTimer(deviceId, stays, timer)
  yield* query(retire, stays, keepContactId, younger.id)
  yield* query(flatten, stays, keepContactId, deviceId, goes)
  yield* query(giveTo, keepContactId, older.id)
  yield* query(dropUnreadable, deviceId, stays, goes)
  yield* query(dropDoubles, deviceId, goes, stays)
  yield* query(moveMessages, stays, deviceId, goes)
  return goes
}
