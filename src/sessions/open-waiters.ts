import type { Clock } from '../kernel/clock.ts'
import { ParleyError } from '../kernel/errors.ts'

/** Those who wait for a connection to come about. */
export class OpenWaiters {
  readonly #clock: Clock
  readonly #waiting = new Set<(outcome: string) => void>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** @throws not_connected with the reason, at the latest after `timeoutMs` */
  wait(timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (outcome: string) => {
        cancel()
        this.#waiting.delete(settle)
        if (outcome === OPEN) resolve()
        else reject(new ParleyError('not_connected', `the device is not connected to WhatsApp: ${outcome}`))
      }
      const cancel = this.#clock.after(timeoutMs, () => settle('it did not come back in time'))
      this.#waiting.add(settle)
    })
  }

  open(): void {
    this.#settle(OPEN)
  }

  /** There will be no connection: nobody needs to wait on. */
  refuse(reason: string): void {
    this.#settle(reason)
  }

  #settle(outcome: string): void {
    for (const settle of [...this.#waiting]) settle(outcome)
  }
}

const OPEN = 'open'
