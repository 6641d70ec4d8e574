import type { RunningSandbox } from '../../scripts/lib/sandbox.ts'
import type { Cast } from './cast.ts'
import type { Dice } from './dice.ts'
import type { LiveConsumer } from './live-consumer.ts'
import type { ChaosReceiver } from './receiver.ts'
import { RECEIVER_FAULTS, type ReceiverFault } from './receiver-faults.ts'
import { sleep } from './sleep.ts'

/** Around the gateway: on the connections to the service, in what the service delivers, on those of live readers. */
const TROUBLES = ['dropped', 'half_open', 'duplicate', 'reorder', 'reader_cut'] as const
type Trouble = (typeof TROUBLES)[number] | ReceiverFault
const KINDS: readonly Trouble[] = [...TROUBLES, ...RECEIVER_FAULTS]
const isReceivers = (kind: Trouble): kind is ReceiverFault => (RECEIVER_FAULTS as readonly string[]).includes(kind)

/** How often each trouble was made; whether a receiver's fault hit anything, the receiver knows. */
export type WeatherCounts = Record<Trouble, number>

export interface WeatherParts {
  readonly sandbox: RunningSandbox
  readonly cast: Cast
  readonly receiver: ChaosReceiver
  readonly consumers: readonly LiveConsumer[]
  readonly dice: Dice
}

/** What goes wrong around the gateway while it lives. */
export class Weather {
  readonly counts = Object.fromEntries(KINDS.map((kind) => [kind, 0])) as WeatherCounts
  readonly #parts: WeatherParts
  /** Troubles to come: every kind once, in any order, before one comes again. */
  #deck: Trouble[] = []

  constructor(parts: WeatherParts) {
    this.#parts = parts
  }

  /** Troubles, one after the other, until the signal. The receiver is spared while it is needed as it is, or by nobody. */
  async blow(signal: AbortSignal, isReceiverSpared: () => boolean): Promise<void> {
    const { dice, receiver } = this.#parts
    while (!signal.aborted) {
      await sleep(dice.between(150, 900), signal)
      if (!signal.aborted) await this.strike(this.#draw(isReceiverSpared()), signal)
    }
    await receiver.setMood('well')
    receiver.faults.disarm()
  }

  async strike(kind: Trouble, signal?: AbortSignal): Promise<void> {
    const { sandbox, cast, consumers, dice, receiver } = this.#parts
    const device = dice.pick(cast.devices)
    const { phone } = cast.people.get(device.owner)!
    this.counts[kind] += 1
    switch (kind) {
      case 'dropped':
      case 'half_open':
        await this.disconnect(device.jid, kind === 'dropped' ? 'close' : 'half_open')
        return
      case 'duplicate':
      case 'reorder':
        await sandbox.call('POST', '/sandbox/faults', {
          kind,
          phone,
          times: dice.between(1, kind === 'reorder' ? 2 : 6),
        })
        return
      case 'reader_cut':
        dice.pick(consumers).cut()
        return
      case 'failing':
      case 'reopened':
        await receiver.setMood(kind === 'failing' ? 'failing' : 'refusing')
        await sleep(dice.between(300, 2_000), signal)
        await receiver.setMood('well')
        return
      default:
        receiver.faults.arm(kind, dice.between(1, 3))
    }
  }

  /** A device that is not connected just now cannot lose its connection. */
  async disconnect(jid: string, mode: 'close' | 'half_open'): Promise<void> {
    await this.#parts.sandbox
      .call('POST', `/sandbox/devices/${encodeURIComponent(jid)}/disconnect`, { mode })
      .catch((error: unknown) => {
        if (!String(error).includes('not_connected')) throw error
      })
  }

  #draw(isReceiverSpared: boolean): Trouble {
    const fits = (kind: Trouble) => !isReceiverSpared || !isReceivers(kind)
    if (!this.#deck.some(fits)) this.#deck.push(...this.#parts.dice.shuffle(KINDS))
    const at = this.#deck.findIndex(fits)
    return this.#deck.splice(at, 1)[0]!
  }
}
