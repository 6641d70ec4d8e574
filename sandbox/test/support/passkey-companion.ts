// A companion that links by passkey, attached to the service without a socket. Written from the protocol's text.
import { randomBytes } from 'node:crypto'
import { proto } from 'baileys/WAProto/index.js'
import { agree, generateKeyPair, sign, withKeyType } from '../../src/crypto/curve.ts'
import { encryptGcm, hkdf, hmacSha256, sha256 } from '../../src/crypto/symmetric.ts'
import type { OpenRegistration } from '../../src/service/registration.ts'
import type { Service } from '../../src/service/service.ts'
import { type BinaryNode, bytesOf, child, children, node, textOf } from '../../src/wire/node.ts'

const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTVWXYZ'

/** What the companion shows and waits for, in the order in which it happens. */
export class PasskeyCompanion {
  readonly #noise = generateKeyPair()
  readonly #identity = generateKeyPair()
  readonly #ephemeral = generateKeyPair()
  readonly #nonce = randomBytes(32)
  readonly registration: OpenRegistration
  advSecret: Buffer = randomBytes(32)
  #handoffKey: Buffer | undefined
  #refs: string[] = []
  #primary: { publicKey: Uint8Array; nonce: Uint8Array } | undefined
  #ref = ''
  #waiting = new Map<string, (answer: BinaryNode) => void>()
  #counter = 0
  /** Resolves with the request options, as the client's user would get them. */
  readonly options = Promise.withResolvers<unknown>()
  readonly continuation = Promise.withResolvers<void>()
  /** Resolves with the JID when the client was linked; its certificate was checked. */
  readonly linked = Promise.withResolvers<string>()
  readonly ended = Promise.withResolvers<string>()

  constructor(service: Service) {
    const skey = generateKeyPair()
    const keys = {
      identity: this.#identity.public,
      registrationId: 5,
      signedPreKey: { id: 1, public: skey.public, signature: sign(this.#identity, withKeyType(skey.public)) },
      preKeys: [],
    }
    const props = { os: 'Test', platformType: 1, requireFullSync: false }
    const peer = {
      deliver: (stanza: BinaryNode) => queueMicrotask(() => this.#receive(stanza)),
      close: (reason: string) => this.ended.resolve(reason),
    }
    this.registration = service.registrations.start(peer, this.#noise.public, { keys, props, pushName: undefined })
  }

  /** Resolves with the text of a QR code. */
  async showQr(): Promise<string> {
    while (this.#refs.length === 0) await new Promise((resolve) => setImmediate(resolve))
    const keys = [this.#noise.public, this.#identity.public, this.advSecret].map((key) => key.toString('base64'))
    return [this.#refs[0], ...keys].join(',')
  }

  async fetchOptions(): Promise<unknown> {
    const answer = await this.#ask('get', node('passkey_request_options'))
    return JSON.parse(textOf(child(answer, 'passkey_request_options'))!)
  }

  /** Sends the prologue. The reply is the service's answer. */
  async sendAssertion(
    assertion: { readonly rawId: string },
    overrides: { readonly proof?: Buffer | null } = {},
  ): Promise<BinaryNode> {
    this.#ref = textOf(child(await this.#ask('get', node('ref')), 'ref'))!
    const ident = this.#encodedIdentity()
    const payload = proto.ProloguePayload.encode({
      companionEphemeralIdentity: ident,
      commitment: { hash: sha256(ident, this.#nonce) },
    }).finish()
    const proof = overrides.proof === undefined ? hmacSha256(this.#handoffKey!, payload) : overrides.proof
    return this.#ask(
      'set',
      node('passkey_prologue', {}, [
        node('credential_id', {}, Buffer.from(assertion.rawId, 'base64url')),
        node('webauthn_assertion', {}, Buffer.from(JSON.stringify(assertion))),
        node('prologue_payload', {}, Buffer.from(payload)),
        ...(proof === null ? [] : [node('pairing_handoff_proof', {}, proof)]),
      ]),
    )
  }

  sendNonce(nonce: Buffer = this.#nonce): Promise<BinaryNode> {
    return this.#ask('set', node('companion_nonce', {}, nonce))
  }

  get code(): string {
    const { publicKey, nonce } = this.#primary!
    const hash = sha256(this.#nonce, publicKey)
    const bits = Array.from({ length: 5 }, (_, i) => (nonce[i]! ^ hash[i]!).toString(2).padStart(8, '0')).join('')
    const letters = bits.match(/.{5}/g)!.map((five) => ALPHABET[Number.parseInt(five, 2)])
    return `${letters.slice(0, 4).join('')}-${letters.slice(4).join('')}`
  }

  sendPairingRequest(overrides: Partial<proto.IPairingRequest> = {}): Promise<BinaryNode> {
    const key = hkdf(agree(this.#ephemeral.private, this.#primary!.publicKey), 32, {
      salt: Buffer.from(`Companion Pairing 1 with ref ${this.#ref}`),
      info: 'Pairing Information Encryption Key',
    })
    const request = proto.PairingRequest.encode({
      companionPublicKey: this.#noise.public,
      companionIdentityKey: this.#identity.public,
      advSecret: this.advSecret,
      ...overrides,
    }).finish()
    const iv = randomBytes(12)
    const encryptedPayload = encryptGcm(key, iv, request)
    const sealed = proto.EncryptedPairingRequest.encode({ encryptedPayload, iv }).finish()
    return this.#ask('set', node('encrypted_pairing_request', {}, Buffer.from(sealed)))
  }

  #encodedIdentity(): Buffer {
    const identity = { publicKey: this.#ephemeral.public, deviceType: 1, ref: this.#ref }
    return Buffer.from(proto.CompanionEphemeralIdentity.encode(identity).finish())
  }

  #ask(type: 'get' | 'set', content: BinaryNode): Promise<BinaryNode> {
    this.#counter += 1
    const id = `c${this.#counter}`
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve)
      this.registration.receive(node('iq', { id, type, xmlns: 'md', to: '@s.whatsapp.net' }, [content]))
    })
  }

  #receive(stanza: BinaryNode): void {
    const { id = '', type } = stanza.attrs
    if (stanza.tag === 'iq' && (type === 'result' || type === 'error')) {
      this.#waiting.get(id)?.(stanza)
    } else if (stanza.tag === 'iq' && child(stanza)?.tag === 'pair-device') {
      this.#refs = children(child(stanza), 'ref').map((ref) => textOf(ref)!)
      this.registration.receive(node('iq', { id, type: 'result', to: '@s.whatsapp.net' }))
    } else if (stanza.tag === 'iq' && child(stanza)?.tag === 'pair-success') {
      this.#acceptLink(stanza)
    } else if (type === 'passkey_prologue_request') {
      this.#handoffKey = hkdf(this.advSecret, 32, { info: 'shortcake-passkey-handoff-v1' })
      this.advSecret = randomBytes(32)
      this.options.resolve(JSON.parse(textOf(child(stanza, 'passkey_request_options'))!))
    } else if (type === 'crsc_continuation') {
      const bytes = bytesOf(child(stanza, 'primary_ephemeral_identity'))!
      const { publicKey, nonce } = proto.PrimaryEphemeralIdentity.decode(bytes)
      this.#primary = { publicKey: publicKey!, nonce: nonce! }
      this.continuation.resolve()
    }
  }

  #acceptLink(stanza: BinaryNode): void {
    const success = child(stanza)
    const { details, hmac } = proto.ADVSignedDeviceIdentityHMAC.decode(bytesOf(child(success, 'device-identity'))!)
    if (!hmacSha256(this.advSecret, details!).equals(hmac!)) {
      this.linked.reject(new Error('the HMAC is not by the new ADV secret'))
      return
    }
    const identity = proto.ADVSignedDeviceIdentity.decode(details!)
    const signed = Buffer.concat([
      Buffer.of(6, 1),
      identity.details!,
      this.#identity.public,
      identity.accountSignatureKey!,
    ])
    const { keyIndex } = proto.ADVDeviceIdentity.decode(identity.details!)
    const answer = proto.ADVSignedDeviceIdentity.encode({ ...identity, deviceSignature: sign(this.#identity, signed) })
    const { id } = stanza.attrs
    this.registration.receive(
      node('iq', { id, type: 'result', to: '@s.whatsapp.net' }, [
        node('pair-device-sign', {}, [
          node('device-identity', { 'key-index': keyIndex! }, Buffer.from(answer.finish())),
        ]),
      ]),
    )
    this.linked.resolve(child(success, 'device')!.attrs.jid!)
  }
}
