import type { Clock } from '../../src/kernel/clock.ts'

interface Timer {
  readonly due: number
  readonly order: number
  readonly fire: () => void
}

/** Time that stands still until a test moves it. */
export class FakeClock implements Clock {
  readonly #timers = new Set<Timer>()
  #now: number
  #order = 0

  constructor(startsAt = Date.UTC(2026, 0, 1)) {
    this.#now = startsAt
  }

  now(): number {
    return this.#now
  }

  /** Timers that have neither fired nor been cancelled. */
  get pending(): number {
    return this.#timers.size
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const cancel = this.after(ms, () => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      })
      const onAbort = () => {
        cancel()
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  after(ms: number, callback: () => void): () => void {
    this.#order += 1
    const timer: Timer = { due: this.#now + Math.max(0, ms), order: this.#order, fire: callback }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /**
   * Moves time by `ms` and fires what falls due, in order, each at its own instant. Between two timers the promises that
   * the first one settled run, so that a loop of sleeps goes round as often as it would.
   */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    await settle()
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#timers.delete(next)
      this.#now = Math.max(this.#now, next.due)
      next.fire()
      await settle()
    }
    this.#now = end
  }

  #next(end: number): Timer | undefined {
    let first: Timer | undefined
    for (const timer of this.#timers) {
      if (timer.due > end) continue
      if (!first || timer.due < first.due || (timer.due === first.due && timer.order < first.order)) first = timer
    }
    return first
  }
}

/** Lets every promise that can settle now settle, chains included. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
