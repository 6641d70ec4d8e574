/** A numbered list of what happened, oldest first, that readers can wait on. The oldest entries go when it is full. */
export class EventLog<Entry extends { readonly seq: number }> {
  readonly #capacity: number
  #entries: Entry[] = []
  #seq = 0
  readonly #waiters = new Set<() => void>()

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  /** Adds an entry under the next number, from 1. */
  add(make: (seq: number) => Entry): Entry {
    this.#seq += 1
    const entry = make(this.#seq)
    this.#entries.push(entry)
    if (this.#entries.length > this.#capacity * 1.25) this.#entries = this.#entries.slice(-this.#capacity)
    for (const wake of Array.from(this.#waiters)) wake()
    return entry
  }

  list(after = 0): readonly Entry[] {
    return after === 0 ? this.#entries : this.#entries.filter((entry) => entry.seq > after)
  }

  findLast(fits: (entry: Entry) => boolean): Entry | undefined {
    return this.#entries.findLast(fits)
  }

  /** The entries after a number that fit; waits until there is one, or the signal aborts (then there may be none). */
  async wait(after: number, fits: (entry: Entry) => boolean, signal: AbortSignal): Promise<readonly Entry[]> {
    for (;;) {
      const found = this.list(after).filter(fits)
      if (found.length > 0 || signal.aborted) return found
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiters.delete(wake)
          signal.removeEventListener('abort', wake)
          resolve()
        }
        this.#waiters.add(wake)
        signal.addEventListener('abort', wake)
      })
    }
  }
}
