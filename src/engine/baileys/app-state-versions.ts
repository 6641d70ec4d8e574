import type { SignalDataSet, SignalDataTypeMap, SignalKeyStore } from 'baileys'

const TYPE = 'app-state-sync-version'
/** After so many in a row everything is fetched anew. */
const MOST_REFUSALS = 3
type Version = SignalDataTypeMap[typeof TYPE]

/**
 * How far each collection of the app state was read, written only when the changes up to there are stored.
 *
 * Baileys commits the new version first and tells the changes then: whoever dies in between has lost them, since the next
 * synchronisation begins behind them. So the version is kept in memory meanwhile, where Baileys finds it.
 *
 * And where a change does not verify, Baileys leaves it out, takes the version behind it, and has another hash than
 * everybody else from then on. Here that version is not taken: the changes are fetched again from where all was well, and
 * when that fails again and again, from the beginning.
 */
export class AppStateVersions {
  /** The same keys, for Baileys. */
  readonly keys: SignalKeyStore
  readonly #stored: SignalKeyStore
  readonly #changesStored: () => Promise<void>
  readonly #onFailure: (error: unknown) => void
  readonly #held = new Map<string, Version | null>()
  readonly #refused = new Set<string>()
  /** Since the last time that all was well, by collection. */
  readonly #refusals = new Map<string, number>()
  #writing: Promise<void> = Promise.resolve()

  constructor(deps: {
    readonly keys: SignalKeyStore
    /** Resolves when all changes told so far are stored. @throws when one could not be */
    readonly changesStored: () => Promise<void>
    /** Nothing of this connection may count as read any more. */
    readonly onFailure: (error: unknown) => void
  }) {
    this.#stored = deps.keys
    this.#changesStored = deps.changesStored
    this.#onFailure = deps.onFailure
    this.keys = { get: (type, ids) => this.#get(type, ids), set: (data) => this.#set(data) }
  }

  /** A change did not verify: the version that Baileys takes next for this collection does not count. */
  refuse(collection: string): void {
    this.#refused.add(collection)
    this.#refusals.set(collection, (this.#refusals.get(collection) ?? 0) + 1)
  }

  /** Whether Baileys' state of a collection was refused and not taken back yet; asking takes it back. */
  takeRefusal(collection: string): boolean {
    return this.#refused.delete(collection)
  }

  /** Resolves when the versions told so far are written. @throws when they could not be */
  settled(): Promise<void> {
    return this.#writing
  }

  async #get<T extends keyof SignalDataTypeMap>(type: T, ids: string[]): Promise<Record<string, SignalDataTypeMap[T]>> {
    if (type !== TYPE || this.#held.size === 0) return this.#stored.get(type, ids)
    const found = await this.#stored.get(
      type,
      ids.filter((id) => !this.#held.has(id)),
    )
    for (const id of ids) {
      const version = this.#held.get(id)
      if (version) found[id] = version as SignalDataTypeMap[T]
    }
    return found
  }

  async #set(data: SignalDataSet): Promise<void> {
    const { [TYPE]: versions, ...rest } = data
    if (Object.keys(rest).length > 0) await this.#stored.set(rest)
    if (!versions) return
    for (const [name, version] of Object.entries(versions)) {
      if (this.takeRefusal(name)) {
        if (this.#refusals.get(name)! < MOST_REFUSALS) continue
        this.#refusals.delete(name)
        this.#held.set(name, null)
      } else {
        this.#refusals.delete(name)
        this.#held.set(name, version)
      }
    }
    this.#writing = this.#writing.then(() => this.#write())
    this.#writing.catch((error: unknown) => this.#onFailure(error))
  }

  async #write(): Promise<void> {
    // the changes are told right after this version was "stored", in the same turn of the event loop
    await new Promise((resolve) => setImmediate(resolve))
    await this.#changesStored()
    const versions = new Map(this.#held)
    if (versions.size === 0) return
    await this.#stored.set({ [TYPE]: Object.fromEntries(versions) as NonNullable<SignalDataSet[typeof TYPE]> })
    for (const [name, version] of versions) if (this.#held.get(name) === version) this.#held.delete(name)
  }
}
