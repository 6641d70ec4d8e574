export interface StanzaFailure {
  /** Of fixed length: a hash of what identifies the stanza. */
  readonly key: string
  /** `message`, `receipt`, ... */
  readonly tag: string
  /** In words; without content. */
  readonly error: string
  /** The encoded stanza; sealed at rest. */
  readonly stanza: Uint8Array
}

export interface StanzaFailureRow {
  readonly deviceId: string
  readonly tag: string
  readonly attempts: number
  readonly error: string
  readonly firstAt: number
  readonly lastAt: number
  /** True: it was acknowledged and will not come again. False: it may have been handled since. */
  readonly givenUp: boolean
}

/** Stanzas that we could not handle for what is in them, counted across restarts, and kept for inspection. */
export interface StanzaFailureRepository {
  /**
   * Counts one more failure of a stanza; with the `giveUpAt`th it counts as given up.
   * @throws not_found when the device is gone
   */
  note(
    deviceId: string,
    failure: StanzaFailure,
    giveUpAt: number,
  ): Promise<{ readonly attempts: number; readonly givenUp: boolean }>
  /** The newest first. */
  list(limit: number): Promise<readonly StanzaFailureRow[]>
  /** The kept stanza, for a tool that looks into it. */
  stanza(deviceId: string, key: string): Promise<Uint8Array | undefined>
  /** Forgets those that failed last before this (ms). Answers how many went. */
  prune(before: number): Promise<number>
}
