// WhatsApp pads each plaintext with 1 to 16 bytes, every one holding their number.
import { randomInt } from 'node:crypto'

const MAX_PADDING = 16

export function pad(plaintext: Uint8Array): Buffer {
  const length = randomInt(1, MAX_PADDING + 1)
  return Buffer.concat([plaintext, Buffer.alloc(length, length)])
}

/** Removes the padding; undefined when the bytes do not end in a valid one. */
export function unpad(padded: Uint8Array): Uint8Array | undefined {
  const length = padded.at(-1) ?? 0
  if (length < 1 || length > MAX_PADDING || length > padded.length) return undefined
  const end = padded.length - length
  return padded.subarray(end).every((byte) => byte === length) ? padded.subarray(0, end) : undefined
}
