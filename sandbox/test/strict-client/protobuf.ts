/** The top-level fields of a protobuf message of which only the wire format is known. @throws RangeError */
export function readFields(encoded: Uint8Array) {
  const fields = new Map<number, number | Buffer>()
  const bytes = Buffer.from(encoded)
  let position = 0
  const varint = (): number => {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes.readUInt8(position)
      position += 1
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value
    }
  }
  while (position < bytes.length) {
    const key = varint()
    if ((key & 7) === 0) fields.set(key >>> 3, varint())
    else if ((key & 7) === 2) {
      const end = varint() + position
      if (end > bytes.length) throw new RangeError('a field is cut off')
      fields.set(key >>> 3, bytes.subarray(position, end))
      position = end
    } else throw new RangeError(`unexpected wire type ${key & 7}`)
  }
  return {
    number: (field: number): number | undefined => {
      const value = fields.get(field)
      return typeof value === 'number' ? value : undefined
    },
    bytes: (field: number): Buffer | undefined => {
      const value = fields.get(field)
      return typeof value === 'number' ? undefined : value
    },
  }
}
