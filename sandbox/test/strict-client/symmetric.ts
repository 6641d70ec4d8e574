// Hashes, key derivation and ciphers of the wire protocol, on node:crypto.
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  hkdfSync,
  pbkdf2,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto'
import { promisify } from 'node:util'

const GCM_TAG = 16
const NOTHING: Uint8Array = new Uint8Array(0)

export function digest(algorithm: 'sha1' | 'sha256', ...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash(algorithm)
  for (const part of parts) hash.update(part)
  return hash.digest()
}

export function hmac(algorithm: 'sha256' | 'sha512', key: Uint8Array, ...parts: readonly Uint8Array[]): Buffer {
  const mac = createHmac(algorithm, key)
  for (const part of parts) mac.update(part)
  return mac.digest()
}

export function expand(secret: Uint8Array, length: number, info = '', salt: Uint8Array = NOTHING): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, salt, info, length))
}

export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b)

export function sealGcm(key: Uint8Array, iv: Uint8Array, plain: Uint8Array, aad: Uint8Array = NOTHING): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, iv)
  cipher.setAAD(aad)
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

/** @throws Error when the tag does not fit */
export function openGcm(key: Uint8Array, iv: Uint8Array, sealed: Uint8Array, aad: Uint8Array = NOTHING): Buffer {
  if (sealed.length < GCM_TAG) throw new Error('shorter than a GCM tag')
  const decipher = createDecipheriv('aes-256-gcm', key, iv)
  decipher.setAAD(aad)
  decipher.setAuthTag(sealed.subarray(-GCM_TAG))
  return Buffer.concat([decipher.update(sealed.subarray(0, -GCM_TAG)), decipher.final()])
}

/** AES-256-CTR in either direction. */
export function ctr(key: Uint8Array, iv: Uint8Array, input: Uint8Array): Buffer {
  return createCipheriv('aes-256-ctr', key, iv).update(input)
}

/** iv || AES-256-CBC. */
export function sealCbc(key: Uint8Array, plain: Uint8Array): Buffer {
  const iv = randomBytes(16)
  const cipher = createCipheriv('aes-256-cbc', key, iv)
  return Buffer.concat([iv, cipher.update(plain), cipher.final()])
}

export function openCbc(key: Uint8Array, sealed: Uint8Array): Buffer {
  const decipher = createDecipheriv('aes-256-cbc', key, sealed.subarray(0, 16))
  return Buffer.concat([decipher.update(sealed.subarray(16)), decipher.final()])
}

const derive = promisify(pbkdf2)

/** The key that a link code wraps keys with: PBKDF2-SHA256, 2 << 16 rounds. */
export const stretchCode = (code: string, salt: Uint8Array): Promise<Buffer> =>
  derive(code, salt, 2 << 16, 32, 'sha256')
