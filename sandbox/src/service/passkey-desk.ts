import type { Registration } from './peer.ts'

/** What a desk throws to refuse a step: the client gets an error reply with this code, and the log a line. */
export class Refusal extends Error {
  readonly code: number

  constructor(code: number, text: string) {
    super(text)
    this.code = code
  }
}

/** The client's `<passkey_prologue>`, taken apart but not checked. */
export interface PasskeyPrologue {
  readonly credentialId: Uint8Array
  /** JSON text, as the client sent it. */
  readonly webauthnAssertion: Uint8Array
  /** Encoded `ProloguePayload`. */
  readonly prologuePayload: Uint8Array
  /** HMAC-SHA256(handoff key, prologue payload), when the client had a valid handoff key. */
  readonly handoffProof: Uint8Array | undefined
  /** The ref last handed out by `<ref/>`; the prologue must name it. */
  readonly ref: string | undefined
}

/** The phone's answer, encoded by the service as `PrimaryEphemeralIdentity`. */
export interface PrimaryEphemeral {
  readonly publicKey: Uint8Array
  readonly nonce: Uint8Array
}

/**
 * The phone's side of passkey linking: the service routes the client's stanzas here, step by step, and answers the
 * client with `result`, or with the code of the `Refusal` that a step throws (anything else thrown becomes a 500).
 * One desk serves one registration. The steps of the client always come in this order:
 * `options` (any number of times), `prologue`, `companionNonce`, `pairingRequest`.
 */
export interface PasskeyDesk {
  /** The JSON text of the WebAuthn request options; a fresh challenge each time is fine. */
  options(registration: Registration): string
  /** Verifies assertion, commitment and proof. The result goes to the client as `crsc_continuation`. */
  prologue(registration: Registration, prologue: PasskeyPrologue): PrimaryEphemeral | Promise<PrimaryEphemeral>
  /** Verifies the nonce against the commitment. The confirmation code can be computed from here on. */
  companionNonce(registration: Registration, nonce: Uint8Array): void | Promise<void>
  /** Decrypts and verifies the encoded `EncryptedPairingRequest`; its ADV secret signs the `complete` that follows. */
  pairingRequest(registration: Registration, encrypted: Uint8Array): void | Promise<void>
}
