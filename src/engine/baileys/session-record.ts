import { eachField, encodeVarint, fieldsOf } from './protobuf-fields.ts'

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

const PREVIOUS_SESSIONS = 2
/** Protobuf key of a length-delimited field. */
const keyOf = (field: number): number => field * 8 + 2

/** The states of a record, the one in use first. libsignal keeps older ones, because first messages may cross. */
export const splitSessionRecord = (record: Uint8Array): Uint8Array[] => {
  const states: Uint8Array[] = []
  for (const { field, value } of eachField(record)) {
    if (!(value instanceof Uint8Array)) continue
    if (field === CURRENT_SESSION) states.unshift(value)
    else if (field === PREVIOUS_SESSIONS) states.push(value)
  }
  return states
}

export const joinSessionRecord = (states: readonly Uint8Array[]): Uint8Array =>
  Buffer.concat(
    states.flatMap((state, i) => [
      Buffer.of(keyOf(i === 0 ? CURRENT_SESSION : PREVIOUS_SESSIONS)),
      encodeVarint(state.length),
      state,
    ]),
  )
