import type { RunningSandbox } from '../../scripts/lib/sandbox.ts'
import type { Cast, Person } from './cast.ts'
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

/** Follows what each phone decrypts, into the ledger. Resolves when the signal has aborted. */
export const followPhones = async (
  sandbox: RunningSandbox,
  cast: Cast,
  ledger: Ledger,
  signal: AbortSignal,
): Promise<void> => {
  const follow = async ({ name, phone }: Person) => {
    let after = 0
    while (!signal.aborted) {
      const { messages } = await sandbox.call<{ messages: PhoneMessage[] }>(
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
  await Promise.all([...cast.people.values()].map(follow))
}
