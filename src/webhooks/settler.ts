import { type Backoff, backoffDelay } from '../kernel/backoff.ts'
import type { Clock } from '../kernel/clock.ts'
import { messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/logger.ts'
import type { DeliveryRepository, DeliveryResult } from '../storage/index.ts'

const STORAGE_BACKOFF: Backoff = { baseMs: 100, capMs: 5_000, jitter: 'equal' }
const MAX_BATCH = 1_000

interface Settlement {
  readonly result: DeliveryResult
  readonly settled: () => void
}

interface Dependencies {
  readonly deliveries: Pick<DeliveryRepository, 'settle'>
  readonly clock: Clock
  readonly logger: Logger
}

/**
 * Writes results, all that gathered while the last batch was being written in one transaction. While the database is
 * away they wait here; their chats stay busy, so that no more come than are under way.
 */
export class Settler {
  readonly #deliveries: Pick<DeliveryRepository, 'settle'>
  readonly #clock: Clock
  readonly #logger: Logger
  #waiting: Settlement[] = []
  #writing: Promise<void> | undefined

  constructor({ deliveries, clock, logger }: Dependencies) {
    this.#deliveries = deliveries
    this.#clock = clock
    this.#logger = logger
  }

  /** `settled` is called when the result is durable. */
  add(result: DeliveryResult, settled: () => void): void {
    this.#waiting.push({ result, settled })
    this.#writing ??= this.#write()
  }

  /** Resolves when all is written, or `signal` aborts. */
  async idle(signal: AbortSignal): Promise<void> {
    while (this.#writing && !signal.aborted) {
      const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
      await Promise.race([this.#writing, aborted])
    }
  }

  async #write(): Promise<void> {
    // The results of one turn of the event loop go together.
    await new Promise((resolve) => setImmediate(resolve))
    let failures = 0
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, MAX_BATCH)
      try {
        await this.#deliveries.settle(
          batch.map(({ result }) => result),
          this.#clock.now(),
        )
        failures = 0
      } catch (error) {
        failures += 1
        this.#waiting.unshift(...batch)
        this.#logger.error(
          { error: messageOf(error), waiting: this.#waiting.length },
          'cannot record webhook deliveries; trying again',
        )
        await this.#clock.sleep(backoffDelay(STORAGE_BACKOFF, failures))
        continue
      }
      for (const { settled } of batch) settled()
    }
    this.#writing = undefined
  }
}
