import type { KeyCommit, SignalKeyRepository } from '../../src/storage/index.ts'

/** SignalKeyRepository in memory, for units; counts commits and can be told to fail. */
export class MemorySignalKeys implements SignalKeyRepository {
  readonly rows = new Map<string, Uint8Array>()
  readonly #journal = new Map<string, Uint8Array>()
  readonly #credentials = new Map<string, Uint8Array>()
  commits = 0
  failure: Error | undefined

  async credentials(deviceId: string): Promise<Uint8Array | undefined> {
    return this.#credentials.get(deviceId)
  }

  async get(deviceId: string, type: string, ids: readonly string[]): Promise<Map<string, Uint8Array>> {
    const found = new Map<string, Uint8Array>()
    for (const id of ids) {
      const value = this.rows.get(`${deviceId}|${type}|${id}`)
      if (value) found.set(id, value)
    }
    return found
  }

  async commit(deviceId: string, { writes, credentials, journal }: KeyCommit): Promise<void> {
    if (this.failure) throw this.failure
    this.commits++
    for (const { type, id, value } of writes) {
      const key = `${deviceId}|${type}|${id}`
      if (value) this.rows.set(key, Buffer.from(value))
      else this.rows.delete(key)
    }
    if (credentials) this.#credentials.set(deviceId, credentials)
    if (journal) this.#journal.set(`${deviceId}|${journal.hash}`, Buffer.from(journal.plaintext))
  }

  async journal(deviceId: string, hash: string): Promise<Uint8Array | undefined> {
    return this.#journal.get(`${deviceId}|${hash}`)
  }

  async pruneJournal(): Promise<number> {
    const { size } = this.#journal
    this.#journal.clear()
    return size
  }

  async devicesWithCredentials(): Promise<readonly string[]> {
    return [...this.#credentials.keys()]
  }

  async forget(deviceId: string): Promise<void> {
    this.#credentials.delete(deviceId)
    for (const key of this.rows.keys()) if (key.startsWith(`${deviceId}|`)) this.rows.delete(key)
  }
}
