import type {
  IdempotencyRepository,
  IdempotencyRow,
  IdempotencyScope,
  NewIdempotency,
} from '../../../src/storage/index.ts'

/** Idempotency keys in memory. They never expire; `kept` says which messages count as accepted. */
export class MemoryIdempotency implements IdempotencyRepository {
  readonly rows = new Map<string, IdempotencyRow>()
  /** Ids of messages that were accepted: their key survives a failure. */
  readonly kept = new Set<string>()
  /** What the next call of that method throws. */
  readonly failures = new Map<keyof IdempotencyRepository, Error>()

  async claim(request: NewIdempotency): Promise<IdempotencyRow | undefined> {
    this.#called('claim')
    const known = this.rows.get(nameOf(request))
    if (known) return known
    const { fingerprint, messageId } = request
    this.rows.set(nameOf(request), { fingerprint, messageId, reply: undefined })
    return undefined
  }

  async finish(scope: IdempotencyScope, reply: string): Promise<void> {
    this.#called('finish')
    const row = this.rows.get(nameOf(scope))
    if (row) this.rows.set(nameOf(scope), { ...row, reply })
  }

  async release(scope: IdempotencyScope): Promise<void> {
    this.#called('release')
    const row = this.rows.get(nameOf(scope))
    if (row && !this.kept.has(row.messageId)) this.rows.delete(nameOf(scope))
  }

  async prune(): Promise<number> {
    const { size } = this.rows
    this.rows.clear()
    return size
  }

  #called(method: keyof IdempotencyRepository): void {
    const failure = this.failures.get(method)
    this.failures.delete(method)
    if (failure) throw failure
  }
}

const nameOf = ({ deviceId, route, key }: IdempotencyScope): string => JSON.stringify([deviceId, route, key])
