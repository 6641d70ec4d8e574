import type { Clock } from '../kernel/clock.ts'
import type { Bulk } from './bulk.ts'
import { applyChatChange, dropMessages } from './chat-changes.ts'
import { ChatStore } from './chats.ts'
import { resolveParties } from './contacts.ts'
import { conversationOf, partyOfChat, setTimer } from './conversations.ts'
import { type Database, queryOne, sql } from './database.ts'
import { lockDevice } from './device-lock.ts'
import { appendEvents, deviceGone } from './events.ts'
import { findPerson } from './identities.ts'
import { storeMessage } from './messages.ts'
import type { EventRow } from './port/events.ts'
import type { IntakeRecord, IntakeRepository } from './port/messages.ts'
import { pruneInSlices } from './prune.ts'
import { applyReceipts } from './receipts.ts'

const claim = sql(
  'intake_claim',
  'insert into intake_keys (device_id, key, created_at) values (?, ?, ?) on conflict (device_id, key) do nothing returning 1 as claimed',
)
const prune = sql(
  'intake_prune',
  'delete from intake_keys where (device_id, key) in (select device_id, key from intake_keys where created_at < ? order by created_at limit ?) returning 1 as gone',
)

/** Rule 1 of durability: whatever a stanza changes is one transaction, done once. */
export class IntakeStore implements IntakeRepository {
  readonly #database: Database
  readonly #bulk: Bulk
  readonly #clock: Clock

  constructor(parts: { readonly database: Database; readonly bulk: Bulk; readonly clock: Clock }) {
    this.#database = parts.database
    this.#bulk = parts.bulk
    this.#clock = parts.clock
  }

  async commit(deviceId: string, record: IntakeRecord): Promise<readonly EventRow[]> {
    const [bulk, now] = [this.#bulk, this.#clock.now()]
    await this.#emptyChat(deviceId, record)
    return this.#database.write(function* () {
      if ((yield* lockDevice(deviceId)) === undefined) throw deviceGone()
      if (!(yield* queryOne(claim, deviceId, record.key, now))) return []
      const { chatParty, senderParty } = yield* resolveParties(
        deviceId,
        record.chatParty ?? partyOfChat(record.chat),
        record.senderParty,
        now,
      )
      const conversationId = yield* conversationOf(deviceId, record.chat, chatParty?.contactId, now)
      const isNew =
        record.message !== undefined &&
        (yield* storeMessage(deviceId, conversationId, senderParty?.contactId, record.message, now))
      const { changed, moved } = yield* applyReceipts(deviceId, conversationId, record.receipts ?? [], senderParty)
      if (record.chatChange)
        yield* applyChatChange(deviceId, conversationId, record.chatChange.change, record.chatChange.at)
      if (record.timer) yield* setTimer(deviceId, conversationId, record.timer)
      const namedParty = record.named === undefined ? undefined : yield* findPerson(deviceId, record.named)
      const events = record.events({ conversationId, chatParty, senderParty, namedParty, changed, moved, isNew })
      return yield* appendEvents(bulk, deviceId, events, now)
    }, deviceId)
  }

  /** A long chat goes in slices of their own, before the change itself: one that was cut short is done again. */
  async #emptyChat(deviceId: string, { chatChange, chat }: IntakeRecord): Promise<void> {
    if (chatChange?.change.kind !== 'delete' && chatChange?.change.kind !== 'clear') return
    const known = await new ChatStore({ database: this.#database, clock: this.#clock }).find(deviceId, chat)
    if (known) await dropMessages(this.#database, deviceId, known.conversationId, chatChange.at)
  }

  prune(before: number): Promise<number> {
    return pruneInSlices(this.#database, prune, before)
  }
}
