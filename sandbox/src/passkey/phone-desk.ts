// The phone's and the server's side of one passkey linking.
//
//   asked --prologue: assertion and payload verified--> asserted --nonce opens the commitment--> confirming
//   confirming --(handoff proof, or approve() by the person)--> approved
//   any --reject()--> rejected
//   approved + pairing request opened -> `decided` resolves with the new ADV secret
import { randomBytes } from 'node:crypto'
import { generateKeyPair } from '../crypto/curve.ts'
import { equalBytes } from '../crypto/symmetric.ts'
import { type PasskeyDesk, type PasskeyPrologue, type PrimaryEphemeral, Refusal } from '../service/passkey-desk.ts'
import type { Registration } from '../service/peer.ts'
import {
  deriveConfirmationCode,
  deriveHandoffKey,
  derivePairingKey,
  HANDOFF_LIFETIME_MS,
  isCommittedNonce,
  isHandoffProof,
  openPairingRequest,
  type Prologue,
  readPrologue,
} from './handoff.ts'
import { WHATSAPP_ORIGIN, WHATSAPP_RP_ID } from './software-authenticator.ts'
import { AssertionError, type Credential, fromBase64Url, type RequestOptions, verifyAssertion } from './webauthn.ts'

export type PasskeyState =
  | 'assertion_required'
  | 'asserted'
  | 'confirmation_required'
  | 'approved'
  | 'linked'
  | 'rejected'
  | 'failed'

export interface PhoneDeskOptions {
  readonly credential: Credential
  /** The secret that the phone scanned, or agreed on by link code. */
  readonly advSecret: Uint8Array
  /** The person compares the code even when the handoff proof is right. */
  readonly alwaysConfirm: boolean
  /** Milliseconds since 1970. */
  readonly clock: () => number
  /** Told about each refused step. */
  readonly onRefusal: (text: string) => void
}

const CHALLENGE_LIFETIME_MS = 5 * 60_000
const MAX_CHALLENGES = 16

export class PhoneDesk implements PasskeyDesk {
  readonly #options: PhoneDeskOptions
  readonly #handoffKey: Buffer
  readonly #startedAt: number
  /** Challenges that were sent and not used, with the time they end. */
  readonly #challenges = new Map<string, number>()
  readonly #decision = Promise.withResolvers<void>()
  #state: PasskeyState = 'assertion_required'
  #prologue: Prologue | undefined
  #primary: { readonly key: ReturnType<typeof generateKeyPair>; readonly nonce: Buffer } | undefined
  #proven = false
  #code: string | undefined
  #advSecret: Uint8Array | undefined

  constructor(options: PhoneDeskOptions) {
    this.#options = options
    this.#handoffKey = deriveHandoffKey(options.advSecret)
    this.#startedAt = options.clock()
    // A rejection that nobody waits for yet is no error: whoever links asks for the decision later.
    this.#decision.promise.catch(() => undefined)
  }

  get state(): PasskeyState {
    return this.#state
  }

  /** What the phone shows for comparison, once it is known. */
  get confirmationCode(): string | undefined {
    return this.#code
  }

  /** Resolves when the person (or the handoff proof) approved; rejects with a Refusal when the person rejected. */
  get decision(): Promise<void> {
    return this.#decision.promise
  }

  /** The ADV secret from the pairing request; what the certificate of the new device must be made with. */
  get advSecret(): Uint8Array | undefined {
    return this.#advSecret
  }

  options(): string {
    const now = this.#options.clock()
    for (const [challenge, end] of this.#challenges) if (end <= now) this.#challenges.delete(challenge)
    if (this.#challenges.size >= MAX_CHALLENGES) this.#challenges.delete(this.#challenges.keys().next().value!)
    const challenge = randomBytes(32).toString('base64url')
    this.#challenges.set(challenge, now + CHALLENGE_LIFETIME_MS)
    const options: RequestOptions = {
      challenge,
      timeout: CHALLENGE_LIFETIME_MS,
      rpId: WHATSAPP_RP_ID,
      allowCredentials: [{ type: 'public-key', id: this.#options.credential.id.toString('base64url') }],
      userVerification: 'required',
      extensions: {},
    }
    return JSON.stringify(options)
  }

  prologue(_registration: Registration, sent: PasskeyPrologue): PrimaryEphemeral {
    this.#refuseIfRejected()
    this.#verifyAssertion(sent)
    const prologue = readPrologue(sent.prologuePayload)
    if (prologue === undefined) throw this.#refusal(400, 'the prologue payload is malformed')
    if (prologue.ref !== sent.ref)
      throw this.#refusal(400, 'the prologue names another ref than the last one given out')
    if (sent.handoffProof !== undefined) this.#checkProof(sent.prologuePayload, sent.handoffProof)
    this.#proven = sent.handoffProof !== undefined
    this.#prologue = prologue
    this.#primary = { key: generateKeyPair(), nonce: randomBytes(32) }
    this.#code = undefined
    this.#state = 'asserted'
    return { publicKey: this.#primary.key.public, nonce: this.#primary.nonce }
  }

  companionNonce(_registration: Registration, nonce: Uint8Array): void {
    this.#refuseIfRejected()
    const [prologue, primary] = [this.#prologue!, this.#primary!]
    if (!isCommittedNonce(prologue, nonce)) throw this.#refusal(400, 'the nonce does not open the commitment')
    this.#code = deriveConfirmationCode(primary.nonce, nonce, primary.key.public)
    this.#state = 'confirmation_required'
    if (this.#proven && !this.#options.alwaysConfirm) this.approve()
  }

  pairingRequest(registration: Registration, encrypted: Uint8Array): void {
    this.#refuseIfRejected()
    const request = openPairingRequest(derivePairingKey(this.#primary!.key.private, this.#prologue!), encrypted)
    if (request === undefined) throw this.#refusal(400, 'the pairing request does not open')
    if (!equalBytes(request.noiseKey, registration.noiseKey)) throw this.#refusal(400, 'it names another noise key')
    if (!equalBytes(request.identityKey, registration.keys.identity)) {
      throw this.#refusal(400, 'it names another identity key')
    }
    if (equalBytes(request.advSecret, this.#options.advSecret)) {
      throw this.#refusal(400, 'the ADV secret is still the one from before the passkey')
    }
    this.#advSecret = request.advSecret
  }

  /** The person found the codes equal. False when there is nothing to approve now. */
  approve(): boolean {
    if (this.#state !== 'confirmation_required') return false
    this.#state = 'approved'
    this.#decision.resolve()
    return true
  }

  /** The person does not want it. False when it is too late. */
  reject(): boolean {
    if (this.#state === 'linked' || this.#state === 'failed' || this.#state === 'rejected') return false
    this.#state = 'rejected'
    this.#decision.reject(new Refusal(403, 'the person rejected the link on the phone'))
    return true
  }

  /** Called by whoever links, at the end. */
  finish(state: 'linked' | 'failed'): void {
    if (this.#state !== 'rejected') this.#state = state
  }

  #verifyAssertion({ credentialId, webauthnAssertion }: PasskeyPrologue): void {
    const { credential } = this.#options
    if (!equalBytes(credentialId, credential.id)) throw this.#refusal(403, 'credential_id is not the one on record')
    try {
      const assertion: unknown = parseJson(webauthnAssertion)
      const { signCount } = verifyAssertion(assertion, {
        challenge: this.#takeChallenge(assertion),
        origin: WHATSAPP_ORIGIN,
        rpId: WHATSAPP_RP_ID,
        credential,
        userVerification: 'required',
      })
      credential.signCount = signCount
    } catch (error) {
      if (error instanceof AssertionError) throw this.#refusal(403, `WebAuthn: ${error.message}`)
      throw error
    }
  }

  /** Each challenge counts once, whether the assertion over it is good or not. */
  #takeChallenge(assertion: unknown): Buffer {
    const response = (assertion as { response?: { clientDataJSON?: unknown } } | null)?.response
    const json = fromBase64Url(response?.clientDataJSON)
    const claimed = (json && (parseJson(json) as { challenge?: unknown } | null))?.challenge
    const end = typeof claimed === 'string' ? this.#challenges.get(claimed) : undefined
    if (end === undefined) throw new AssertionError('the challenge is not one that was sent, or it was used before')
    this.#challenges.delete(claimed as string)
    if (end <= this.#options.clock()) throw new AssertionError('the challenge has expired')
    return Buffer.from(claimed as string, 'base64url')
  }

  #checkProof(payload: Uint8Array, proof: Uint8Array): void {
    if (this.#options.clock() - this.#startedAt > HANDOFF_LIFETIME_MS)
      throw this.#refusal(403, 'the handoff is too old')
    if (!isHandoffProof(this.#handoffKey, payload, proof)) throw this.#refusal(403, 'the handoff proof is wrong')
  }

  #refuseIfRejected(): void {
    if (this.#state === 'rejected') throw this.#refusal(403, 'the person rejected the link on the phone')
  }

  #refusal(code: number, text: string): Refusal {
    this.#options.onRefusal(text)
    return new Refusal(code, text)
  }
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch {
    // JSON.parse knows only SyntaxError
    throw new AssertionError('not JSON')
  }
}
