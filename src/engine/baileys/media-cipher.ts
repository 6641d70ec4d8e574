import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
import { open } from 'node:fs/promises'
import { Transform, type TransformCallback } from 'node:stream'
import { ParleyError } from '../../kernel/errors.ts'
import type { MediaKind } from '../index.ts'

/** What the keys of a file are derived for; stickers count as images. */
const INFO: Readonly<Record<MediaKind, string>> = {
  image: 'WhatsApp Image Keys',
  sticker: 'WhatsApp Image Keys',
  video: 'WhatsApp Video Keys',
  audio: 'WhatsApp Audio Keys',
  document: 'WhatsApp Document Keys',
}

/** An encrypted file ends with this much of HMAC-SHA256(iv || ciphertext). */
export const MAC_BYTES = 10
const BLOCK_BYTES = 16
/** One slice of work on the main thread: about 0.3 ms of hashing and encrypting. */
const CHUNK_BYTES = 64 * 1024

/** AES-256-CBC with PKCS#7: always padded up to the next whole block. */
export const encryptedLength = (plainLength: number): number =>
  (Math.floor(plainLength / BLOCK_BYTES) + 1) * BLOCK_BYTES + MAC_BYTES

interface FileKeys {
  readonly iv: Buffer
  readonly cipherKey: Buffer
  readonly macKey: Buffer
}

const deriveKeys = (kind: MediaKind, mediaKey: Uint8Array): FileKeys => {
  // 112 bytes as WhatsApp derives them; the last 32 are a key for references that nobody uses
  const keys = Buffer.from(hkdfSync('sha256', mediaKey, new Uint8Array(0), INFO[kind], 112))
  return { iv: keys.subarray(0, 16), cipherKey: keys.subarray(16, 48), macKey: keys.subarray(48, 80) }
}

/** The encrypted form of a file, chunk by chunk; `onPlain` sees what was read. */
export async function* encryptFile(
  path: string,
  kind: MediaKind,
  mediaKey: Uint8Array,
  onPlain?: (chunk: Uint8Array) => void,
): AsyncGenerator<Buffer> {
  const { iv, cipherKey, macKey } = deriveKeys(kind, mediaKey)
  const cipher = createCipheriv('aes-256-cbc', cipherKey, iv)
  const mac = createHmac('sha256', macKey).update(iv)
  await using file = await open(path, 'r')
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES)
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES)
    if (bytesRead === 0) break
    const plain = buffer.subarray(0, bytesRead)
    onPlain?.(plain)
    const sealed = cipher.update(plain)
    mac.update(sealed)
    if (sealed.length > 0) yield sealed
  }
  const last = cipher.final()
  yield Buffer.concat([last, mac.update(last).digest().subarray(0, MAC_BYTES)])
}

export interface FileHashes {
  readonly fileSha256: Buffer
  readonly fileEncSha256: Buffer
  readonly fileLength: number
}

/** The hashes that a message names, and that the upload's address needs before the first byte. */
export const hashFile = async (path: string, kind: MediaKind, mediaKey: Uint8Array): Promise<FileHashes> => {
  const plainHash = createHash('sha256')
  const sealedHash = createHash('sha256')
  let fileLength = 0
  const chunks = encryptFile(path, kind, mediaKey, (chunk) => {
    plainHash.update(chunk)
    fileLength += chunk.length
  })
  for await (const chunk of chunks) sealedHash.update(chunk)
  return { fileSha256: plainHash.digest(), fileEncSha256: sealedHash.digest(), fileLength }
}

/** Decrypts a file that flows through; fails at its end when it is not the one that the message meant. */
export class MediaDecipher extends Transform {
  readonly #decipher
  readonly #mac
  readonly #plainHash = createHash('sha256')
  readonly #sealedHash = createHash('sha256')
  readonly #expected: { readonly fileSha256: Uint8Array; readonly fileEncSha256: Uint8Array }
  readonly #maxBytes: number
  #held: Buffer = Buffer.alloc(0)
  #bytes = 0

  constructor(
    kind: MediaKind,
    mediaKey: Uint8Array,
    expected: { readonly fileSha256: Uint8Array; readonly fileEncSha256: Uint8Array },
    maxBytes: number,
  ) {
    super()
    const { iv, cipherKey, macKey } = deriveKeys(kind, mediaKey)
    this.#decipher = createDecipheriv('aes-256-cbc', cipherKey, iv)
    this.#mac = createHmac('sha256', macKey).update(iv)
    this.#expected = expected
    this.#maxBytes = maxBytes
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback) {
    this.#bytes += chunk.length
    if (this.#bytes > this.#maxBytes) return callback(tooLarge(this.#maxBytes))
    this.#sealedHash.update(chunk)
    // the last bytes are the MAC, and which ones are the last is known at the end only
    const all = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
    const ready = all.subarray(0, Math.max(0, all.length - MAC_BYTES))
    this.#held = Buffer.from(all.subarray(ready.length))
    if (ready.length === 0) return callback()
    this.#mac.update(ready)
    callback(null, this.#open(ready))
  }

  override _flush(callback: TransformCallback) {
    const { fileSha256, fileEncSha256 } = this.#expected
    if (!same(this.#mac.digest().subarray(0, MAC_BYTES), this.#held)) return callback(damaged('its MAC does not hold'))
    if (fileEncSha256.length > 0 && !same(this.#sealedHash.digest(), fileEncSha256))
      return callback(damaged('it has another hash than the message says'))
    let last: Buffer
    try {
      last = this.#decipher.final()
    } catch (error) {
      return callback(damaged(`it cannot be decrypted: ${error instanceof Error ? error.message : String(error)}`))
    }
    this.#plainHash.update(last)
    if (!same(this.#plainHash.digest(), fileSha256))
      return callback(damaged('what is inside has another hash than the message says'))
    callback(null, last)
  }

  #open(sealed: Buffer): Buffer {
    const plain = this.#decipher.update(sealed)
    this.#plainHash.update(plain)
    return plain
  }
}

const same = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b)

const damaged = (why: string): ParleyError =>
  new ParleyError('whatsapp_refused', `the file on WhatsApp's servers is damaged: ${why}`)

const tooLarge = (limit: number): ParleyError =>
  new ParleyError('too_large', `the file is larger than ${limit} bytes`, { data: { limit_bytes: limit } })
