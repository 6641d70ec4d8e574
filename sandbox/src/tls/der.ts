/** Just enough DER (X.690) to write an X.509 certificate. */

const CLASS_CONTEXT = 0xa0

function element(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.of(tag), lengthOf(body.length), body])
}

/** Short form below 128, else the number of length bytes and the length. */
function lengthOf(length: number): Buffer {
  if (length < 0x80) return Buffer.of(length)
  const hex = length.toString(16)
  const bytes = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex')
  return Buffer.concat([Buffer.of(0x80 | bytes.length), bytes])
}

export const sequence = (...parts: readonly Uint8Array[]): Buffer => element(0x30, ...parts)
export const set = (...parts: readonly Uint8Array[]): Buffer => element(0x31, ...parts)
export const octets = (bytes: Uint8Array): Buffer => element(0x04, bytes)
export const bits = (bytes: Uint8Array, unused = 0): Buffer => element(0x03, Buffer.of(unused), bytes)
export const boolean = (value: boolean): Buffer => element(0x01, Buffer.of(value ? 0xff : 0))
export const utf8 = (text: string): Buffer => element(0x0c, Buffer.from(text))
/** `[number]`, constructed. */
export const tagged = (number: number, ...parts: readonly Uint8Array[]): Buffer =>
  element(CLASS_CONTEXT | number, ...parts)
/** `[number]`, primitive. */
export const taggedBytes = (number: number, bytes: Uint8Array): Buffer => element(0x80 | number, bytes)

/** A non-negative integer from its big-endian bytes. */
export function integer(bytes: Uint8Array): Buffer {
  const significant = bytes.subarray(
    Math.max(
      0,
      Math.min(
        bytes.findIndex((byte) => byte !== 0),
        bytes.length - 1,
      ),
    ),
  )
  const negative = (significant[0] ?? 0) >= 0x80
  return element(0x02, negative ? Buffer.of(0) : Buffer.alloc(0), significant)
}

/** An object identifier from its dotted form. */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const bytes = [first * 40 + second]
  for (const part of rest) {
    const digits = [part & 0x7f]
    for (let left = part >>> 7; left > 0; left >>>= 7) digits.unshift(0x80 | (left & 0x7f))
    bytes.push(...digits)
  }
  return element(0x06, Buffer.from(bytes))
}

/** UTCTime until 2049, GeneralizedTime afterwards (RFC 5280, 4.1.2.5). */
export function time(at: Date): Buffer {
  const digits = `${at.toISOString().slice(0, 19).replace(/[-:T]/g, '')}Z`
  return at.getUTCFullYear() < 2050 ? element(0x17, Buffer.from(digits.slice(2))) : element(0x18, Buffer.from(digits))
}
