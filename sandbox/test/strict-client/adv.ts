// ADV: who vouches for which device. Every signature is verified, by libsignal's code.
import { proto } from 'baileys/WAProto/index.js'
import { type KeyPair, signatureFits, signWith } from './curve.ts'
import { hmac, sameBytes } from './symmetric.ts'
import { demand } from './violation.ts'

const ACCOUNT = Buffer.of(6, 0)
const DEVICE = Buffer.of(6, 1)
const INDEX_LIST = Buffer.of(6, 2)
const DAY = 86_400

export interface DeviceClaim {
  readonly accountKey: Buffer
  readonly keyIndex: number
}

/** Verifies the blob of pair-success and signs it. @throws Violation */
export function acceptPairing(blob: Uint8Array, advSecret: Uint8Array, identity: KeyPair, now: number) {
  const { details: signed, hmac: mac } = proto.ADVSignedDeviceIdentityHMAC.decode(blob)
  demand(!!signed?.length && mac?.length === 32, 'adv_hmac', 'the blob is incomplete')
  demand(sameBytes(hmac('sha256', advSecret, signed), mac), 'adv_hmac', 'the HMAC is not by our secret')
  const claim = proto.ADVSignedDeviceIdentity.decode(signed)
  demand(!claim.deviceSignature?.length, 'adv_details', 'a device signature before the device signed')
  const { accountKey, keyIndex } = verifyAccount(claim, identity.public, now)
  const deviceSignature = signWith(identity, Buffer.concat([DEVICE, claim.details!, identity.public, accountKey]))
  const encode = (message: proto.IADVSignedDeviceIdentity) =>
    Buffer.from(proto.ADVSignedDeviceIdentity.encode(message).finish())
  const { details, accountSignature } = claim
  return {
    accountKey,
    keyIndex,
    /** What is answered: without the account's key, which the service knows. */
    answer: encode({ details: details!, accountSignature: accountSignature!, deviceSignature }),
    deviceIdentity: encode({ ...claim, deviceSignature }),
  }
}

/** Verifies the `device-identity` beside a companion's pkmsg. @throws Violation */
export function verifyDeviceIdentity(encoded: Uint8Array, identity: Uint8Array, now: number): DeviceClaim {
  const claim = proto.ADVSignedDeviceIdentity.decode(encoded)
  const { accountKey, keyIndex } = verifyAccount(claim, identity, now)
  const signed = Buffer.concat([DEVICE, claim.details!, identity, accountKey])
  const fits = signatureFits(identity, signed, claim.deviceSignature ?? new Uint8Array(0))
  demand(fits, 'adv_device_signature', 'the device signature is wrong')
  return { accountKey, keyIndex }
}

function verifyAccount(claim: proto.IADVSignedDeviceIdentity, identity: Uint8Array, now: number): DeviceClaim {
  const { details, accountSignature, accountSignatureKey } = claim
  demand(!!details?.length && accountSignature?.length === 64, 'adv_details', 'details or account signature missing')
  demand(accountSignatureKey?.length === 32, 'adv_details', 'the account key is missing')
  const signed = Buffer.concat([ACCOUNT, details, identity])
  const fits = signatureFits(accountSignatureKey, signed, accountSignature)
  demand(fits, 'adv_account_signature', 'the account signature is wrong')
  const { rawId, timestamp, keyIndex } = proto.ADVDeviceIdentity.decode(details)
  demand(typeof rawId === 'number' && rawId > 0, 'adv_details', 'no rawId')
  demand(typeof keyIndex === 'number' && keyIndex >= 1, 'adv_details', `key index ${keyIndex}`)
  demand(Math.abs(Number(timestamp) - now) < DAY, 'adv_details', `signed at ${timestamp}`)
  return { accountKey: Buffer.from(accountSignatureKey), keyIndex }
}

export interface KeyIndexList {
  readonly accountKey: Buffer
  readonly timestamp: number
  readonly validIndexes: readonly number[]
}

/** @throws Violation `key_index_list` */
export function verifyKeyIndexList(encoded: Uint8Array, now: number): KeyIndexList {
  const { details, accountSignature, accountSignatureKey } = proto.ADVSignedKeyIndexList.decode(encoded)
  demand(!!details?.length, 'key_index_list', 'no details')
  demand(accountSignatureKey?.length === 32, 'key_index_list', 'no account key')
  const signed = Buffer.concat([INDEX_LIST, details])
  const fits = signatureFits(accountSignatureKey, signed, accountSignature ?? new Uint8Array(0))
  demand(fits, 'key_index_list', 'the account signature is wrong')
  const { timestamp, currentIndex, validIndexes } = proto.ADVKeyIndexList.decode(details)
  demand(Math.abs(Number(timestamp) - now) < DAY, 'key_index_list', `signed at ${timestamp}`)
  const indexes = validIndexes ?? []
  demand(indexes.includes(0), 'key_index_list', 'the phone is not on it')
  demand(new Set(indexes).size === indexes.length, 'key_index_list', 'an index twice')
  demand(
    indexes.every((index) => index <= (currentIndex ?? 0)),
    'key_index_list',
    'an index above the current one',
  )
  return { accountKey: Buffer.from(accountSignatureKey), timestamp: Number(timestamp), validIndexes: indexes }
}
