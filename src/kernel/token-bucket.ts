import type { Clock } from './clock.ts'

export interface TokenBucketOptions {
  /** Most tokens it holds; it starts full. */
  readonly capacity: number
  /** Time in which one token comes back. */
  readonly refillMs: number
  readonly clock: Pick<Clock, 'now'>
}

/** A classic token bucket: bursts up to `capacity`, in the long run one token per `refillMs`. */
export class TokenBucket {
  readonly #capacity: number
  readonly #refillMs: number
  readonly #clock: Pick<Clock, 'now'>
  #tokens: number
  #at: number

  constructor({ capacity, refillMs, clock }: TokenBucketOptions) {
    if (!(capacity >= 1) || !(refillMs > 0)) throw new RangeError('a token bucket needs capacity >= 1 and refillMs > 0')
    this.#capacity = capacity
    this.#refillMs = refillMs
    this.#clock = clock
    this.#tokens = capacity
    this.#at = clock.now()
  }

  /** Takes `count` tokens and answers 0; or takes none and answers the milliseconds until they are there. */
  take(count = 1): number {
    if (count > this.#capacity) throw new RangeError(`${count} tokens never fit into a bucket of ${this.#capacity}`)
    this.#refill()
    if (this.#tokens < count) return Math.ceil((count - this.#tokens) * this.#refillMs)
    this.#tokens -= count
    return 0
  }

  /** Puts back what was taken for something that did not happen after all. */
  giveBack(count = 1): void {
    this.#tokens = Math.min(this.#capacity, this.#tokens + count)
  }

  /** True when nothing is missing: such a bucket says no more than a new one, so a map of buckets may drop it. */
  get isFull(): boolean {
    this.#refill()
    return this.#tokens >= this.#capacity
  }

  #refill(): void {
    // A clock set back must not take tokens away.
    const elapsed = Math.max(0, this.#clock.now() - this.#at)
    this.#at = this.#clock.now()
    this.#tokens = Math.min(this.#capacity, this.#tokens + elapsed / this.#refillMs)
  }
}
