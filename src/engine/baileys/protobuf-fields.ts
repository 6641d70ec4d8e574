export interface ProtobufField {
  readonly field: number
  /** A number for a varint, bytes for what has a length. */
  readonly value: number | Uint8Array
}

/** The fields of a protobuf message in order. @throws on anything that is neither varint nor length-delimited, or is cut off */
export function* eachField(bytes: Uint8Array): Generator<ProtobufField> {
  let at = 0
  const readVarint = (): number => {
    let value = 0
    for (let shift = 0; shift < 64; shift += 7) {
      const byte = bytes[at++]
      if (byte === undefined) throw new Error('truncated protobuf')
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw new Error('overlong varint')
  }
  while (at < bytes.length) {
    const tag = readVarint()
    const field = Math.floor(tag / 8)
    const wireType = tag % 8
    if (wireType === 0) yield { field, value: readVarint() }
    else if (wireType === 2) {
      const length = readVarint()
      if (at + length > bytes.length) throw new Error('truncated protobuf')
      yield { field, value: bytes.subarray(at, at + length) }
      at += length
    } else throw new Error(`unexpected wire type ${wireType}`)
  }
}

/** The last value of each field of a protobuf message. */
export const fieldsOf = (bytes: Uint8Array): Map<number, number | Uint8Array> =>
  new Map([...eachField(bytes)].map(({ field, value }) => [field, value]))

export const encodeVarint = (value: number): Buffer => {
  const digits: number[] = []
  let left = value
  while (left >= 128) {
    digits.push((left % 128) + 128)
    left = Math.floor(left / 128)
  }
  return Buffer.from([...digits, left])
}
