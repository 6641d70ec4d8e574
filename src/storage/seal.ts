import { createCipheriv, createDecipheriv, type KeyObject, randomBytes, randomFillSync } from 'node:crypto'
import { ParleyError } from '../kernel/errors.ts'

/**
 * Sealed bytes: [version 1][data key id, 4 bytes big endian][iv 12][AES-256-GCM ciphertext][tag 16].
 * The row's identity is bound as additional data, so a value moved to another row does not open.
 */
const VERSION = 1
const HEADER = 5
const IV = 12
const TAG = 16
export const SEAL_OVERHEAD = HEADER + IV + TAG

export interface DataKey {
  readonly id: number
  readonly key: KeyObject
}

/**
 * The identity a value is bound to. Table, device and type never hold a `|` and the id comes last, so no two rows
 * share a text.
 */
export const rowIdentity = (table: string, deviceId: string, type: string, id: string): Buffer =>
  Buffer.from(`${table}|${deviceId}|${type}|${id}`, 'utf8')

/** Random bytes are drawn 4 KB at a time: one call into OpenSSL for 341 seals instead of one each. */
let pool = randomBytes(4096)
let used = 0
const drawIv = (into: Buffer, at: number): void => {
  if (used + IV > pool.length) {
    pool = randomFillSync(Buffer.allocUnsafe(4080))
    used = 0
  }
  pool.copy(into, at, used, used + IV)
  used += IV
}

export const sealBytes = ({ id, key }: DataKey, plain: Uint8Array, identity: Buffer): Buffer => {
  const sealed = Buffer.allocUnsafe(SEAL_OVERHEAD + plain.length)
  sealed[0] = VERSION
  sealed.writeUInt32BE(id, 1)
  drawIv(sealed, HEADER)
  const cipher = createCipheriv('aes-256-gcm', key, sealed.subarray(HEADER, HEADER + IV))
  cipher.setAAD(identity)
  sealed.set(cipher.update(plain), HEADER + IV)
  cipher.final() // GCM is a stream: all of the ciphertext came from update
  sealed.set(cipher.getAuthTag(), HEADER + IV + plain.length)
  return sealed
}

/** The id of the data key that sealed this. @throws data_damaged when it is not a sealed value */
export const sealedWith = (sealed: Uint8Array): number => {
  if (sealed.length < SEAL_OVERHEAD || sealed[0] !== VERSION)
    throw new ParleyError('data_damaged', 'a sealed value in the database is damaged or of an unknown version')
  return Buffer.from(sealed.buffer, sealed.byteOffset, sealed.length).readUInt32BE(1)
}

/** @throws data_damaged when the value was altered, moved from another row, or sealed with another key */
export const openBytes = ({ key }: DataKey, sealed: Uint8Array, identity: Buffer): Buffer => {
  const end = sealed.length - TAG
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(HEADER, HEADER + IV), { authTagLength: TAG })
  decipher.setAAD(identity)
  decipher.setAuthTag(sealed.subarray(end))
  const plain = decipher.update(sealed.subarray(HEADER + IV, end))
  try {
    decipher.final()
  } catch (cause) {
    throw new ParleyError(
      'data_damaged',
      'a sealed value in the database does not open: altered, moved, or sealed with another key',
      {
        cause,
      },
    )
  }
  return plain
}
