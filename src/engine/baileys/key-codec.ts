import { BufferJSON, proto, type SignalDataTypeMap } from 'baileys'

type KeyType = keyof SignalDataTypeMap

/** Types that are bytes already and are stored as they are. */
const RAW: ReadonlySet<string> = new Set(['session', 'sender-key', 'identity-key'])

/** Bytes of one of Baileys' keys: raw for Signal records, JSON (with Baileys' Buffer notation) for the rest. */
export const encodeKey = (type: string, value: unknown): Uint8Array =>
  RAW.has(type) ? (value as Uint8Array) : Buffer.from(JSON.stringify(value, BufferJSON.replacer), 'utf8')

export const decodeKey = <T extends KeyType>(type: T, bytes: Uint8Array): SignalDataTypeMap[T] => {
  if (RAW.has(type)) return Buffer.from(bytes) as unknown as SignalDataTypeMap[T]
  const value = JSON.parse(Buffer.from(bytes).toString('utf8'), BufferJSON.reviver)
  // as JSON this message writes its bytes as base64, and only `fromObject` reads them back
  if (type === 'app-state-sync-key')
    return proto.Message.AppStateSyncKeyData.fromObject(value) as unknown as SignalDataTypeMap[T]
  return value
}

export const encodeCredentials = (credentials: object): Uint8Array =>
  Buffer.from(JSON.stringify(credentials, BufferJSON.replacer), 'utf8')

export const decodeCredentials = <T>(bytes: Uint8Array): T =>
  JSON.parse(Buffer.from(bytes).toString('utf8'), BufferJSON.reviver) as T
