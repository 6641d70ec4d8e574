/** The last value of each field of a protobuf message; numbers for varints, bytes for length-delimited ones. */
export const fieldsOf = (bytes: Uint8Array): Map<number, number | Uint8Array> => {
  const fields = new Map<number, number | Uint8Array>()
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
    if (wireType === 0) fields.set(field, readVarint())
    else if (wireType === 2) {
      const length = readVarint()
      if (at + length > bytes.length) throw new Error('truncated protobuf')
      fields.set(field, bytes.subarray(at, at + length))
      at += length
    } else throw new Error(`unexpected wire type ${wireType}`)
  }
  return fields
}
