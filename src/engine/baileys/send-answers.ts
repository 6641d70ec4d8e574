import type { BinaryNode } from 'baileys'
import type { Clock } from '../../kernel/clock.ts'

/**
 * Waits for the service's word on messages. Baileys' own `waitForMessage` makes, for each message, an error with a
 * formatted stack that is needed only when the time is up: 0.1 ms.
 */
export class SendAnswers {
  readonly #clock: Clock
  readonly #waiting = new Map<string, (answer: BinaryNode | undefined) => void>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The answer to a message; undefined when there is none in time, or no more to come. Call it before sending. */
  async expect(messageId: string, timeoutMs: number): Promise<BinaryNode | undefined> {
    const { promise, resolve } = Promise.withResolvers<BinaryNode | undefined>()
    this.#waiting.set(messageId, resolve)
    const cancel = this.#clock.after(timeoutMs, () => resolve(undefined))
    try {
      return await promise
    } finally {
      cancel()
      if (this.#waiting.get(messageId) === resolve) this.#waiting.delete(messageId)
    }
  }

  /** False when nobody waits for it. */
  take(answer: BinaryNode): boolean {
    const waiting = this.#waiting.get(answer.attrs.id ?? '')
    waiting?.(answer)
    return waiting !== undefined
  }

  /** Nobody needs to wait for this one any more. */
  forget(messageId: string): void {
    this.#waiting.get(messageId)?.(undefined)
  }

  close(): void {
    for (const resolve of this.#waiting.values()) resolve(undefined)
  }
}
