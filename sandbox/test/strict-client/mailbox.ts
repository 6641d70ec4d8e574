/** Entries in order, which readers take out or wait for. */
export class Mailbox<Entry> {
  readonly #entries: Entry[] = []
  readonly #waiting = new Set<() => void>()
  readonly #describe: (entry: Entry) => string
  #end: Error | undefined

  constructor(describe: (entry: Entry) => string) {
    this.#describe = describe
  }

  get entries(): readonly Entry[] {
    return this.#entries
  }

  add(entry: Entry): void {
    this.#entries.push(entry)
    this.#wake()
  }

  /** Nothing will be added any more: whoever waits in vain is told why. */
  end(why: Error): void {
    this.#end ??= why
    this.#wake()
  }

  /** Takes out the first entry that fits; waits for it up to five seconds. */
  take(fits: (entry: Entry) => boolean = () => true): Promise<Entry> {
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        clearTimeout(timer)
        this.#waiting.delete(look)
        settle()
      }
      const look = () => {
        const position = this.#entries.findIndex(fits)
        if (position >= 0) finish(() => resolve(this.#entries.splice(position, 1)[0]!))
        else if (this.#end !== undefined) finish(() => reject(this.#end))
      }
      const seen = () => this.#entries.map(this.#describe).join(', ') || 'nothing'
      const timer = setTimeout(() => finish(() => reject(new Error(`waited in vain; there is ${seen()}`))), 5_000)
      this.#waiting.add(look)
      look()
    })
  }

  #wake(): void {
    for (const look of Array.from(this.#waiting)) look()
  }
}
