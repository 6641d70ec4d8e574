// Baileys only reads the sender's identity key out of a PreKeyWhisperMessage (field 3 of the protobuf, 33 bytes).
const IDENTITY_KEY_FIELD = 3

const readVarint = (bytes, at) => {
  let value = 0
  for (let shift = 0, i = at; i < bytes.length && shift < 49; shift += 7, i++) {
    value += (bytes[i] & 0x7f) * 2 ** shift
    if (bytes[i] < 0x80) return { value, next: i + 1 }
  }
  throw new Error('truncated varint')
}

export const PreKeyWhisperMessage = {
  decode(bytes) {
    let at = 0
    while (at < bytes.length) {
      const tag = readVarint(bytes, at)
      const field = Math.floor(tag.value / 8)
      const wireType = tag.value % 8
      const item = readVarint(bytes, tag.next)
      if (wireType === 0) at = item.next
      else if (wireType === 2) {
        at = item.next + item.value
        if (at > bytes.length) throw new Error('truncated field')
        if (field === IDENTITY_KEY_FIELD) return { identityKey: bytes.slice(item.next, at) }
      } else throw new Error(`unexpected wire type ${wireType}`)
    }
    return { identityKey: undefined }
  },
}
