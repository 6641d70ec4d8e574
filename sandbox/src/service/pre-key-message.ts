/** Signal's version byte: current version 3, message version 3. */
const VERSION = 0x33

/** What a service can read of a `pkmsg` without any key. */
export interface PreKeyMessageHead {
  /** 32 bytes. */
  readonly identity: Buffer
  readonly registrationId: number | undefined
  readonly preKeyId: number | undefined
  readonly signedPreKeyId: number | undefined
}

const FIELDS = { preKeyId: 1, identity: 3, registrationId: 5, signedPreKeyId: 6 } as const

/** Reads the head of a PreKeySignalMessage. Throws an Error when it is none. */
export function readPreKeyMessage(ciphertext: Uint8Array): PreKeyMessageHead {
  if (ciphertext[0] !== VERSION) throw new Error(`version byte ${ciphertext[0]?.toString(16)} instead of 33`)
  const numbers = new Map<number, number>()
  let identity: Buffer | undefined
  const bytes = Buffer.from(ciphertext)
  let position = 1
  const readVarint = (): number => {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = bytes[position]
      if (byte === undefined) throw new Error('the message is cut off')
      position += 1
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw new Error('a varint is too long')
  }
  while (position < bytes.length) {
    const key = readVarint()
    const [field, wireType] = [key >>> 3, key & 7]
    if (wireType === 0) {
      numbers.set(field, readVarint())
    } else if (wireType === 2) {
      const length = readVarint()
      if (position + length > bytes.length) throw new Error('the message is cut off')
      if (field === FIELDS.identity) identity = bytes.subarray(position, position + length)
      position += length
    } else throw new Error(`unexpected wire type ${wireType}`)
  }
  if (identity?.length !== 33 || identity[0] !== 5) throw new Error('no identity key in it')
  return {
    identity: identity.subarray(1),
    registrationId: numbers.get(FIELDS.registrationId),
    preKeyId: numbers.get(FIELDS.preKeyId),
    signedPreKeyId: numbers.get(FIELDS.signedPreKeyId),
  }
}
