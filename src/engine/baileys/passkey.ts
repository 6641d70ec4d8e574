import { createHash, createHmac, randomBytes } from 'node:crypto'
import {
  aesEncryptGCM,
  type BinaryNode,
  Curve,
  getBinaryNodeChild,
  getBinaryNodeChildBuffer,
  hkdf,
  proto,
  S_WHATSAPP_NET,
  type WASocket,
} from 'baileys'
import type { Clock } from '../../kernel/clock.ts'
import { messageOf, ParleyError } from '../../kernel/errors.ts'
import type { Logger } from '../../kernel/logger.ts'
import type { EngineSignal, PasskeyAssertion, PasskeyPort, PasskeyState, PasskeyStatus } from '../index.ts'
import type { AuthStore } from './auth-store.ts'
import { orTimeout, toEngineError } from './engine-errors.ts'
import { replaceListener } from './stock-listeners.ts'

/**
 * Linking of an account that demands a passkey (since June 2026 WhatsApp asks many for one). After the phone has taken
 * the QR or pairing code the service wants a WebAuthn assertion made by the user on web.whatsapp.com:
 *
 *   passkey_prologue_request -> waiting_for_assertion --submit--> prologue sent (waiting_for_phone)
 *     -> crsc_continuation: nonce sent --with handoff proof--> pairing request sent -> pair-success (done)
 *                                      --without-----------> confirm (the user compares the code) --confirm--> the same
 *
 * Facts as two protocol libraries agree on them; Baileys rc14 only acknowledges these notifications.
 */
export class PasskeyLinking implements PasskeyPort {
  readonly #sock: WASocket
  readonly #auth: AuthStore
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #deviceType: number
  readonly #handoffLifetimeMs: number
  readonly #signal: (signal: EngineSignal) => void
  #attempt: Attempt | undefined

  constructor(deps: {
    readonly sock: WASocket
    readonly auth: AuthStore
    readonly clock: Clock
    readonly logger: Logger
    /** DeviceProps.PlatformType of this companion. */
    readonly deviceType: number
    /** How long the proof that the QR or pairing code was ours stays valid; 5 minutes. */
    readonly handoffLifetimeMs: number
    readonly signal: (signal: EngineSignal) => void
  }) {
    this.#sock = deps.sock
    this.#auth = deps.auth
    this.#clock = deps.clock
    this.#logger = deps.logger
    this.#deviceType = deps.deviceType
    this.#handoffLifetimeMs = deps.handoffLifetimeMs
    this.#signal = deps.signal
    const stock = replaceListener(deps.sock, 'CB:notification', (node) => {
      const handle = this.#handlerOf(node.attrs.type)
      if (handle) void this.#handle(node, handle)
      else stock(node)
    })
  }

  #handlerOf(type: string | undefined): ((node: BinaryNode) => Promise<void>) | undefined {
    if (type === 'passkey_prologue_request') return (node) => this.#begin(node)
    if (type === 'crsc_continuation') return (node) => this.#continue(node)
    return undefined
  }

  /** Acknowledges by itself: Baileys cannot before there is an account. */
  async #handle(node: BinaryNode, handle: (node: BinaryNode) => Promise<void>): Promise<void> {
    const { id, from, type } = node.attrs
    try {
      await this.#sock.sendNode({ tag: 'ack', attrs: { id: id!, to: from!, class: 'notification', type: type! } })
      await handle(node)
    } catch (error) {
      this.#fail(error)
    }
  }

  status(): PasskeyStatus | undefined {
    const attempt = this.#attempt
    if (!attempt) return undefined
    const expired = attempt.state === 'waiting_for_assertion' && this.#clock.now() > attempt.expiresAt
    return {
      state: expired ? 'expired' : attempt.state,
      options: attempt.options,
      confirmationCode: attempt.confirmationCode,
      expiresAt: attempt.expiresAt,
    }
  }

  async submit(assertion: PasskeyAssertion): Promise<PasskeyStatus> {
    const attempt = this.#waiting('waiting_for_assertion', 'no linking is waiting for a passkey assertion')
    checkChallenge(assertion, attempt.options)
    // taken at once, so that a second submission of the same assertion does not race the first
    this.#move(attempt, 'waiting_for_phone')
    try {
      attempt.ref = await this.#fetchRef()
      const ephemeral = Curve.generateKeyPair()
      attempt.ephemeral = ephemeral
      attempt.nonce = randomBytes(32)
      const identity = proto.CompanionEphemeralIdentity.encode({
        publicKey: ephemeral.public,
        deviceType: this.#deviceType,
        ref: attempt.ref,
      }).finish()
      const hash = createHash('sha256').update(identity).update(attempt.nonce).digest()
      const payload = proto.ProloguePayload.encode({
        companionEphemeralIdentity: identity,
        commitment: { hash },
      }).finish()
      const handoffValid = this.#clock.now() <= attempt.handoffUntil
      attempt.proven = handoffValid
      await this.#set('passkey_prologue', [
        leaf('credential_id', fromBase64Url(assertion.rawId)),
        leaf('webauthn_assertion', Buffer.from(JSON.stringify(assertion), 'utf8')),
        leaf('prologue_payload', payload),
        ...(handoffValid
          ? [leaf('pairing_handoff_proof', createHmac('sha256', attempt.handoffKey).update(payload).digest())]
          : []),
      ])
    } catch (error) {
      this.#move(attempt, 'waiting_for_assertion')
      throw refusalOf(error, 'handing over the passkey assertion')
    }
    return this.status()!
  }

  async confirm(): Promise<PasskeyStatus> {
    const attempt = this.#waiting('confirm', 'no code is waiting to be confirmed')
    this.#move(attempt, 'waiting_for_phone')
    try {
      await this.#sendPairingRequest(attempt)
    } catch (error) {
      this.#move(attempt, 'confirm')
      throw refusalOf(error, 'confirming the passkey linking')
    }
    return this.status()!
  }

  /** The ordinary pair-success came: nothing is left to do. */
  finish(): void {
    if (this.#attempt) this.#move(this.#attempt, 'done')
  }

  async #begin(node: BinaryNode): Promise<void> {
    const carried = getBinaryNodeChildBuffer(node, 'passkey_request_options')
    const bytes = carried ?? (await this.#fetchOptions())
    const options = parseOptions(bytes)
    const now = this.#clock.now()
    const { creds } = this.#auth
    // proves later that we are the one whose code the phone took; then the secret it knew is replaced
    const handoffKey = Buffer.from(
      hkdf(Buffer.from(creds.advSecretKey, 'base64'), 32, { info: 'shortcake-passkey-handoff-v1' }),
    )
    creds.advSecretKey = randomBytes(32).toString('base64')
    await this.#auth.save()
    const timeoutMs = typeof options.timeout === 'number' ? options.timeout : 0
    const attempt: Attempt = {
      state: 'waiting_for_assertion',
      options,
      handoffKey,
      handoffUntil: now + this.#handoffLifetimeMs,
      expiresAt: now + Math.max(timeoutMs, 5 * 60_000),
      confirmationCode: undefined,
      ref: undefined,
      ephemeral: undefined,
      nonce: undefined,
      encryptionKey: undefined,
      proven: false,
    }
    this.#attempt = attempt
    this.#signal({ type: 'passkey_required', options, expiresAt: attempt.expiresAt })
  }

  async #continue(node: BinaryNode): Promise<void> {
    const attempt = this.#attempt
    const bytes = getBinaryNodeChildBuffer(node, 'primary_ephemeral_identity')
    if (!attempt?.ephemeral || !attempt.nonce || !attempt.ref || !bytes)
      throw new Error('a passkey continuation came without a prologue')
    const { publicKey, nonce } = proto.PrimaryEphemeralIdentity.decode(bytes)
    if (publicKey?.length !== 32 || nonce?.length !== 32) throw new Error('malformed primary ephemeral identity')
    await this.#set('companion_nonce', attempt.nonce)
    attempt.encryptionKey = Buffer.from(
      hkdf(Curve.sharedKey(attempt.ephemeral.private, publicKey), 32, {
        salt: Buffer.from(`Companion Pairing ${this.#deviceType} with ref ${attempt.ref}`, 'utf8'),
        info: 'Pairing Information Encryption Key',
      }),
    )
    attempt.confirmationCode = confirmationCode(nonce, attempt.nonce, publicKey)
    if (attempt.proven) {
      this.#announce(attempt)
      await this.#sendPairingRequest(attempt)
    } else this.#move(attempt, 'confirm')
  }

  async #sendPairingRequest(attempt: Attempt): Promise<void> {
    const { creds } = this.#auth
    const request = proto.PairingRequest.encode({
      companionPublicKey: creds.noiseKey.public,
      companionIdentityKey: creds.signedIdentityKey.public,
      advSecret: Buffer.from(creds.advSecretKey, 'base64'),
    }).finish()
    const iv = randomBytes(12)
    const encryptedPayload = aesEncryptGCM(request, attempt.encryptionKey!, iv, Buffer.alloc(0))
    await this.#set(
      'encrypted_pairing_request',
      proto.EncryptedPairingRequest.encode({ encryptedPayload, iv }).finish(),
    )
  }

  async #fetchOptions(): Promise<Uint8Array> {
    const answer = await this.#query('get', { tag: 'passkey_request_options', attrs: {} })
    const bytes = getBinaryNodeChildBuffer(answer, 'passkey_request_options')
    if (!bytes) throw new Error('the service sent no passkey options')
    return bytes
  }

  async #fetchRef(): Promise<string> {
    const answer = await this.#query('get', { tag: 'ref', attrs: {} })
    const content = getBinaryNodeChild(answer, 'ref')?.content
    if (!content || Array.isArray(content)) throw new Error('the service sent no ref')
    return typeof content === 'string' ? content : Buffer.from(content).toString('utf8')
  }

  async #set(tag: string, content: Uint8Array | BinaryNode[]): Promise<void> {
    await this.#query('set', { tag, attrs: {}, content })
  }

  async #query(type: 'get' | 'set', child: BinaryNode): Promise<BinaryNode> {
    const iq = { tag: 'iq', attrs: { to: S_WHATSAPP_NET, type, xmlns: 'md' }, content: [child] }
    return orTimeout<BinaryNode>(await this.#sock.query(iq), `sending ${child.tag}`)
  }

  #waiting(state: PasskeyState, otherwise: string): Attempt {
    const attempt = this.#attempt
    if (attempt?.state !== state || this.status()?.state !== state) throw new ParleyError('conflict', otherwise)
    return attempt
  }

  #move(attempt: Attempt, state: PasskeyState): void {
    attempt.state = state
    this.#announce(attempt)
  }

  #announce({ state, confirmationCode: code }: Attempt): void {
    this.#signal({ type: 'passkey_state', state, confirmationCode: code })
  }

  /** A step of the service's went wrong: the user may hand over another assertion. */
  #fail(error: unknown): void {
    this.#logger.warn({ reason: messageOf(error) }, 'passkey linking did not go on')
    if (this.#attempt && this.#attempt.state !== 'done') this.#move(this.#attempt, 'waiting_for_assertion')
  }
}

interface Attempt {
  state: PasskeyState
  readonly options: Readonly<Record<string, unknown>>
  readonly handoffKey: Buffer
  readonly handoffUntil: number
  readonly expiresAt: number
  confirmationCode: string | undefined
  ref: string | undefined
  ephemeral: { readonly public: Uint8Array; readonly private: Uint8Array } | undefined
  nonce: Buffer | undefined
  encryptionKey: Buffer | undefined
  proven: boolean
}

/** A 403 here says that the assertion or the pairing does not hold, and nothing about what the caller may do. */
const refusalOf = (thrown: unknown, doing: string): ParleyError => {
  const error = toEngineError(thrown, doing)
  if (error.code !== 'forbidden') return error
  return new ParleyError('whatsapp_refused', `WhatsApp refused: ${messageOf(thrown)}`, {
    ...(error.data ? { data: error.data } : {}),
    cause: thrown,
  })
}

const leaf = (tag: string, content: Uint8Array): BinaryNode => ({ tag, attrs: {}, content })

const fromBase64Url = (text: string): Buffer => Buffer.from(text, 'base64url')

const parseOptions = (bytes: Uint8Array): Record<string, unknown> => {
  const parsed: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'))
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw new Error('malformed passkey options')
  const options = (parsed as { publicKey?: unknown }).publicKey ?? parsed
  if (typeof (options as { challenge?: unknown }).challenge !== 'string')
    throw new Error('passkey options without challenge')
  return options as Record<string, unknown>
}

/** An assertion for another challenge would be refused by WhatsApp and cost the attempt: say so before sending it. */
const checkChallenge = ({ response }: PasskeyAssertion, options: Readonly<Record<string, unknown>>): void => {
  const field = 'assertion.response.clientDataJSON'
  let challenge: unknown
  try {
    challenge = (JSON.parse(fromBase64Url(response.clientDataJSON).toString('utf8')) as { challenge?: unknown })
      .challenge
  } catch (cause) {
    throw new ParleyError('bad_request', `${field}: is not base64url of JSON`, { field, cause })
  }
  const same =
    typeof challenge === 'string' && fromBase64Url(challenge).equals(fromBase64Url(String(options.challenge)))
  if (!same) throw new ParleyError('bad_request', `${field}: the assertion is for another challenge`, { field })
}

const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTVWXYZ'

/** First 5 bytes of (primary nonce XOR SHA-256(companion nonce || primary public key)) in base32, as XXXX-XXXX. */
export const confirmationCode = (
  primaryNonce: Uint8Array,
  companionNonce: Uint8Array,
  primaryPublic: Uint8Array,
): string => {
  const hash = createHash('sha256').update(companionNonce).update(primaryPublic).digest()
  let bits = 0n
  for (let i = 0; i < 5; i++) bits = (bits << 8n) | BigInt(primaryNonce[i]! ^ hash[i]!)
  let code = ''
  for (let shift = 35n; shift >= 0n; shift -= 5n) code += ALPHABET[Number((bits >> shift) & 31n)]
  return `${code.slice(0, 4)}-${code.slice(4)}`
}
