import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import type { Clock } from '../kernel/clock.ts'
import { diskFailure, messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/logger.ts'

/** A file in the store: it can be opened although it has to go meanwhile, and read to its end once it is open. */
export interface StoredFile {
  readonly path: string
  readonly size: number
  read(range?: { readonly start: number; readonly end: number }): Readable
}

interface Entry {
  readonly size: number
  usedAt: number
}

/** How long a file that had to go stays on the disk. */
const LINGER_MS = 5_000
const IDENTITY = /^[0-9a-f]{64}$/

/**
 * Decrypted media on disk, named by the identity of the file they came from (its key and hashes), so that the same file
 * lies there once and nobody gets at one whose message he does not have. Above the cap, what was used longest ago goes.
 */
export class MediaStore {
  readonly #folder: string
  readonly #maxBytes: number
  readonly #clock: Clock
  readonly #logger: Logger
  #entries: Promise<Map<string, Entry>> | undefined
  #bytes = 0

  constructor(deps: {
    readonly folder: string
    /** 0 = no cap. */
    readonly maxBytes: number
    readonly clock: Clock
    readonly logger: Logger
  }) {
    this.#folder = deps.folder
    this.#maxBytes = deps.maxBytes
    this.#clock = deps.clock
    this.#logger = deps.logger
  }

  /** Undefined when it is not there (any more). Counts as a use. */
  async get(identity: string): Promise<StoredFile | undefined> {
    const entries = await this.#load()
    const entry = entries.get(identity)
    if (!entry) return undefined
    const path = this.#pathOf(identity)
    const found = await stat(path).catch(() => undefined)
    if (!found) {
      entries.delete(identity)
      this.#bytes -= entry.size
      return undefined
    }
    entry.usedAt = this.#clock.now()
    const now = new Date(entry.usedAt)
    await utimes(path, now, now).catch((error: unknown) => {
      this.#logger.debug({ reason: messageOf(error) }, 'the last use of a file was not noted')
    })
    return fileAt(path, found.size)
  }

  /** Takes a finished file into the store (it is moved) and makes room for it. @throws storage_unavailable */
  async put(identity: string, from: string): Promise<StoredFile> {
    if (!IDENTITY.test(identity)) throw new RangeError('a file is named by 64 hexadecimal digits')
    const entries = await this.#load()
    const path = this.#pathOf(identity)
    const { size } = await this.#take(from, path).catch((error: unknown) => {
      throw diskFailure(error) ?? error
    })
    this.#bytes += size - (entries.get(identity)?.size ?? 0)
    entries.set(identity, { size, usedAt: this.#clock.now() })
    await this.#evict(entries, identity)
    return fileAt(path, size)
  }

  async #take(from: string, path: string): Promise<{ readonly size: number }> {
    await mkdir(dirname(path), { recursive: true })
    await flush(from)
    await rename(from, path)
    return stat(path)
  }

  /** What nobody is to see any more; does nothing when it is not there. */
  async remove(identity: string): Promise<void> {
    const entries = await this.#load()
    const entry = entries.get(identity)
    if (!entry) return
    entries.delete(identity)
    this.#bytes -= entry.size
    await rm(this.#pathOf(identity), { force: true })
  }

  async #evict(entries: Map<string, Entry>, keep: string): Promise<void> {
    if (this.#maxBytes === 0 || this.#bytes <= this.#maxBytes) return
    const oldestFirst = [...entries].toSorted(([, a], [, b]) => a.usedAt - b.usedAt)
    for (const [identity, { size }] of oldestFirst) {
      if (this.#bytes <= this.#maxBytes) return
      if (identity === keep) continue
      entries.delete(identity)
      this.#bytes -= size
      // whoever has just been told of it is about to open it
      this.#clock.after(LINGER_MS, () => this.#clear(entries, identity))
    }
  }

  #clear(entries: Map<string, Entry>, identity: string): void {
    // it may have come back meanwhile
    if (entries.has(identity)) return
    rm(this.#pathOf(identity), { force: true }).catch((error: unknown) => {
      this.#logger.warn({ reason: messageOf(error) }, 'a file that had to go is still there')
    })
  }

  /** What earlier runs left: read once, when it is first needed. */
  #load(): Promise<Map<string, Entry>> {
    this.#entries ??= this.#scan().catch((error: unknown) => {
      // the disk may be there again when it is needed next
      this.#entries = undefined
      throw diskFailure(error) ?? error
    })
    return this.#entries
  }

  async #scan(): Promise<Map<string, Entry>> {
    const entries = new Map<string, Entry>()
    this.#bytes = 0
    await mkdir(this.#folder, { recursive: true })
    for (const file of await readdir(this.#folder, { recursive: true, withFileTypes: true })) {
      if (!file.isFile() || !IDENTITY.test(file.name)) continue
      const info = await stat(join(file.parentPath, file.name)).catch(() => undefined)
      if (!info) continue
      entries.set(file.name, { size: info.size, usedAt: info.mtimeMs })
      this.#bytes += info.size
    }
    return entries
  }

  #pathOf(identity: string): string {
    return join(this.#folder, identity.slice(0, 2), identity)
  }
}

const fileAt = (path: string, size: number): StoredFile => ({
  path,
  size,
  read: (range) => createReadStream(path, range),
})

/** A name in the store stands for a whole file, after a power cut too. */
const flush = async (path: string): Promise<void> => {
  await using file = await open(path, 'r+')
  await file.sync()
}
