import { LRUCache } from 'lru-cache'
import type { KeyCommit, KeyWrite, SignalKeyRepository } from './port/signal-keys.ts'

/** Read at every message: unsealing them costs more than everything else that a message reads. */
const CACHED: ReadonlySet<string> = new Set(['session', 'sender-key', 'sender-key-memory', 'tctoken'])

/** Of all devices together. A session takes about 0.5 KB, so these are some 30 000. */
const CACHE_BYTES = 16 * 1024 * 1024
const ENTRY_BYTES = 200

/** What is known not to be there. */
const NOTHING = new Uint8Array(0)

/**
 * The key repository with what is read at every message in memory, unsealed. Only what is committed is in it: while a key
 * is being written it keeps its old value, and then has the new one, unless that is in doubt.
 */
export class CachedSignalKeys implements SignalKeyRepository {
  readonly #keys: SignalKeyRepository
  readonly #cache: LRUCache<string, Uint8Array>
  /** How many commits of a key are under way. */
  readonly #writing = new Map<string, number>()
  /** Keys of which several commits were under way at once. */
  readonly #contested = new Set<string>()
  /** How many commits have ended: a read that saw one end may be older than that commit. */
  #ended = 0

  constructor(keys: SignalKeyRepository, maxBytes = CACHE_BYTES) {
    this.#keys = keys
    this.#cache = new LRUCache({
      maxSize: maxBytes,
      sizeCalculation: (value, key) => value.length + key.length + ENTRY_BYTES,
    })
  }

  async get(deviceId: string, type: string, ids: readonly string[]): Promise<Map<string, Uint8Array>> {
    if (!CACHED.has(type)) return this.#keys.get(deviceId, type, ids)
    const found = new Map<string, Uint8Array>()
    const missing: string[] = []
    for (const id of ids) {
      const cached = this.#cache.get(nameOf(deviceId, type, id))
      if (cached === undefined) missing.push(id)
      else if (cached !== NOTHING) found.set(id, cached)
    }
    if (missing.length === 0) return found
    const ended = this.#ended
    const read = await this.#keys.get(deviceId, type, missing)
    for (const id of missing) {
      const value = read.get(id)
      if (value) found.set(id, value)
      const name = nameOf(deviceId, type, id)
      if (ended === this.#ended && !this.#writing.has(name)) this.#keep(name, value)
    }
    return found
  }

  async commit(deviceId: string, given: KeyCommit): Promise<void> {
    // Baileys writes down who has a group's sender key after every message to it
    const writes = given.writes.filter((write) => !this.#isKnown(deviceId, write))
    if (writes.length === 0 && given.writes.length > 0 && !given.credentials && !given.journal) return
    const commit = { ...given, writes }
    const cached = commit.writes.filter(({ type }) => CACHED.has(type))
    const names = cached.map(({ type, id }) => nameOf(deviceId, type, id))
    for (const name of names) this.#writing.set(name, (this.#writing.get(name) ?? 0) + 1)
    let failed = true
    try {
      await this.#keys.commit(deviceId, commit)
      failed = false
    } finally {
      this.#ended++
      for (const [at, { value }] of cached.entries()) this.#written(names[at]!, failed ? undefined : { value })
    }
  }

  credentials(deviceId: string): Promise<Uint8Array | undefined> {
    return this.#keys.credentials(deviceId)
  }

  journal(deviceId: string, hash: string): Promise<Uint8Array | undefined> {
    return this.#keys.journal(deviceId, hash)
  }

  pruneJournal(before: number): Promise<number> {
    return this.#keys.pruneJournal(before)
  }

  devicesWithCredentials(): Promise<readonly string[]> {
    return this.#keys.devicesWithCredentials()
  }

  async forget(deviceId: string): Promise<void> {
    try {
      await this.#keys.forget(deviceId)
    } finally {
      this.#ended++
      for (const name of this.#cache.keys()) if (name.startsWith(`${deviceId}|`)) this.#cache.delete(name)
    }
  }

  #isKnown(deviceId: string, { type, id, value }: KeyWrite): boolean {
    const name = nameOf(deviceId, type, id)
    const cached = CACHED.has(type) && !this.#writing.has(name) ? this.#cache.get(name) : undefined
    return cached !== undefined && Buffer.compare(cached, value ?? NOTHING) === 0
  }

  #keep(name: string, value: Uint8Array | undefined): void {
    // a slice of a pool would hold all of the pool
    const own = value && value.buffer.byteLength > 2 * value.length ? Uint8Array.from(value) : value
    this.#cache.set(name, own ?? NOTHING)
  }

  /** `last`: what the commit left; undefined when it failed, or may have. */
  #written(name: string, last: { readonly value: Uint8Array | undefined } | undefined): void {
    const others = this.#writing.get(name)! - 1
    this.#cache.delete(name)
    if (others > 0) {
      // of several commits under way nobody here knows which one the database took last
      this.#writing.set(name, others)
      this.#contested.add(name)
      return
    }
    this.#writing.delete(name)
    if (!this.#contested.delete(name) && last) this.#keep(name, last.value)
  }
}

const nameOf = (deviceId: string, type: string, id: string): string => `${deviceId}|${type}|${id}`
