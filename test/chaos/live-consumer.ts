import { openSocket, StreamReader } from '../support/live-readers.ts'
import type { Device } from './cast.ts'
import type { LoggedEvent } from './log-verdict.ts'
import { sleep } from './sleep.ts'

/** Before it comes back, as a client would that does not want to be a burden. */
const PAUSE_MS = 100
/** Refusals that pass by themselves. */
const PASSING = new Set([429, 503])

export const TRANSPORTS = ['sse', 'websocket'] as const
export type Transport = (typeof TRANSPORTS)[number]

/**
 * A reader of one device's events over a live transport. Whenever its connection ends it comes back and says which event
 * it knows last; nobody but itself remembers that.
 */
export class LiveConsumer {
  readonly name: string
  readonly transport: Transport
  readonly device: Device
  /** All it ever got, as it came. */
  readonly got: LoggedEvent[] = []
  connections = 0
  readonly #port: number
  #refusal: string | undefined
  #cut: (() => void) | undefined

  constructor(parts: { readonly transport: Transport; readonly device: Device; readonly port: number }) {
    this.transport = parts.transport
    this.device = parts.device
    this.name = `the ${parts.transport} reader of ${parts.device.name}`
    this.#port = parts.port
  }

  /** The last event it knows. */
  get cursor(): number {
    return this.got.at(-1)?.sequence ?? 0
  }

  /** Set when its cursor was refused: it cannot go on, which must not happen. */
  get refusal(): string | undefined {
    return this.#refusal
  }

  /** Ends its connection from its own side; false when it has none. */
  cut(): boolean {
    this.#cut?.()
    return this.#cut !== undefined
  }

  /** Reads until the signal. Never throws. */
  async follow(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#cut?.(), { once: true })
    while (!signal.aborted && this.#refusal === undefined) {
      await this.#read(signal)
      await sleep(PAUSE_MS, signal)
    }
  }

  async #read(signal: AbortSignal): Promise<void> {
    try {
      using reader = await this.#open()
      this.connections += 1
      this.#cut = () => reader[Symbol.dispose]()
      if (signal.aborted) return
      await reader.closed
    } catch (error) {
      const { status } = error as { status?: number }
      // without a status: the gateway is dead, or died just now
      if (status !== undefined && !PASSING.has(status))
        this.#refusal = `${this.name} was refused after event ${this.cursor}: ${status} ${(error as Error).message}`
    } finally {
      this.#cut = undefined
    }
  }

  #open(): Promise<Disposable & { readonly closed: Promise<unknown> }> {
    const headers = { authorization: `Bearer ${this.device.api.token}` }
    const options = { base: '', onItem: (event: LoggedEvent) => void this.got.push(event) }
    const { cursor } = this
    if (this.transport === 'websocket') return openSocket(this.#port, `/events/ws?after=${cursor}`, headers, options)
    // as a browser does: the URL stays, the header says where it was
    const known = cursor === 0 ? undefined : { 'last-event-id': String(cursor) }
    return StreamReader.open(this.#port, '/events/stream?after=0', { ...headers, ...known }, options)
  }
}
