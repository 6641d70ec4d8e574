/**
 * Reads two facts out of a serialised libsignal SessionRecord, which whatsapp-rust-bridge has no getter for.
 * Protobuf: RecordStructure.current_session = 1; in SessionStructure remote_registration_id = 10, alice_base_key = 13.
 */
export const readSessionRecord = (
  record: Uint8Array,
): { registrationId: number | undefined; baseKey: Uint8Array | undefined } => {
  const current = fieldsOf(record).get(CURRENT_SESSION)
  if (!(current instanceof Uint8Array)) return { registrationId: undefined, baseKey: undefined }
  const fields = fieldsOf(current)
  const registrationId = fields.get(REMOTE_REGISTRATION_ID)
  const baseKey = fields.get(ALICE_BASE_KEY)
  return {
    registrationId: typeof registrationId === 'number' ? registrationId : undefined,
    baseKey: baseKey instanceof Uint8Array ? baseKey : undefined,
  }
}

const CURRENT_SESSION = 1
const REMOTE_REGISTRATION_ID = 10
const ALICE_BASE_KEY = 13

/** The last value of each field of a protobuf message; numbers for varints, bytes for length-delimited ones. */
const fieldsOf = (bytes: Uint8Array): Map<number, number | Uint8Array> => {
  const fields = new Map<number, number | Uint8Array>()
  let at = 0
  const readVarint = (): number => {
    let value = 0
    for (let shift = 0; shift < 64; shift += 7) {
      const byte = bytes[at++]
      if (byte === undefined) throw new Error('truncated session record')
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw new Error('overlong varint in session record')
  }
  while (at < bytes.length) {
    const tag = readVarint()
    const field = Math.floor(tag / 8)
    const wireType = tag % 8
    if (wireType === 0) fields.set(field, readVarint())
    else if (wireType === 2) {
      const length = readVarint()
      if (at + length > bytes.length) throw new Error('truncated session record')
      fields.set(field, bytes.subarray(at, at + length))
      at += length
    } else throw new Error(`unexpected wire type ${wireType} in session record`)
  }
  return fields
}
