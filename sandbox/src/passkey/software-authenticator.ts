// A passkey in software: what a browser tab on web.whatsapp.com and the phone's authenticator would do together.
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { sha256 } from '../crypto/symmetric.ts'
import { type Assertion, type Credential, FLAG_USER_PRESENT, FLAG_USER_VERIFIED, fromBase64Url } from './webauthn.ts'

export const WHATSAPP_ORIGIN = 'https://web.whatsapp.com'
export const WHATSAPP_RP_ID = 'whatsapp.com'

/** A browser or authenticator would not answer; the message says why. */
export class AuthenticatorError extends Error {
  override readonly name = 'AuthenticatorError'
}

/** A passkey as plain data. */
export interface AuthenticatorState {
  readonly id: Buffer
  readonly userHandle: Buffer
  /** PKCS#8, DER. */
  readonly privateKey: Buffer
  readonly signCount: number
}

export class SoftwareAuthenticator {
  readonly #id: Buffer
  readonly #userHandle: Buffer
  readonly #privateKey: KeyObject
  readonly #publicKey: KeyObject
  #signCount: number

  /** A new passkey, or the one of an earlier process. */
  constructor(state?: AuthenticatorState) {
    this.#id = state?.id ?? randomBytes(16)
    this.#userHandle = state?.userHandle ?? randomBytes(16)
    this.#signCount = state?.signCount ?? 0
    this.#privateKey =
      state === undefined
        ? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
        : createPrivateKey({ key: state.privateKey, format: 'der', type: 'pkcs8' })
    this.#publicKey = createPublicKey(this.#privateKey)
  }

  snapshot(): AuthenticatorState {
    const privateKey = this.#privateKey.export({ format: 'der', type: 'pkcs8' })
    return { id: this.#id, userHandle: this.#userHandle, privateKey, signCount: this.#signCount }
  }

  /** What a relying party stores at registration. */
  get credential(): Credential {
    return { id: this.#id, publicKey: this.#publicKey, userHandle: this.#userHandle, signCount: 0 }
  }

  /**
   * Signs a challenge, as `navigator.credentials.get` in a tab of that origin.
   * @param options the JSON form of the `publicKey` argument
   * @throws AuthenticatorError when a browser would refuse: foreign rpId, no allowed credential, malformed options
   */
  assert(options: unknown, origin: string = WHATSAPP_ORIGIN): Assertion {
    if (typeof options !== 'object' || options === null) throw new AuthenticatorError('options is not an object')
    const { challenge, rpId, allowCredentials } = options as Record<string, unknown>
    const challengeBytes = fromBase64Url(challenge)
    if (challengeBytes === undefined || challengeBytes.length < 16) {
      throw new AuthenticatorError('challenge is not at least 16 bytes of unpadded base64url')
    }
    const { hostname } = new URL(origin)
    if (typeof rpId !== 'string' || (hostname !== rpId && !hostname.endsWith(`.${rpId}`))) {
      throw new AuthenticatorError(`the relying party ${String(rpId)} is not that of ${origin}`)
    }
    if (!this.#isAllowed(allowCredentials)) throw new AuthenticatorError('none of the allowed credentials is here')
    this.#signCount += 1
    const clientDataJSON = Buffer.from(
      JSON.stringify({ type: 'webauthn.get', challenge, origin, crossOrigin: false }),
      'utf8',
    )
    const authenticatorData = Buffer.alloc(37)
    sha256(Buffer.from(rpId)).copy(authenticatorData)
    authenticatorData[32] = FLAG_USER_PRESENT | FLAG_USER_VERIFIED
    authenticatorData.writeUInt32BE(this.#signCount, 33)
    const signed = Buffer.concat([authenticatorData, sha256(clientDataJSON)])
    const signature = sign('sha256', signed, { key: this.#privateKey, dsaEncoding: 'der' })
    const id = this.#id.toString('base64url')
    return {
      id,
      rawId: id,
      type: 'public-key',
      response: {
        clientDataJSON: clientDataJSON.toString('base64url'),
        authenticatorData: authenticatorData.toString('base64url'),
        signature: signature.toString('base64url'),
        userHandle: this.#userHandle.toString('base64url'),
      },
    }
  }

  #isAllowed(allowed: unknown): boolean {
    if (allowed === undefined || (Array.isArray(allowed) && allowed.length === 0)) return true
    const own = this.#id.toString('base64url')
    return Array.isArray(allowed) && allowed.some((entry: { id?: unknown } | null) => entry?.id === own)
  }
}
