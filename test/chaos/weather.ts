import type { RunningSandbox } from '../../scripts/lib/sandbox.ts'
import type { Cast } from './cast.ts'
import type { Dice } from './dice.ts'
import type { ChaosReceiver } from './receiver.ts'
import { sleep } from './sleep.ts'

/** How often each trouble came. */
export type WeatherCounts = Record<
  'dropped' | 'half_open' | 'duplicate' | 'reorder' | 'receiver_failing' | 'receiver_refusing',
  number
>

export interface WeatherParts {
  readonly sandbox: RunningSandbox
  readonly cast: Cast
  readonly receiver: ChaosReceiver
  readonly dice: Dice
}

/** What goes wrong around the gateway while it lives. */
export class Weather {
  readonly counts: WeatherCounts = {
    dropped: 0,
    half_open: 0,
    duplicate: 0,
    reorder: 0,
    receiver_failing: 0,
    receiver_refusing: 0,
  }
  readonly #parts: WeatherParts

  constructor(parts: WeatherParts) {
    this.#parts = parts
  }

  /** Troubles, one after the other, until the signal. `receiverStays`: the receiver is needed as it is. */
  async blow(signal: AbortSignal, receiverStays: boolean): Promise<void> {
    const { dice, receiver } = this.#parts
    while (!signal.aborted) {
      await sleep(dice.between(200, 1_500), signal)
      if (signal.aborted) break
      const kind = dice.pick(Object.keys(this.counts) as (keyof WeatherCounts)[])
      if (receiverStays && kind.startsWith('receiver')) continue
      await this.#strike(kind, signal)
    }
    await receiver.setMood('well')
  }

  async #strike(kind: keyof WeatherCounts, signal: AbortSignal): Promise<void> {
    const { sandbox, cast, receiver, dice } = this.#parts
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
      case 'receiver_failing':
      case 'receiver_refusing':
        await receiver.setMood(kind === 'receiver_failing' ? 'failing' : 'refusing')
        await sleep(dice.between(300, 2_000), signal)
        await receiver.setMood('well')
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
}
