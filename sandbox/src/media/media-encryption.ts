// How WhatsApp encrypts files: keys from a random media key, AES-256-CBC, and ten bytes of an HMAC at the end.
import { randomBytes } from 'node:crypto'
import { decryptCbc, encryptCbc, equalBytes, hkdf, hmacSha256, sha256 } from '../crypto/symmetric.ts'

export type MediaKind = 'image' | 'video' | 'audio' | 'document' | 'sticker'

/** What phones put on the media servers for their companions. */
export type BlobKind = 'md-msg-hist' | 'md-app-state'

/** What the keys are derived for; a sticker counts as an image. */
const INFO: Readonly<Record<MediaKind | BlobKind, string>> = {
  image: 'WhatsApp Image Keys',
  sticker: 'WhatsApp Image Keys',
  video: 'WhatsApp Video Keys',
  audio: 'WhatsApp Audio Keys',
  document: 'WhatsApp Document Keys',
  'md-msg-hist': 'WhatsApp History Keys',
  'md-app-state': 'WhatsApp App State Keys',
}

const MAC_BYTES = 10

export interface SealedMedia {
  readonly mediaKey: Buffer
  /** What is uploaded: ciphertext || mac. */
  readonly body: Buffer
  readonly fileSha256: Buffer
  readonly fileEncSha256: Buffer
}

export function sealMedia(kind: MediaKind | BlobKind, plaintext: Uint8Array): SealedMedia {
  const mediaKey = randomBytes(32)
  const { iv, cipherKey, macKey } = deriveKeys(kind, mediaKey)
  const ciphertext = encryptCbc(cipherKey, iv, plaintext)
  const body = Buffer.concat([ciphertext, hmacSha256(macKey, iv, ciphertext).subarray(0, MAC_BYTES)])
  return { mediaKey, body, fileSha256: sha256(plaintext), fileEncSha256: sha256(body) }
}

/** The reverse of `sealMedia`. @throws Error when the MAC or the padding does not fit */
export function openMedia(kind: MediaKind, mediaKey: Uint8Array, body: Uint8Array): Buffer {
  if (mediaKey.length !== 32) throw new Error(`a media key has 32 bytes, not ${mediaKey.length}`)
  if (body.length < MAC_BYTES + 16) throw new Error('an encrypted file is at least 26 bytes long')
  const { iv, cipherKey, macKey } = deriveKeys(kind, mediaKey)
  const ciphertext = body.subarray(0, body.length - MAC_BYTES)
  const mac = hmacSha256(macKey, iv, ciphertext).subarray(0, MAC_BYTES)
  if (!equalBytes(mac, body.subarray(body.length - MAC_BYTES))) throw new Error('the MAC does not fit')
  return decryptCbc(cipherKey, iv, ciphertext)
}

/** The key of media retry requests and their answers. */
export function deriveRetryKey(mediaKey: Uint8Array): Buffer {
  return hkdf(mediaKey, 32, { info: 'WhatsApp Media Retry Notification' })
}

function deriveKeys(kind: MediaKind | BlobKind, mediaKey: Uint8Array) {
  const keys = hkdf(mediaKey, 112, { info: INFO[kind] })
  return { iv: keys.subarray(0, 16), cipherKey: keys.subarray(16, 48), macKey: keys.subarray(48, 80) }
}
