import { type Backoff, backoffDelay } from '../kernel/backoff.ts'

/** 1 s after the first failure, doubling to 5 min; half of it random, so that many endpoints do not come back at once. */
export const CIRCUIT_BACKOFF: Backoff = { baseMs: 1_000, capMs: 5 * 60_000, jitter: 'equal' }

/**
 * Whether an endpoint is worth trying:
 *
 *   closed --down--> open --time--> half-open --up--> closed
 *                     ^                 |
 *                     +------down-------+      (the wait doubles)
 *
 * Half-open lets one attempt through. Attempts that were under way when the circuit opened have an older generation:
 * their failures do not lengthen the wait, and their successes do not end it.
 */
export class Circuit {
  readonly #random: () => number
  #failures = 0
  #openUntil = 0
  #generation = 0

  constructor(random: () => number) {
    this.#random = random
  }

  /** To be remembered with an attempt that starts now. */
  get generation(): number {
    return this.#generation
  }

  get openUntil(): number {
    return this.#openUntil
  }

  /** Failures in a row that opened it; 0 = closed. */
  get failures(): number {
    return this.#failures
  }

  state(now: number): 'closed' | 'open' | 'half-open' {
    if (this.#failures === 0) return 'closed'
    return now < this.#openUntil ? 'open' : 'half-open'
  }

  /** The endpoint answered. True when that closed the circuit. */
  up(generation: number): boolean {
    if (generation !== this.#generation || this.#failures === 0) return false
    this.#failures = 0
    return true
  }

  reset(): void {
    this.#failures = 0
    this.#openUntil = 0
    this.#generation += 1
  }

  /** The endpoint did not answer, or asked for patience. Answers until when it is left alone. */
  down(generation: number, now: number, retryAfterMs: number): number {
    if (generation === this.#generation) {
      this.#failures += 1
      this.#generation += 1
      this.#openUntil = now + backoffDelay(CIRCUIT_BACKOFF, this.#failures, this.#random)
    }
    this.#openUntil = Math.max(this.#openUntil, now + retryAfterMs)
    return this.#openUntil
  }
}
