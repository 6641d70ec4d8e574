import type { Account } from './account.ts'

export const COLLECTIONS: ReadonlySet<string> = new Set([
  'critical_block',
  'critical_unblock_low',
  'regular_high',
  'regular_low',
  'regular',
])

/** The app-state patches of every account: opaque bytes in order; a collection's version is how many there are. */
export class AppStateStore {
  readonly #patches = new WeakMap<Account, Map<string, Uint8Array[]>>()

  version(account: Account, collection: string): number {
    return this.#of(account, collection).length
  }

  /** The patches after `version`, each with its own version. */
  after(account: Account, collection: string, version: number): readonly { version: number; patch: Uint8Array }[] {
    return this.#of(account, collection)
      .slice(version)
      .map((patch, position) => ({ version: version + position + 1, patch }))
  }

  /** Appends a patch and returns the new version. */
  append(account: Account, collection: string, patch: Uint8Array): number {
    return this.#of(account, collection).push(patch)
  }

  #of(account: Account, collection: string): Uint8Array[] {
    let collections = this.#patches.get(account)
    if (collections === undefined) {
      collections = new Map()
      this.#patches.set(account, collections)
    }
    let patches = collections.get(collection)
    if (patches === undefined) {
      patches = []
      collections.set(collection, patches)
    }
    return patches
  }
}
