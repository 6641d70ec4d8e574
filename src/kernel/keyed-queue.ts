/**
 * Runs tasks of the same key one after another, in the order they were added, and tasks of different keys side by side.
 * A key that is stuck holds up nobody else; a key without tasks takes no memory.
 */
export class KeyedQueue<K> {
  readonly #tails = new Map<K, Promise<void>>()

  /** Keys that have tasks running or waiting. */
  get size(): number {
    return this.#tails.size
  }

  has(key: K): boolean {
    return this.#tails.has(key)
  }

  /**
   * Settles as the task does; a failed task does not stop those behind it.
   * When `signal` aborts while the task still waits, the task is never called and the reason is thrown at once.
   */
  run<T>(key: K, task: () => Promise<T> | T, signal?: AbortSignal): Promise<T> {
    const before = this.#tails.get(key)
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const giveUp = () => reject(signal?.reason)
    signal?.addEventListener('abort', giveUp, { once: true })
    if (signal?.aborted) giveUp()
    const step = async () => {
      await before
      signal?.removeEventListener('abort', giveUp)
      if (signal?.aborted) return
      try {
        resolve(await task())
      } catch (error) {
        reject(error)
      }
    }
    const tail = step().finally(() => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key)
    })
    this.#tails.set(key, tail)
    return promise
  }

  /** Resolves when everything added so far has ended. */
  async idle(): Promise<void> {
    await Promise.all(this.#tails.values())
  }
}
