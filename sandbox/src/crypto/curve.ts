import {
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  randomBytes,
  sign as signNatively,
  verify as verifyNatively,
} from 'node:crypto'

/**
 * An X25519 key pair that can also sign with XEdDSA. `private` is the clamped scalar, `public` the 32-byte
 * u-coordinate without the 0x05 type byte, `seed` the 32-byte Ed25519 seed the scalar was derived from (keep it:
 * signing needs it).
 */
export interface KeyPair {
  readonly public: Buffer
  readonly private: Buffer
  readonly seed: Buffer
}

const X25519_PRIVATE_DER = Buffer.from('302e020100300506032b656e04220420', 'hex')
const X25519_PUBLIC_DER = Buffer.from('302a300506032b656e032100', 'hex')
const ED25519_PRIVATE_DER = Buffer.from('302e020100300506032b657004220420', 'hex')
const ED25519_PUBLIC_DER = Buffer.from('302a300506032b6570032100', 'hex')

/** The DJB key type byte that libsignal writes before a public key. */
export const KEY_TYPE = 0x05

/** Makes a key pair, from 32 bytes of `seed` when given (same seed, same pair), else from random bytes. */
export function generateKeyPair(seed: Uint8Array = randomBytes(32)): KeyPair {
  if (seed.length !== 32) throw new RangeError('a key seed has 32 bytes')
  // RFC 8032 5.1.5: the first half of SHA-512(seed), clamped, is the Ed25519 scalar. The same scalar is a valid X25519
  // private key of the corresponding Montgomery point, so native Ed25519 can sign for it (33 us instead of ms).
  const scalar = createHash('sha512').update(seed).digest().subarray(0, 32)
  scalar[0]! &= 248
  scalar[31]! &= 127
  scalar[31]! |= 64
  return { private: scalar, public: derivePublicKey(scalar), seed: Buffer.from(seed) }
}

/** The public key (32 bytes) of an X25519 private key. */
export function derivePublicKey(privateKey: Uint8Array): Buffer {
  const key = createPublicKey(importPrivate(X25519_PRIVATE_DER, privateKey))
  return key.export({ type: 'spki', format: 'der' }).subarray(-32)
}

/** X25519. Throws on a malformed key and on a low-order public key. */
export function agree(privateKey: Uint8Array, publicKey: Uint8Array): Buffer {
  return diffieHellman({
    privateKey: importPrivate(X25519_PRIVATE_DER, privateKey),
    publicKey: importPublic(X25519_PUBLIC_DER, stripKeyType(publicKey)),
  })
}

/** XEdDSA in Signal's form: 64 bytes, the sign of the Edwards public key in the top bit of the last byte. */
export function sign(keyPair: KeyPair, message: Uint8Array): Buffer {
  const key = importPrivate(ED25519_PRIVATE_DER, keyPair.seed)
  const signature = signNatively(null, message, key)
  const edwards = createPublicKey(key).export({ type: 'spki', format: 'der' })
  signature[63]! |= edwards[edwards.length - 1]! & 0x80
  return signature
}

/** True only for a valid XEdDSA signature by the owner of the X25519 `publicKey` (32 bytes, or 33 with 0x05). */
export function verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== 64 || !isPublicKey(publicKey)) return false
  const edwards = toEdwards(stripKeyType(publicKey))
  if (edwards === undefined) return false
  edwards[31]! |= signature[63]! & 0x80
  const plain = Buffer.from(signature)
  plain[63]! &= 0x7f
  return verifyNatively(null, message, importPublic(ED25519_PUBLIC_DER, edwards), plain)
}

/** 33 bytes: the type byte, then the key. */
export function withKeyType(publicKey: Uint8Array): Buffer {
  return publicKey.length === 33 ? Buffer.from(publicKey) : Buffer.concat([Buffer.of(KEY_TYPE), publicKey])
}

/** 32 bytes: the key without a type byte. Throws on any other length or type. */
export function stripKeyType(publicKey: Uint8Array): Uint8Array {
  if (!isPublicKey(publicKey)) throw new RangeError(`not a curve25519 public key (${publicKey.length} bytes)`)
  return publicKey.length === 33 ? publicKey.subarray(1) : publicKey
}

/** Whether the bytes have the form of a public key: 32 bytes, or 33 with the type byte. */
export function isPublicKey(bytes: Uint8Array): boolean {
  return bytes.length === 32 || (bytes.length === 33 && bytes[0] === KEY_TYPE)
}

const P = 2n ** 255n - 19n

/** Montgomery u to Edwards y = (u - 1) / (u + 1), sign bit clear; undefined for u = -1, which has no image. */
function toEdwards(publicKey: Uint8Array): Buffer | undefined {
  const bytes = Buffer.from(publicKey).reverse()
  bytes[0]! &= 0x7f
  const u = BigInt(`0x${bytes.toString('hex')}`) % P
  const denominator = (u + 1n) % P
  if (denominator === 0n) return undefined
  const y = ((u + P - 1n) * invert(denominator)) % P
  return Buffer.from(y.toString(16).padStart(64, '0'), 'hex').reverse()
}

/** Inverse modulo P by the extended Euclidean algorithm (an order of magnitude cheaper than Fermat in BigInt). */
function invert(value: bigint): bigint {
  let [previous, current] = [P, value]
  let [previousFactor, factor] = [0n, 1n]
  while (current !== 0n) {
    const quotient = previous / current
    ;[previous, current] = [current, previous - quotient * current]
    ;[previousFactor, factor] = [factor, previousFactor - quotient * factor]
  }
  return previousFactor < 0n ? previousFactor + P : previousFactor
}

function importPrivate(prefix: Buffer, key: Uint8Array) {
  if (key.length !== 32) throw new RangeError(`a private key has 32 bytes, not ${key.length}`)
  return createPrivateKey({ key: Buffer.concat([prefix, key]), format: 'der', type: 'pkcs8' })
}

function importPublic(prefix: Buffer, key: Uint8Array) {
  return createPublicKey({ key: Buffer.concat([prefix, key]), format: 'der', type: 'spki' })
}
