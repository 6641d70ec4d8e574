/** Tells readers of a device's log that there is more to read. What it is, they read in the log. */
export class EventFeed {
  readonly #tails = new Map<string, Set<Tail>>()

  /** Events of the device are durable. */
  announce(deviceId: string): void {
    for (const tail of this.#tails.get(deviceId) ?? []) tail.stir()
  }

  /** Nothing that is committed after this call goes unnoticed; dispose it when done. */
  watch(deviceId: string): Tail {
    const tails = this.#tails.get(deviceId) ?? new Set()
    const tail = new Tail(() => {
      tails.delete(tail)
      if (tails.size === 0) this.#tails.delete(deviceId)
    })
    tails.add(tail)
    this.#tails.set(deviceId, tails)
    return tail
  }

  /** For tests and metrics. */
  get readers(): number {
    let count = 0
    for (const tails of this.#tails.values()) count += tails.size
    return count
  }
}

/** One reader's end of the feed. However much happens while it does not look, it is one flag. */
export class Tail implements Disposable {
  readonly #leave: () => void
  #stirred = false
  #wake: (() => void) | undefined

  constructor(leave: () => void) {
    this.#leave = leave
  }

  stir(): void {
    this.#stirred = true
    this.#wake?.()
  }

  /** Call before reading. */
  reset(): void {
    this.#stirred = false
  }

  /** Resolves when something came since `reset`, or when `signal` aborts. */
  async more(signal: AbortSignal): Promise<void> {
    if (this.#stirred || signal.aborted) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#wake = resolve
    signal.addEventListener('abort', () => resolve(), { once: true })
    await promise
    this.#wake = undefined
  }

  [Symbol.dispose](): void {
    this.#leave()
  }
}
