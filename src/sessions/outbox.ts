import type { EngineSession, EngineSignal, SendOutcome } from '../engine/index.ts'
import type { Clock } from '../kernel/clock.ts'
import { isParleyError, messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/logger.ts'
import type { KnownParty, MessageRepository, MessageRow, NewEvent } from '../storage/index.ts'
import { wordsOfFailure } from './refusals.ts'

/** The device behind an outbox, as far as it matters here. */
export interface OutboxDevice {
  readonly deviceId: string
  readonly connection: EngineSession | undefined
  /** Undefined when the device is linked to no account (any more). */
  readonly account: object | undefined
  /** @throws not_connected */
  waitUntilOpen(timeoutMs: number): Promise<void>
}

/** What became of a message. */
export type Fate =
  | { readonly state: 'server_ack'; readonly timestamp: number }
  | { readonly state: 'failed'; readonly whatsappCode: number | undefined; readonly error: Error | undefined }

/** How long the server's word on one attempt is waited for. */
const ACK_TIMEOUT_MS = 10_000
/** Between attempts on a connection that stands. */
const PAUSE_MS = 5_000
const LONGEST_PAUSE_MS = 60_000
/** How long one wait for the device's return lasts before its state is looked at again. */
const RETURN_WAIT_MS = 60_000
/** A message that the server said nothing to for this long has failed. */
export const GIVE_UP_AFTER_MS = 24 * 3600_000
/** Messages taken up at a time when a device comes back after a start. */
const RECOVERY_BATCH = 1_000

interface Entry {
  readonly row: MessageRow
  readonly fate: PromiseWithResolvers<Fate>
  /** Of an earlier run: a copy may have left right before the crash. */
  readonly mayHaveLeft: boolean
  attempts: number
  /** The server's word, once it is there; storing it may take several tries. */
  word: Fate | undefined
  settled: boolean
  /** Ends the pause before the next attempt: the server's word came late. */
  wake: () => void
}

/** A message that has moved. */
export type MovedRow = MessageRow & { readonly state: 'server_ack' | 'failed' }

interface Lane {
  /** The newest one: a device that was suspended comes back as another. */
  device: OutboxDevice
  readonly entries: Entry[]
}

/**
 * What was accepted and has no word from the server yet: rule 2 of durability. Each chat has a line; only its head is on
 * its way, and the next one waits for the word on it. An attempt that ends without a word is repeated under the same id,
 * on the same connection after a pause, or on the next one. Rows of an earlier run join when their device is back.
 *
 *   accepted --ack--> server_ack          accepted --refused, or no word for a day--> failed
 */
export class Outbox {
  readonly #messages: MessageRepository
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #eventsOf: (message: MovedRow, chatParty: KnownParty | undefined) => readonly NewEvent[]
  readonly #onEvents: (deviceId: string, committed: readonly NewEvent[]) => void
  readonly #lanes = new Map<string, Lane>()
  /** By device and message id: what is in a line. */
  readonly #entries = new Map<string, Entry>()
  /** By device: settles when what an earlier run left stands in its lines. */
  readonly #recoveries = new Map<string, Promise<void>>()

  constructor(deps: {
    readonly messages: MessageRepository
    readonly clock: Clock
    readonly logger: Logger
    /** The `message.status` event of a message that moves; called inside the transaction. */
    readonly eventsOf: (message: MovedRow, chatParty: KnownParty | undefined) => readonly NewEvent[]
    readonly onEvents: (deviceId: string, committed: readonly NewEvent[]) => void
  }) {
    this.#messages = deps.messages
    this.#clock = deps.clock
    this.#logger = deps.logger
    this.#eventsOf = deps.eventsOf
    this.#onEvents = deps.onEvents
  }

  /** Messages that wait for the server's word. */
  get size(): number {
    return this.#entries.size
  }

  /** Puts a committed message at the end of its chat's line; resolves when its fate is known and stored. */
  submit(device: OutboxDevice, row: MessageRow): Promise<Fate> {
    const recovery = this.#recoveries.get(device.deviceId)
    // what an earlier run left in this chat was accepted before; a recovery that failed is made again
    if (recovery)
      return recovery.then(
        () => this.#enqueue(device, row, false),
        () => this.#enqueue(device, row, false),
      )
    return this.#enqueue(device, row, false)
  }

  #enqueue(device: OutboxDevice, row: MessageRow, mayHaveLeft: boolean): Promise<Fate> {
    const key = keyOf(row)
    const known = this.#entries.get(key)
    if (known) return known.fate.promise
    const entry: Entry = {
      row,
      fate: Promise.withResolvers(),
      mayHaveLeft,
      attempts: 0,
      word: undefined,
      settled: false,
      wake: () => undefined,
    }
    // a caller that has stopped waiting is no reason to end the process
    entry.fate.promise.catch(() => undefined)
    this.#entries.set(key, entry)
    const laneKey = `${row.deviceId}|${row.conversationId}`
    const lane = this.#lanes.get(laneKey)
    if (lane) {
      lane.device = device
      lane.entries.push(entry)
    } else {
      const fresh = { device, entries: [entry] }
      this.#lanes.set(laneKey, fresh)
      void this.#work(laneKey, fresh)
    }
    return entry.fate.promise
  }

  /** Takes up what an earlier run left, once per device; called when its connection is open. Resolves when all is taken up. */
  async recover(device: OutboxDevice): Promise<void> {
    for (const lane of this.#lanes.values()) {
      if (lane.device.deviceId !== device.deviceId) continue
      lane.device = device
      // the pause is for a connection that stands; a new one is tried at once
      lane.entries[0]?.wake()
    }
    const { deviceId } = device
    if (this.#recoveries.has(deviceId)) return this.#recoveries.get(deviceId)
    const recovery = this.#takeUp(device)
    this.#recoveries.set(deviceId, recovery)
    try {
      await recovery
    } catch (error) {
      this.#recoveries.delete(deviceId)
      throw error
    }
  }

  async #takeUp(device: OutboxDevice): Promise<void> {
    for (;;) {
      const rows = await this.#messages.pending(device.deviceId, RECOVERY_BATCH)
      const fates = rows.flatMap((row) =>
        row.content && !this.#entries.has(keyOf(row)) ? [this.#enqueue(device, row, true)] : [],
      )
      if (rows.length < RECOVERY_BATCH || fates.length === 0) return
      await Promise.all(fates)
    }
  }

  /** The server's word on an attempt that nobody waits for any more. */
  async onLateAck(deviceId: string, ack: Extract<EngineSignal, { type: 'late_ack' }>): Promise<void> {
    const entry = this.#entries.get(`${deviceId}|${ack.messageId}`)
    if (!entry) return
    await this.#settle(
      entry,
      ack.whatsappCode === undefined
        ? { state: 'server_ack', timestamp: Math.floor(this.#clock.now() / 1000) }
        : { state: 'failed', whatsappCode: ack.whatsappCode, error: undefined },
    )
    entry.wake()
  }

  /**
   * Fails what the server has said nothing to for a day and nobody works on: its device did not come back. Answers how
   * many.
   */
  async failStale(limit = 1_000): Promise<number> {
    const before = Math.floor((this.#clock.now() - GIVE_UP_AFTER_MS) / 1000)
    let failed = 0
    for (const row of await this.#messages.stale(before, limit)) {
      // one in a line ends there
      if (this.#entries.has(keyOf(row))) continue
      if (await this.#store(row, NO_WORD)) failed++
    }
    return failed
  }

  async #work(laneKey: string, lane: Lane): Promise<void> {
    for (let entry = lane.entries[0]; entry !== undefined; entry = lane.entries[0]) {
      try {
        while (!entry.settled) await this.#step(lane.device, entry)
      } catch (error) {
        // storage is away: the row is still `accepted`, and the fate is tried to be stored again after a pause
        this.#logger.error({ message_id: entry.row.messageId, reason: messageOf(error) }, 'the outbox waits')
        await this.#pause(entry, PAUSE_MS)
        continue
      }
      lane.entries.shift()
      this.#entries.delete(keyOf(entry.row))
    }
    this.#lanes.delete(laneKey)
  }

  /** One attempt, or one wait for the next. */
  async #step(device: OutboxDevice, entry: Entry): Promise<void> {
    const { row } = entry
    if (entry.word) return this.#settle(entry, entry.word)
    if (!device.account)
      return this.#settle(entry, {
        state: 'failed',
        whatsappCode: undefined,
        error: new Error('the device was logged out'),
      })
    if (this.#clock.now() - row.timestamp * 1000 > GIVE_UP_AFTER_MS) return this.#settle(entry, NO_WORD)
    const { connection } = device
    if (!connection) {
      await device.waitUntilOpen(RETURN_WAIT_MS).catch(() => this.#pause(entry, PAUSE_MS))
      return
    }
    const fate = await this.#attempt(connection, entry)
    if (fate) return this.#settle(entry, fate)
    await this.#pause(entry, Math.min(PAUSE_MS * entry.attempts, LONGEST_PAUSE_MS))
  }

  async #attempt(connection: EngineSession, entry: Entry): Promise<Fate | undefined> {
    const { row } = entry
    const again = entry.attempts++ > 0 || entry.mayHaveLeft
    try {
      return fateOf(
        await connection.send({
          messageId: row.messageId,
          chat: row.chat,
          content: row.content!,
          again,
          ackTimeoutMs: ACK_TIMEOUT_MS,
        }),
      )
    } catch (error) {
      if (isParleyError(error, 'not_connected') || isParleyError(error, 'whatsapp_timeout')) return undefined
      if (isParleyError(error, 'storage_unavailable') || isParleyError(error, 'data_damaged')) return undefined
      this.#logger.warn({ message_id: row.messageId, reason: messageOf(error) }, 'a message cannot be sent')
      const code = isParleyError(error) ? Number(error.data?.whatsapp_code) : Number.NaN
      return {
        state: 'failed',
        whatsappCode: Number.isNaN(code) ? undefined : code,
        error: error instanceof Error ? error : new Error(messageOf(error)),
      }
    }
  }

  async #settle(entry: Entry, fate: Fate): Promise<void> {
    if (entry.settled) return
    entry.word = fate
    await this.#store(entry.row, fate)
    entry.settled = true
    entry.fate.resolve(fate)
  }

  /** True when the message moved, which is told in the same transaction. @throws storage_unavailable */
  async #store(row: MessageRow, fate: Fate): Promise<boolean> {
    const { state } = fate
    const failureCode = fate.state === 'failed' ? fate.whatsappCode : undefined
    const failureReason = fate.state === 'failed' ? wordsOfFailure(failureCode, fate.error?.message) : undefined
    let events: readonly NewEvent[] = []
    const moved = await this.#messages.advance(row.deviceId, row.chat, row.messageId, state, failureCode, {
      reason: failureReason,
      events: (chatParty) => {
        events = this.#eventsOf({ ...row, state, failureCode, failureReason }, chatParty)
        return events
      },
    })
    if (moved) this.#onEvents(row.deviceId, events)
    return moved
  }

  #pause(entry: Entry, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(ms, resolve)
      entry.wake = () => {
        cancel()
        resolve()
      }
    })
  }
}

const NO_WORD: Fate = { state: 'failed', whatsappCode: undefined, error: new Error('no word from the server') }

const keyOf = ({ deviceId, messageId }: Pick<MessageRow, 'deviceId' | 'messageId'>): string =>
  `${deviceId}|${messageId}`

const fateOf = (outcome: SendOutcome): Fate | undefined => {
  if (outcome.outcome === 'server_ack') return { state: 'server_ack', timestamp: outcome.timestamp }
  if (outcome.outcome === 'refused') return { state: 'failed', whatsappCode: outcome.whatsappCode, error: undefined }
  return undefined
}
