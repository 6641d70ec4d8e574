import type { Clock } from '../kernel/clock.ts'
import { ParleyError } from '../kernel/errors.ts'
import type { Bulk } from './bulk.ts'
import { resolveParty } from './contacts.ts'
import { openConversation, partyOfChat } from './conversations.ts'
import { type Database, query, queryOne, sql, type Work } from './database.ts'
import { lockDevice } from './device-lock.ts'
import { appendEvents, deviceGone } from './events.ts'
import { partyOfConversation } from './identities.ts'
import { applyAccepted, applyAction, indexText } from './message-actions.ts'
import { type MessageRecord, SELECT_MESSAGES, toMessageRow } from './message-rows.ts'
import { mayAdvance, type ReceiptTimes } from './message-state.ts'
import type { NewEvent } from './port/events.ts'
import type { KnownParty } from './port/identities.ts'
import type {
  DescribedMessage,
  EventsOfMerger,
  MessageRepository,
  MessageRow,
  MessageState,
  NewMessage,
  PartyNames,
  RecipientReceipts,
  TimedContent,
} from './port/messages.ts'
import { pruneInSlices } from './prune.ts'
import { setState } from './receipts.ts'

const findCopies = sql(
  'messages_copies',
  `${SELECT_MESSAGES} where m.device_id = ? and m.message_id = ? and m.conversation_id = ?`,
)
const findById = sql('messages_by_id', `${SELECT_MESSAGES} where m.id = ?`)
// Chosen from and sorted here: an `order by` makes SQLite open a sorter, which takes 40 times as long as the look-up.
const findNamed = sql(
  'messages_named',
  'select id, chat, conversation_id, from_me, state from messages where device_id = ? and message_id = ?',
)
const findConversation = sql(
  'messages_conversation',
  'select conversation_id from conversations where device_id = ? and contact_id = ? and alias_of is null',
)
const MOST_COPIES = 50
const describeAnywhere = sql(
  'messages_describe',
  `${SELECT_MESSAGES} where m.device_id = ? and m.message_id = ? order by m.from_me desc, m.id limit ${MOST_COPIES}`,
)
const readReceipts = sql(
  'receipts_read',
  `select recipient, delivered_at, read_at, played_at from message_receipts where message_row = ?
   order by recipient_key limit 2000`,
)
const findStale = sql(
  'messages_stale',
  `${SELECT_MESSAGES} where m.state = 'accepted' and m.timestamp < ? order by m.id limit ?`,
)
const findPending = sql(
  'messages_pending',
  `${SELECT_MESSAGES} where m.device_id = ? and m.state = 'accepted' order by m.id limit ?`,
)
const insert = sql(
  'messages_insert',
  `insert into messages (device_id, conversation_id, chat, message_id, sender, sender_contact_id, from_me, type, text,
     quoted_message_id, push_name, timestamp, state, failure_code, content, created_at, target_message_id, hidden,
     mentions, details)
   values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) returning id`,
)
const heal = sql(
  'messages_heal',
  `update messages set type = ?, text = ?, quoted_message_id = ?, push_name = ?, content = ?, target_message_id = ?,
     hidden = ?, mentions = ?, details = ? where id = ?`,
)
const touchConversation = sql(
  'conversations_touch',
  `update conversations set last_at = ?, marked_unread = ? where device_id = ? and conversation_id = ?
     and (last_at is null or last_at <= ?)`,
)
const prune = sql(
  'messages_prune',
  `delete from messages where id in (
     select id from messages where created_at < ? and state <> 'accepted' order by created_at limit ?) returning 1 as gone`,
)
const putContent = sql('messages_content', 'update messages set content = ? where id = ? and revoked_at is null')
const findSender = sql(
  'messages_sender_contact',
  `select contact_id from contacts where device_id = ? and pn = ?
   union all select contact_id from contacts where device_id = ? and lid = ? limit 1`,
)

/** A message, as far as it takes to choose among those of one id. */
interface Located {
  readonly id: number
  readonly chat: string
  readonly conversation_id: string
  readonly from_me: unknown
  readonly state: MessageState
}

/** Inside a unit: the message in the chat under the name given or the person's other name, or in any chat; ours first. */
function* locate(deviceId: string, messageId: string, chat: string | undefined): Work<Located | undefined> {
  const named = yield* query<Located>(findNamed, deviceId, messageId)
  const [first, ...others] = named.toSorted((a, b) => Number(b.from_me) - Number(a.from_me) || a.id - b.id)
  if (!first || chat === undefined || first.chat === chat) return first
  const person = yield* queryOne<{ contact_id: string }>(findSender, deviceId, chat, deviceId, chat)
  const conversation =
    person && (yield* queryOne<{ conversation_id: string }>(findConversation, deviceId, person.contact_id))
  return [first, ...others].find((one) => one.chat === chat || one.conversation_id === conversation?.conversation_id)
}

function* findOne(deviceId: string, messageId: string, chat: string | undefined): Work<MessageRecord | undefined> {
  const located = yield* locate(deviceId, messageId, chat)
  return located && (yield* queryOne<MessageRecord>(findById, located.id))
}

const insertMessage = (
  deviceId: string,
  conversationId: string,
  senderContactId: string | undefined,
  message: NewMessage,
  now: number,
) =>
  queryOne<{ id: number }>(
    insert,
    deviceId,
    conversationId,
    message.chat,
    message.messageId,
    message.sender,
    senderContactId,
    message.fromMe,
    message.type,
    message.text,
    message.quotedMessageId,
    message.pushName,
    message.timestamp,
    message.state,
    message.failureCode,
    message.content,
    now,
    ...extrasOf(message),
  )

const jsonOrNull = (value: unknown): string | null => (value === undefined ? null : JSON.stringify(value))

/** target_message_id, hidden, mentions, details */
const extrasOf = ({ action, mentions, details }: NewMessage) =>
  [
    action?.target.messageId,
    action !== undefined,
    mentions?.length ? JSON.stringify(mentions) : null,
    jsonOrNull(action ? { action } : details),
  ] as const

/**
 * Inside a unit that holds the device's lock: stores a message unless it is there already. A copy that could not be
 * decrypted is healed by a later readable one. Answers true when it was new or healed.
 */
export function* storeMessage(
  deviceId: string,
  conversationId: string,
  senderContactId: string | undefined,
  message: NewMessage,
  now: number,
): Work<boolean> {
  const copies = yield* query<MessageRecord>(findCopies, deviceId, message.messageId, conversationId)
  // The same sender may be named by number in one copy and by LID in the other.
  const copy = copies.find(
    (one) =>
      Boolean(one.from_me) === message.fromMe &&
      (message.fromMe ||
        one.sender === message.sender ||
        (senderContactId !== undefined && one.sender_contact_id === senderContactId)),
  )
  if (!copy) {
    const inserted = yield* insertMessage(deviceId, conversationId, senderContactId, message, now)
    yield* takeEffect(deviceId, conversationId, senderContactId, message, inserted!.id)
    return true
  }
  if (copy.type !== 'undecryptable' || message.type === 'undecryptable') return false
  const { type, text, quotedMessageId, pushName, content } = message
  yield* query(heal, type, text, quotedMessageId, pushName, content, ...extrasOf(message), copy.id)
  yield* takeEffect(deviceId, conversationId, senderContactId, message, copy.id)
  return true
}

/** What a message that is new does beside being there. An action of ours takes effect when WhatsApp has it. */
function* takeEffect(
  deviceId: string,
  conversationId: string,
  contactId: string | undefined,
  { action, state, sender, fromMe, text, timestamp }: NewMessage,
  row: number,
): Work<void> {
  if (!action) {
    yield* indexText(row, conversationId, text)
    yield* query(touchConversation, timestamp, false, deviceId, conversationId, timestamp)
  } else if (state !== 'accepted')
    yield* applyAction(deviceId, conversationId, { jid: sender, contactId, fromMe }, action)
}

/** Outgoing messages and look-ups. */
export class MessageStore implements MessageRepository {
  readonly #database: Database
  readonly #bulk: Bulk
  readonly #clock: Clock

  constructor(parts: { readonly database: Database; readonly bulk: Bulk; readonly clock: Clock }) {
    this.#database = parts.database
    this.#bulk = parts.bulk
    this.#clock = parts.clock
  }

  async accept(
    deviceId: string,
    message: NewMessage,
    chatParty: PartyNames | undefined,
    timed?: TimedContent,
    eventsOfMerger?: EventsOfMerger,
  ): Promise<MessageRow> {
    const [bulk, now] = [this.#bulk, this.#clock.now()]
    const record = await this.#database.write(function* () {
      if ((yield* lockDevice(deviceId)) === undefined) throw deviceGone()
      const names = chatParty ?? partyOfChat(message.chat)
      const party = names && (yield* resolveParty(deviceId, names, now))
      const { conversationId, isNew, timer } = yield* openConversation(
        deviceId,
        message.chat,
        party?.contactId,
        now,
        timed?.ofNewChats,
      )
      const { sender, messageId } = message
      const me = yield* queryOne<{ contact_id: string }>(findSender, deviceId, sender, deviceId, sender)
      const written =
        timed && timer && timer.seconds > 0
          ? { ...message, content: timed.content({ ...timer, byDefault: isNew }) }
          : message
      yield* storeMessage(deviceId, conversationId, me?.contact_id, written, now)
      if (party?.mergedContactId !== undefined && eventsOfMerger)
        yield* appendEvents(
          bulk,
          deviceId,
          eventsOfMerger({ ...party, mergedContactId: party.mergedContactId }, conversationId),
          now,
        )
      const copies = yield* query<MessageRecord>(findCopies, deviceId, messageId, conversationId)
      return copies.find((copy) => copy.from_me)
    }, deviceId)
    if (!record) throw new ParleyError('internal', 'an outgoing message must be from me')
    return toMessageRow(record)
  }

  async setContent(deviceId: string, chat: string, messageId: string, content: Uint8Array): Promise<void> {
    await this.#database.write(function* () {
      const found = yield* locate(deviceId, messageId, chat)
      if (found) yield* query(putContent, content, found.id)
    }, deviceId)
  }

  advance(
    deviceId: string,
    chat: string,
    messageId: string,
    state: MessageState,
    failureCode?: number,
    more?: { readonly reason?: string | undefined; events(chatParty: KnownParty | undefined): readonly NewEvent[] },
  ): Promise<boolean> {
    const [bulk, now] = [this.#bulk, this.#clock.now()]
    return this.#database.write(function* () {
      yield* lockDevice(deviceId)
      const found = yield* locate(deviceId, messageId, chat)
      if (!found || !mayAdvance(found.state, state)) return false
      const [code, reason] = state === 'failed' ? [failureCode, more?.reason] : []
      yield* query(setState, state, code, reason, found.id)
      if (found.state === 'accepted' && state !== 'failed') yield* applyAccepted(deviceId, found.id)
      if (more) {
        const chatParty = yield* partyOfConversation(deviceId, found.conversation_id)
        yield* appendEvents(bulk, deviceId, more.events(chatParty), now)
      }
      return true
    }, deviceId)
  }

  async find(deviceId: string, messageId: string, chat?: string): Promise<MessageRow | undefined> {
    const record = await this.#database.readAll(findOne(deviceId, messageId, chat))
    return record && toMessageRow(record)
  }

  async describe(
    deviceId: string,
    messageId: string,
    chat?: string,
  ): Promise<DescribedMessage | 'ambiguous' | undefined> {
    return this.#database.readAll(
      (function* () {
        const found =
          chat === undefined
            ? yield* query<MessageRecord>(describeAnywhere, deviceId, messageId)
            : [yield* findOne(deviceId, messageId, chat)]
        const [first] = found
        if (!first) return undefined
        if (found.some((one) => one?.conversation_id !== first.conversation_id)) return 'ambiguous'
        const receipts = yield* query<ReceiptTimes & { readonly recipient: string }>(readReceipts, first.id)
        return { message: toMessageRow(first), receipts: receipts.map(toReceipts) }
      })(),
    )
  }

  async pending(deviceId: string, limit: number): Promise<readonly MessageRow[]> {
    const records = await this.#database.read<MessageRecord>(findPending, deviceId, limit)
    return records.map(toMessageRow)
  }

  prune(before: number): Promise<number> {
    return pruneInSlices(this.#database, prune, before)
  }

  async stale(before: number, limit: number): Promise<readonly MessageRow[]> {
    return (await this.#database.read<MessageRecord>(findStale, before, limit)).map(toMessageRow)
  }
}

const toReceipts = (times: ReceiptTimes & { readonly recipient: string }): RecipientReceipts => ({
  recipient: times.recipient,
  deliveredAt: times.delivered_at ?? undefined,
  readAt: times.read_at ?? undefined,
  playedAt: times.played_at ?? undefined,
})
