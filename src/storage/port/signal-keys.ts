/** One write of a Signal or engine key; `value` undefined deletes it. */
export interface KeyWrite {
  /** session, pre-key, sender-key, identity-key, sender-key-memory, app-state-sync-key, app-state-sync-version, lid-mapping, device-list, tctoken, ... */
  readonly type: string
  readonly id: string
  readonly value: Uint8Array | undefined
}

/** What must become durable together. */
export interface KeyCommit {
  readonly writes: readonly KeyWrite[]
  /** The engine's serialised credentials, when they changed with these keys. */
  readonly credentials?: Uint8Array
  /**
   * The content that a decryption yielded, under a hash of the ciphertext: after a crash the ratchet has moved on, and
   * the same stanza again is answered from here.
   */
  readonly journal?: { readonly hash: string; readonly plaintext: Uint8Array }
}

/**
 * Credentials, Signal keys and the decryption journal, sealed at rest. Lives in the keys database
 * (`WHATSAPP_KEYS_DATASTORE_URI`) when there is one.
 */
export interface SignalKeyRepository {
  credentials(deviceId: string): Promise<Uint8Array | undefined>
  /** Missing ids are absent from the map. */
  get(deviceId: string, type: string, ids: readonly string[]): Promise<Map<string, Uint8Array>>
  /** One transaction; resolves when durable. @throws conflict when another process has taken the owner's epoch */
  commit(deviceId: string, commit: KeyCommit): Promise<void>
  journal(deviceId: string, hash: string): Promise<Uint8Array | undefined>
  /** Journal rows older than this are of no more use. Answers how many went. */
  pruneJournal(before: number): Promise<number>
  /** Device ids that have credentials. */
  devicesWithCredentials(): Promise<readonly string[]>
  forget(deviceId: string): Promise<void>
}
