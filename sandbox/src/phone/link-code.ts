// Linking by an eight-character code, the phone's side. The code never travels: it wraps two ephemeral X25519 keys,
// and only both ends with the same code arrive at the same key bundle.
import { randomBytes } from 'node:crypto'
import { agree, generateKeyPair, type KeyPair } from '../crypto/curve.ts'
import { applyCtr, decryptGcm, equalBytes, hkdf, stretchLinkCode } from '../crypto/symmetric.ts'

const SALT_BYTES = 32
const CTR_IV_BYTES = 16
const GCM_IV_BYTES = 12
const WRAPPED_KEY_BYTES = SALT_BYTES + CTR_IV_BYTES + 32
const BUNDLE_BYTES = SALT_BYTES + GCM_IV_BYTES + 96 + 16

// WhatsApp draws its codes from Crockford's alphabet without 0; a client may choose its own, and a phone takes any of these.
const LINK_CODE = /^[0-9A-Z]{8}$/

/** Upper case, without the hyphen and blanks people type; undefined when it cannot be a code. */
export function normalizeLinkCode(text: string): string | undefined {
  const code = text.replace(/[\s-]/g, '').toUpperCase()
  return LINK_CODE.test(code) ? code : undefined
}

export interface PrimaryHello {
  readonly wrappedPrimaryEphemeral: Buffer
  readonly ephemeral: KeyPair
  readonly companionEphemeral: Buffer
}

/**
 * The phone's answer to a companion's wrapped ephemeral key. A wrong code goes unnoticed here: it yields garbage.
 * @throws RangeError when the wrapped key has a wrong length
 */
export async function answerCompanionHello(code: string, wrappedCompanionEphemeral: Uint8Array): Promise<PrimaryHello> {
  const ephemeral = generateKeyPair()
  return {
    ephemeral,
    wrappedPrimaryEphemeral: await wrapEphemeral(code, ephemeral.public),
    companionEphemeral: await unwrapEphemeral(code, wrappedCompanionEphemeral),
  }
}

/**
 * Opens the companion's key bundle and derives the ADV secret.
 * @returns undefined when the bundle does not open (a wrong code) or names other identities than it should
 */
export function openKeyBundle(input: {
  readonly hello: PrimaryHello
  readonly identity: KeyPair
  readonly companionIdentity: Uint8Array
  readonly bundle: Uint8Array
}): Buffer | undefined {
  const { hello, identity, companionIdentity, bundle } = input
  if (bundle.length !== BUNDLE_BYTES || companionIdentity.length !== 32) return undefined
  try {
    const shared = agree(hello.ephemeral.private, hello.companionEphemeral)
    const key = hkdf(shared, 32, {
      salt: bundle.subarray(0, SALT_BYTES),
      info: 'link_code_pairing_key_bundle_encryption_key',
    })
    const iv = bundle.subarray(SALT_BYTES, SALT_BYTES + GCM_IV_BYTES)
    const opened = decryptGcm(key, iv, bundle.subarray(SALT_BYTES + GCM_IV_BYTES))
    if (!equalBytes(opened.subarray(0, 32), companionIdentity)) return undefined
    if (!equalBytes(opened.subarray(32, 64), identity.public)) return undefined
    const random = opened.subarray(64)
    const identities = agree(identity.private, companionIdentity)
    return hkdf(Buffer.concat([shared, identities, random]), 32, { info: 'adv_secret' })
  } catch {
    // node throws the same plain Error for a GCM tag that does not fit and for a low-order point: both mean "wrong code"
    return undefined
  }
}

/** salt (32) | counter block (16) | AES-CTR of the key, under the stretched code. */
export async function wrapEphemeral(code: string, publicKey: Uint8Array): Promise<Buffer> {
  const salt = randomBytes(SALT_BYTES)
  const iv = randomBytes(CTR_IV_BYTES)
  return Buffer.concat([salt, iv, applyCtr(await stretchLinkCode(code, salt), iv, publicKey)])
}

/** The reverse of `wrapEphemeral`; with a wrong code the result is another key. */
export async function unwrapEphemeral(code: string, wrapped: Uint8Array): Promise<Buffer> {
  if (wrapped.length !== WRAPPED_KEY_BYTES) throw new RangeError(`a wrapped key has ${WRAPPED_KEY_BYTES} bytes`)
  const key = await stretchLinkCode(code, wrapped.subarray(0, SALT_BYTES))
  const iv = wrapped.subarray(SALT_BYTES, SALT_BYTES + CTR_IV_BYTES)
  return applyCtr(key, iv, wrapped.subarray(SALT_BYTES + CTR_IV_BYTES))
}
