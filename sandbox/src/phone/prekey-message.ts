// The outside of a Signal PreKeyWhisperMessage: enough of it to see whose identity opened a session.

const IDENTITY_KEY_FIELD = 3
const VARINT = 0
const BYTES = 2

/** The sender's identity key (33 bytes, with the type byte) in a pkmsg; undefined when the bytes are no such message. */
export function readIdentityKey(pkmsg: Uint8Array): Buffer | undefined {
  let position = 1 // the version byte
  const readVarint = (): number | undefined => {
    let value = 0
    for (let shift = 1; position < pkmsg.length && shift <= 2 ** 35; shift *= 128) {
      const byte = pkmsg[position]!
      position += 1
      value += (byte & 0x7f) * shift
      if (byte < 0x80) return value
    }
    return undefined
  }
  while (position < pkmsg.length) {
    const tag = readVarint()
    if (tag === undefined) return undefined
    const value = readVarint()
    if (value === undefined || ((tag & 7) !== VARINT && (tag & 7) !== BYTES)) return undefined
    if ((tag & 7) === VARINT) continue
    const end = position + value
    if (end > pkmsg.length) return undefined
    if (tag >> 3 === IDENTITY_KEY_FIELD) return Buffer.from(pkmsg.subarray(position, end))
    position = end
  }
  return undefined
}
