import type { KeyWrite } from '../../storage/index.ts'

interface Line {
  /** By type and id: what the newest operation left. */
  readonly records: Map<string, Uint8Array | undefined>
  readonly commits: Set<Promise<void>>
}

/**
 * Records that encryptions have moved on and whose commits are under way. The next encryption for the same address goes on
 * from here instead of waiting for the disk: our own phone gets a copy of every message, so that otherwise a device could
 * send one message per commit. Each ciphertext still waits for its own commit. One that fails takes nothing with it: its
 * message key was never used, and what was derived from it only skips that key.
 */
export class UnwrittenRecords {
  readonly #lines = new Map<string, Line>()

  /** What the newest operation left of a record; undefined when nothing of it is under way. */
  find(address: string, type: string, id: string): { readonly value: Uint8Array | undefined } | undefined {
    const line = this.#lines.get(address)
    const name = `${type}|${id}`
    return line?.records.has(name) ? { value: line.records.get(name) } : undefined
  }

  add(address: string, writes: readonly KeyWrite[], commit: Promise<void>): void {
    const line = this.#lines.get(address) ?? { records: new Map(), commits: new Set() }
    this.#lines.set(address, line)
    for (const { type, id, value } of writes) line.records.set(`${type}|${id}`, value)
    line.commits.add(commit)
    const end = () => {
      line.commits.delete(commit)
      if (line.commits.size === 0 && this.#lines.get(address) === line) this.#lines.delete(address)
    }
    commit.then(end, end)
  }

  /** Resolves when nothing of an address is under way. */
  async settled(address: string): Promise<void> {
    await Promise.allSettled(this.#lines.get(address)?.commits ?? [])
  }
}
