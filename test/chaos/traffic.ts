import type { RunningSandbox } from '../../scripts/lib/sandbox.ts'
import { addressOf, type Cast } from './cast.ts'
import type { Dice } from './dice.ts'
import type { Lane, Ledger, Said } from './ledger.ts'
import { sleep } from './sleep.ts'

/** Stanzas that may wait for a device before everybody falls silent. */
const MOST_WAITING = 300
const LOOK_MS = 250
/** Longer than the gateway's own ten seconds of waiting for an ack. */
const REQUEST_LIMIT_MS = 25_000

export interface TrafficParts {
  readonly cast: Cast
  readonly ledger: Ledger
  readonly sandbox: RunningSandbox
  readonly gatewayUrl: string
  readonly dice: Dice
  /** Between two texts of a lane. */
  readonly pauseMs: { readonly least: number; readonly most: number }
}

/** People and programs that talk: each lane says one text after the other. */
export class Traffic {
  readonly #parts: TrafficParts
  readonly #end = new AbortController()
  readonly #running = new Set<Promise<void>>()
  readonly #watching: Promise<void>
  #behind = false

  constructor(parts: TrafficParts) {
    this.#parts = parts
    this.#watching = this.#watch()
  }

  /** Lets a lane talk until the signal or the end of all traffic. */
  start(lane: Lane, signal?: AbortSignal): void {
    const end = signal ? AbortSignal.any([signal, this.#end.signal]) : this.#end.signal
    const running = this.#run(lane, end)
    this.#running.add(running)
    void running.finally(() => this.#running.delete(running))
  }

  /** Nobody begins another text; resolves when the last has its answer. */
  async stop(): Promise<void> {
    this.#end.abort()
    await Promise.all([...this.#running, this.#watching])
  }

  /** Only what flows meets with the kills: while too much waits for the devices, nobody adds to it. */
  async #watch(): Promise<void> {
    const { sandbox } = this.#parts
    while (!this.#end.signal.aborted) {
      const { devices } = await sandbox.call<{ devices: { queue_length: number }[] }>('GET', '/sandbox/devices')
      this.#behind = devices.some(({ queue_length }) => queue_length > MOST_WAITING)
      await sleep(LOOK_MS, this.#end.signal)
    }
  }

  async #run(lane: Lane, signal: AbortSignal): Promise<void> {
    const { cast, dice, pauseMs } = this.#parts
    const address = addressOf(cast, lane)
    await sleep(dice.between(0, pauseMs.most), signal)
    while (!signal.aborted) {
      if (this.#behind) {
        await sleep(LOOK_MS, signal)
        continue
      }
      const say = lane.by === 'api' ? callGateway : writeOnPhone
      const left = await say(this.#parts, lane, address)
      await sleep(left ? dice.between(pauseMs.least, pauseMs.most) : 100, signal)
    }
  }
}

/** One POST; false when the gateway was not there to take it. */
const callGateway = async (
  { cast, ledger, gatewayUrl }: TrafficParts,
  lane: Lane,
  address: string,
): Promise<boolean> => {
  const said = ledger.say(lane)
  const { token } = cast.devices.find(({ name }) => name === lane.sender)!.api
  try {
    const response = await fetch(`${gatewayUrl}/chats/${address}/messages`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ text: said.text }),
      signal: AbortSignal.timeout(REQUEST_LIMIT_MS),
    })
    const { data } = (await response.json()) as { data?: { message_id?: string } }
    said.fate = response.ok ? 'accepted' : 'refused'
    said.messageId = data?.message_id
    said.code = response.ok ? undefined : response.status
    // not connected, or its storage is away: a caller would wait a little
    return response.ok
  } catch (error) {
    if (codeOf(error) === 'ECONNREFUSED') {
      ledger.takeBack(said)
      return false
    }
    said.fate = 'unknown'
    return true
  }
}

const writeOnPhone = async ({ cast, ledger, sandbox }: TrafficParts, lane: Lane, to: string): Promise<boolean> => {
  const said: Said = ledger.say(lane)
  const { phone } = cast.people.get(lane.sender)!
  try {
    const sent = await sandbox.call<{ message_id: string }>('POST', `/sandbox/people/${phone}/send`, {
      to,
      text: said.text,
    })
    said.fate = 'accepted'
    said.messageId = sent.message_id
  } catch {
    // a fault of the service: what became of it shows when it arrives
    said.fate = 'unknown'
  }
  return true
}

const codeOf = (error: unknown): string | undefined => {
  const cause =
    error instanceof Error ? (error.cause as { code?: string; errors?: { code?: string }[] } | undefined) : undefined
  return cause?.code ?? cause?.errors?.[0]?.code
}
