// The symmetric helpers that Baileys' sender-key code imports, on node:crypto.
import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from 'node:crypto'

export function encrypt(key, data, iv) {
  const cipher = createCipheriv('aes-256-cbc', key, iv)
  return Buffer.concat([cipher.update(data), cipher.final()])
}

export function decrypt(key, data, iv) {
  const decipher = createDecipheriv('aes-256-cbc', key, iv)
  return Buffer.concat([decipher.update(data), decipher.final()])
}

export function calculateMAC(key, data) {
  return createHmac('sha256', key).update(data).digest()
}

/** HKDF-SHA256 cut into `chunks` (at most 3) keys of 32 bytes, as the Signal protocol's deriveSecrets. */
export function deriveSecrets(input, salt, info, chunks = 3) {
  const all = Buffer.from(hkdfSync('sha256', input, salt, info, 32 * chunks))
  return Array.from({ length: chunks }, (_, i) => all.subarray(32 * i, 32 * (i + 1)))
}
