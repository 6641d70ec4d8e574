/** At most `permits` holders at once; those who wait are served in the order they came. */
export class Semaphore {
  readonly #waiting = new Set<() => void>()
  #free: number

  constructor(permits: number) {
    if (!Number.isInteger(permits) || permits < 1) throw new RangeError('a semaphore needs at least one permit')
    this.#free = permits
  }

  /** How many wait in line. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Resolves with the function that gives the permit back (calling it twice is harmless). @throws the signal's reason */
  async acquire(signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted()
    if (this.#free > 0) this.#free -= 1
    else await this.#wait(signal)
    let held = true
    return () => {
      if (!held) return
      held = false
      this.#release()
    }
  }

  /** Runs `task` while holding a permit. @throws the signal's reason when it aborts before the task began */
  async run<T>(task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const release = await this.acquire(signal)
    try {
      return await task()
    } finally {
      release()
    }
  }

  #wait(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const grant = () => {
        signal?.removeEventListener('abort', giveUp)
        resolve()
      }
      const giveUp = () => {
        this.#waiting.delete(grant)
        reject(signal?.reason)
      }
      this.#waiting.add(grant)
      signal?.addEventListener('abort', giveUp, { once: true })
    })
  }

  #release(): void {
    const [next] = this.#waiting
    if (next === undefined) {
      this.#free += 1
      return
    }
    this.#waiting.delete(next)
    next()
  }
}
