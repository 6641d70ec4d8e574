import { fieldsOf } from './protobuf-fields.ts'

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
