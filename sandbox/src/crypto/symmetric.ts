import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  hkdfSync,
  pbkdf2,
  timingSafeEqual,
} from 'node:crypto'
import { promisify } from 'node:util'

const NOTHING = new Uint8Array(0)
const GCM_TAG_BYTES = 16

export function sha256(...parts: readonly Uint8Array[]): Buffer {
  return digest('sha256', parts)
}

export function sha1(...parts: readonly Uint8Array[]): Buffer {
  return digest('sha1', parts)
}

export function hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Buffer {
  const mac = createHmac('sha256', key)
  for (const part of parts) mac.update(part)
  return mac.digest()
}

/** HKDF-SHA256. An absent salt is 32 zero bytes, as RFC 5869 says. */
export function hkdf(
  input: Uint8Array,
  length: number,
  options: { salt?: Uint8Array; info?: string | Uint8Array } = {},
) {
  return Buffer.from(hkdfSync('sha256', input, options.salt ?? NOTHING, options.info ?? NOTHING, length))
}

/** AES-256-GCM; the result ends with the 16-byte tag. */
export function encryptGcm(key: Uint8Array, iv: Uint8Array, plaintext: Uint8Array, aad: Uint8Array = NOTHING): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, iv)
  cipher.setAAD(aad)
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
}

/** The reverse of `encryptGcm`. Throws when the tag does not fit. */
export function decryptGcm(key: Uint8Array, iv: Uint8Array, sealed: Uint8Array, aad: Uint8Array = NOTHING): Buffer {
  if (sealed.length < GCM_TAG_BYTES) throw new Error('a GCM ciphertext is at least 16 bytes long')
  const decipher = createDecipheriv('aes-256-gcm', key, iv)
  decipher.setAAD(aad)
  decipher.setAuthTag(sealed.subarray(sealed.length - GCM_TAG_BYTES))
  return Buffer.concat([decipher.update(sealed.subarray(0, sealed.length - GCM_TAG_BYTES)), decipher.final()])
}

/** AES-256-CTR, its own reverse; `iv` is the 16-byte initial counter block. */
export function applyCtr(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-ctr', key, iv)
  return Buffer.concat([cipher.update(data), cipher.final()])
}

/** AES-256-CBC with PKCS#7 padding. */
export function encryptCbc(key: Uint8Array, iv: Uint8Array, plaintext: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-cbc', key, iv)
  return Buffer.concat([cipher.update(plaintext), cipher.final()])
}

/** The reverse of `encryptCbc`. Throws on bad padding. */
export function decryptCbc(key: Uint8Array, iv: Uint8Array, ciphertext: Uint8Array): Buffer {
  const decipher = createDecipheriv('aes-256-cbc', key, iv)
  return Buffer.concat([decipher.update(ciphertext), decipher.final()])
}

const pbkdf2Async = promisify(pbkdf2)

/** The key of a link code: PBKDF2-SHA256, 2 << 16 rounds, 32 bytes. */
export function stretchLinkCode(code: string, salt: Uint8Array): Promise<Buffer> {
  return pbkdf2Async(Buffer.from(code), salt, 2 << 16, 32, 'sha256')
}

/** Compares in constant time; different lengths are simply unequal. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}

function digest(algorithm: string, parts: readonly Uint8Array[]): Buffer {
  const hash = createHash(algorithm)
  for (const part of parts) hash.update(part)
  return hash.digest()
}
