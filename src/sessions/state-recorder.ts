import type { Account, EngineSignal } from '../engine/index.ts'
import { type Backoff, backoffDelay } from '../kernel/backoff.ts'
import type { Clock } from '../kernel/clock.ts'
import { isParleyError, messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/logger.ts'
import type { DeviceChange } from '../storage/index.ts'

/** What is told about a connection with each signal. */
export interface SignalFacts {
  readonly account: Account | undefined
  /** True when this connection had been open before the signal. */
  readonly wasOpen: boolean
  /** 0 = the first connection, 1.. = the attempt to come back. */
  readonly attempt: number
  readonly now: number
}

export interface RecorderDeps {
  readonly deviceId: string
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  /** Writes the event of a signal. */
  readonly announce: (deviceId: string, signal: EngineSignal, facts: SignalFacts) => Promise<void>
  readonly saveDevice: (deviceId: string, change: DeviceChange) => Promise<void>
}

type Content =
  | { readonly what: 'event'; readonly signal: EngineSignal; readonly facts: SignalFacts }
  | { readonly what: 'device'; readonly change: DeviceChange }

interface Entry {
  readonly content: Content
  /** Settles when it is written, refused, or left out. */
  readonly left: PromiseWithResolvers<void>
}

/** Events of one device that wait for the database to come back; a connection that comes and goes makes four a minute. */
export const MOST_KEPT = 200

const RETRY: Backoff = { baseMs: 500, capMs: 5_000, jitter: 'equal' }

/**
 * Writes down what happens to a device's connection, events and row, strictly in the order it happened.
 *
 * While the database is away it waits here: events in order, up to a bound, and of the row the latest state. What the
 * database refuses for what is in it is logged and left out.
 */
export class StateRecorder {
  readonly #deps: RecorderDeps
  readonly #entries: Entry[] = []
  #writing: Entry | undefined
  #wake: () => void = () => undefined
  #ending = false
  #dropped = 0

  constructor(deps: RecorderDeps) {
    this.#deps = deps
  }

  tell(signal: EngineSignal, facts: SignalFacts): void {
    this.#add({ what: 'event', signal, facts })
    this.#trim()
  }

  save(change: DeviceChange): void {
    const earlier = this.#entries.find((entry) => entry.content.what === 'device' && entry !== this.#writing)
    if (earlier?.content.what !== 'device') return void this.#add({ what: 'device', change })
    this.#entries.splice(this.#entries.indexOf(earlier), 1)
    const { left } = this.#add({ what: 'device', change: { ...earlier.content.change, ...change } })
    void left.promise.then(earlier.left.resolve)
  }

  /** Resolves when everything so far is written, or refused. While the database is away it does not. */
  async settled(): Promise<void> {
    await this.#entries.at(-1)?.left.promise
  }

  /** Nobody waits for the database any more: resolves when each entry that is left was tried once. */
  async end(): Promise<void> {
    this.#ending = true
    this.#wake()
    await this.settled()
  }

  #add(content: Content): Entry {
    const entry = { content, left: Promise.withResolvers<void>() }
    this.#entries.push(entry)
    if (!this.#writing) void this.#writeAll()
    return entry
  }

  /** Never throws. */
  async #writeAll(): Promise<void> {
    let failures = 0
    for (let entry = this.#entries[0]; entry; entry = this.#entries[0]) {
      this.#writing = entry
      try {
        await this.#write(entry.content)
        failures = 0
        this.#leave(entry)
      } catch (error) {
        if (isParleyError(error, 'storage_unavailable') && !this.#ending) await this.#waitAfter(++failures)
        else {
          this.#notRecorded(entry.content, error)
          this.#leave(entry)
        }
      }
    }
    this.#writing = undefined
    if (this.#dropped === 0) return
    const { deviceId, logger } = this.#deps
    logger.error(
      { device_id: deviceId, events: this.#dropped },
      'the database was away for too long: events were left out',
    )
    this.#dropped = 0
  }

  async #write(content: Content): Promise<void> {
    const { deviceId, announce, saveDevice } = this.#deps
    if (content.what === 'event') await announce(deviceId, content.signal, content.facts)
    else await saveDevice(deviceId, content.change)
  }

  #leave(entry: Entry): void {
    this.#entries.splice(this.#entries.indexOf(entry), 1)
    entry.left.resolve()
  }

  #notRecorded(content: Content, error: unknown): void {
    const { deviceId, logger } = this.#deps
    const what = content.what === 'event' ? content.signal.type : content.what
    logger.error({ device_id: deviceId, what, reason: messageOf(error) }, 'a change of state was not recorded')
  }

  #waitAfter(failures: number): Promise<void> {
    const { clock, random } = this.#deps
    return new Promise((resolve) => {
      const cancel = clock.after(backoffDelay(RETRY, failures, random), resolve)
      this.#wake = () => {
        cancel()
        resolve()
      }
    })
  }

  /** Whoever types or is online matters for a moment only, so that goes first; then the oldest. */
  #trim(): void {
    const events = this.#entries.filter(({ content }) => content.what === 'event')
    if (events.length <= MOST_KEPT) return
    const free = events.filter((entry) => entry !== this.#writing)
    const victim = free.find(isFleeting) ?? free[0]
    if (!victim) return
    this.#leave(victim)
    this.#dropped++
  }
}

const isFleeting = ({ content }: Entry): boolean =>
  content.what === 'event' && (content.signal.type === 'presence' || content.signal.type === 'chat_presence')
