/** What a request with an Idempotency-Key is known by: the key counts within its device and route. */
export interface IdempotencyScope {
  readonly deviceId: string
  /** The route's id. */
  readonly route: string
  readonly key: string
}

export interface NewIdempotency extends IdempotencyScope {
  /** Tells one request from another: the same request has the same one. */
  readonly fingerprint: string
  /** The id for the message that the request sends, taken when the key is new. */
  readonly messageId: string
}

export interface IdempotencyRow {
  readonly fingerprint: string
  readonly messageId: string
  /** The reply that was given, as JSON; undefined while there is none. */
  readonly reply: string | undefined
}

export interface IdempotencyRepository {
  /**
   * Commits the key, or answers the row that has it already. A row older than `expiredBefore` (ms) counts as absent.
   * @throws not_found when the device is gone
   */
  claim(request: NewIdempotency, expiredBefore: number): Promise<IdempotencyRow | undefined>
  /** Keeps the reply for repeats. */
  finish(scope: IdempotencyScope, reply: string): Promise<void>
  /**
   * Forgets a request that failed, unless its message was accepted and has not failed: then the row stays as it is, and
   * a repeat finds the message.
   */
  release(scope: IdempotencyScope): Promise<void>
  /** Forgets the keys older than this (ms). Answers how many went. */
  prune(before: number): Promise<number>
}
