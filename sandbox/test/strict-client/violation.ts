/** What a strict client refuses. The code says which rule was broken. */
export type ViolationCode =
  | 'certificate'
  | 'handshake'
  | 'frame'
  | 'stanza'
  | 'adv_hmac'
  | 'adv_account_signature'
  | 'adv_device_signature'
  | 'adv_details'
  | 'account_key'
  | 'key_index_list'
  | 'signed_pre_key'
  | 'bundle'
  | 'digest'
  | 'identity'
  | 'undecryptable'
  | 'sender_key'
  | 'padding'
  | 'plaintext'
  | 'offline'
  | 'app_state'

/** The service broke a rule. */
export class Violation extends Error {
  readonly code: ViolationCode

  constructor(code: ViolationCode, text: string) {
    super(`${code}: ${text}`)
    this.name = 'Violation'
    this.code = code
  }
}

/** @throws Violation when the rule does not hold */
export function demand(holds: boolean, code: ViolationCode, text: string): asserts holds {
  if (!holds) throw new Violation(code, text)
}
