import type { RunningSandbox } from '../../scripts/lib/sandbox.ts'
import type { Person } from './cast.ts'
import type { Ledger } from './ledger.ts'
import { sleep } from './sleep.ts'

/** What passed over a companion's connection; see `GET /sandbox/wire`. */
export interface WireEntry {
  readonly seq: number
  readonly device: string
  readonly connection: number
  readonly direction: 'in' | 'out'
  readonly tag: 'message' | 'receipt' | 'ack'
  readonly id: string
  readonly again: boolean
  /** `retry` asks for the message again; it confirms nothing. */
  readonly type: string | null
}

const KEPT_BY_SANDBOX = 20_000
/** Between two looks: what comes meanwhile is one answer. */
const PAUSE_MS = 8

/** Follows the sandbox's log of the wire, and knows which life of the gateway each entry belongs to. */
export class Wire {
  readonly entries: WireEntry[] = []
  /** Where in `entries` each life begins. */
  readonly #lives: number[] = [0]
  readonly #sandbox: RunningSandbox
  readonly #listeners = new Set<(batch: readonly WireEntry[]) => void>()
  #reading: Promise<void> = Promise.resolve()
  #following: Promise<void> = Promise.resolve()

  constructor(sandbox: RunningSandbox) {
    this.#sandbox = sandbox
  }

  async start(signal: AbortSignal): Promise<void> {
    await this.#sandbox.call('POST', '/sandbox/wire', { keep: KEPT_BY_SANDBOX })
    const follow = async () => {
      while (!signal.aborted) {
        await this.#read(1_000)
        await sleep(PAUSE_MS)
      }
    }
    this.#following = follow()
  }
  /** Resolves when it reads no more. */
  get stopped(): Promise<void> {
    return this.#following
  }

  /** Calls with every batch from now on; the result stops that. */
  listen(listener: (batch: readonly WireEntry[]) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** The gateway is dead: waits until the service noticed, so that what comes later belongs to the next life. */
  async endLife(): Promise<void> {
    for (;;) {
      const { devices } = await this.#sandbox.call<{ devices: { connected: boolean }[] }>('GET', '/sandbox/devices')
      if (devices.every(({ connected }) => !connected)) break
      await sleep(5)
    }
    await this.#read(0)
    this.#lives.push(this.entries.length)
  }

  /** The entries of the life that ended last. */
  lastLife(): readonly WireEntry[] {
    return this.entries.slice(this.#lives.at(-2) ?? 0, this.#lives.at(-1))
  }

  #read(waitMs: number): Promise<void> {
    this.#reading = this.#reading.then(async () => {
      const after = this.entries.at(-1)?.seq ?? 0
      const { entries } = await this.#sandbox.call<{ entries: WireEntry[] }>(
        'GET',
        `/sandbox/wire?after=${after}&wait_ms=${waitMs}`,
      )
      if (entries.length === 0) return
      if (entries[0]!.seq !== after + 1) throw new Error('the sandbox has dropped entries of its wire log')
      this.entries.push(...entries)
      for (const listener of [...this.#listeners]) listener(entries)
    })
    return this.#reading
  }
}

interface PhoneMessage {
  readonly seq: number
  readonly message_id: string
  readonly chat: string
  readonly text: string | null
}

/** Follows what phones decrypt, into the ledger. */
export class PhoneFeeds {
  readonly #sandbox: RunningSandbox
  readonly #ledger: Ledger
  readonly #signal: AbortSignal
  readonly #running: Promise<void>[] = []
  readonly #failed = Promise.withResolvers<never>()

  constructor(sandbox: RunningSandbox, ledger: Ledger, signal: AbortSignal) {
    this.#sandbox = sandbox
    this.#ledger = ledger
    this.#signal = signal
    this.#failed.promise.catch(() => undefined)
  }

  /** Rejects when a feed breaks off. */
  get failure(): Promise<never> {
    return this.#failed.promise
  }

  /** Resolves when the signal has aborted and nothing is read any more. */
  async stopped(): Promise<void> {
    await Promise.allSettled(this.#running)
  }

  follow(person: Person): void {
    const running = this.#follow(person)
    running.catch(this.#failed.reject)
    this.#running.push(running)
  }

  async #follow({ name, phone }: Person): Promise<void> {
    const ledger = this.#ledger
    let after = 0
    while (!this.#signal.aborted) {
      const { messages } = await this.#sandbox.call<{ messages: PhoneMessage[] }>(
        'GET',
        `/sandbox/people/${phone}/messages?after=${after}&wait_ms=1000`,
      )
      for (const { seq, message_id, chat, text } of messages) {
        after = seq
        ledger.arrive(ledger.onPhones, name, { text: text ?? '', messageId: message_id, identity: message_id, chat })
      }
      await sleep(50)
    }
  }
}
