/** Runs tasks of one key one after the other; tasks of different keys do not wait for each other. */
export class KeyedLock {
  readonly #tails = new Map<string, Promise<unknown>>()

  async run<Result>(key: string, task: () => Promise<Result>): Promise<Result> {
    const previous = this.#tails.get(key)
    const running = previous === undefined ? task() : previous.then(task, task)
    this.#tails.set(key, running)
    try {
      return await running
    } finally {
      if (this.#tails.get(key) === running) this.#tails.delete(key)
    }
  }
}
