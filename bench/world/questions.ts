/** What the benches ask the process of the sandbox. */
export interface LinkedAccount {
  /** Baileys' JSON of the credentials, as after the first login. */
  readonly creds: string
  readonly preKeys: readonly (readonly [string, string])[]
  readonly jid: string
  readonly lid: string
  readonly phone: string
}

/** `each` texts from each of the first `contacts` contacts to each of these owners' companions. */
export interface PrepareRequest {
  readonly owners: readonly number[]
  readonly contacts: number
  readonly each: number
}

/** Either a window or a rate. */
export interface FlowRequest {
  readonly count: number
  /** Most texts on their way without a receipt. */
  readonly window?: number
  readonly perSecond?: number
}

export interface FlowResult {
  /** Message id and when its stanza went out, ms on the machine's monotonic clock. */
  readonly sentAt: readonly (readonly [string, number])[]
  readonly tookMs: number
}
