import { proto } from 'baileys/WAProto/index.js'
import { verify } from '../crypto/curve.ts'
import { equalBytes } from '../crypto/symmetric.ts'

const { ADVEncryptionType } = proto

const ACCOUNT_SIGNATURE = Buffer.from([6, 0])
const HOSTED_ACCOUNT_SIGNATURE = Buffer.from([6, 5])
const DEVICE_SIGNATURE = Buffer.from([6, 1])
const HOSTED_DEVICE_SIGNATURE = Buffer.from([6, 6])

/** The parts of an `ADVSignedDeviceIdentity` that were found valid. */
export interface SignedIdentity {
  readonly details: Uint8Array
  readonly keyIndex: number
  readonly hosted: boolean
  readonly accountSignature: Uint8Array
}

/**
 * Decodes an `ADVSignedDeviceIdentity` and verifies the account signature over the device's identity key.
 * Throws an Error that says what does not fit.
 */
export function verifyAccountSignature(
  encoded: Uint8Array,
  accountIdentity: Uint8Array,
  deviceIdentity: Uint8Array,
): SignedIdentity {
  const signed = proto.ADVSignedDeviceIdentity.decode(encoded)
  if (!signed.details?.length || !signed.accountSignature?.length) {
    throw new Error('the device identity lacks details or account signature')
  }
  if (signed.accountSignatureKey?.length && !equalBytes(signed.accountSignatureKey, accountIdentity)) {
    throw new Error("the account signature key is not the account's identity")
  }
  const details = proto.ADVDeviceIdentity.decode(signed.details)
  const hosted = details.deviceType === ADVEncryptionType.HOSTED
  const prefix = hosted ? HOSTED_ACCOUNT_SIGNATURE : ACCOUNT_SIGNATURE
  const message = Buffer.concat([prefix, signed.details, deviceIdentity])
  if (!verify(accountIdentity, message, signed.accountSignature)) throw new Error('the account signature is wrong')
  return { details: signed.details, keyIndex: details.keyIndex ?? 0, hosted, accountSignature: signed.accountSignature }
}

/** Verifies the device's own signature in an `ADVSignedDeviceIdentity`. Throws an Error that says what does not fit. */
export function verifyDeviceSignature(
  encoded: Uint8Array,
  accountIdentity: Uint8Array,
  deviceIdentity: Uint8Array,
): void {
  const { details, hosted } = verifyAccountSignature(encoded, accountIdentity, deviceIdentity)
  const { deviceSignature } = proto.ADVSignedDeviceIdentity.decode(encoded)
  if (!deviceSignature?.length) throw new Error('the device identity lacks the device signature')
  const prefix = hosted ? HOSTED_DEVICE_SIGNATURE : DEVICE_SIGNATURE
  const message = Buffer.concat([prefix, details, deviceIdentity, accountIdentity])
  if (!verify(deviceIdentity, message, deviceSignature)) throw new Error('the device signature is wrong')
}

/** The same encoding with the account's key put in, as receivers get it. */
export function withAccountKey(encoded: Uint8Array, accountIdentity: Uint8Array): Buffer {
  const signed = proto.ADVSignedDeviceIdentity.decode(encoded)
  return Buffer.from(
    proto.ADVSignedDeviceIdentity.encode({ ...signed, accountSignatureKey: Buffer.from(accountIdentity) }).finish(),
  )
}
