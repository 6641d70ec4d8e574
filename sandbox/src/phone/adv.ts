// ADV ("account device verification"): how a phone vouches for a companion, and the companion for its account.
import { proto } from 'baileys/WAProto/index.js'
import { isPublicKey, type KeyPair, sign, stripKeyType, verify } from '../crypto/curve.ts'
import { equalBytes, hmacSha256 } from '../crypto/symmetric.ts'
import type { KeyIndexes } from '../service/peer.ts'

const ACCOUNT_PREFIX = Buffer.of(6, 0)
const DEVICE_PREFIX = Buffer.of(6, 1)
const KEY_INDEX_LIST_PREFIX = Buffer.of(6, 2)

export interface CompanionCertificate {
  /** Encoded ADVDeviceIdentity. */
  readonly details: Buffer
  /** Encoded ADVSignedDeviceIdentity without the device signature. */
  readonly signed: Buffer
  /** Encoded ADVSignedDeviceIdentityHMAC: the content of pair-success' `device-identity`. */
  readonly blob: Buffer
}

/** What the phone hands a new companion: its details, signed by the account and authenticated by the ADV secret. */
export function certifyCompanion(input: {
  readonly accountIdentity: KeyPair
  readonly companionIdentity: Uint8Array
  readonly advSecret: Uint8Array
  /** Random number of this account's key; the same for all its companions. */
  readonly rawId: number
  /** Position in the account's list of companion keys, from 1, never reused. */
  readonly keyIndex: number
  /** Seconds since 1970. */
  readonly timestamp: number
}): CompanionCertificate {
  const { accountIdentity, rawId, keyIndex, timestamp } = input
  const details = encode(proto.ADVDeviceIdentity, { rawId, timestamp, keyIndex })
  const signed = encode(proto.ADVSignedDeviceIdentity, {
    details,
    accountSignatureKey: accountIdentity.public,
    accountSignature: sign(
      accountIdentity,
      Buffer.concat([ACCOUNT_PREFIX, details, stripKeyType(input.companionIdentity)]),
    ),
  })
  const blob = encode(proto.ADVSignedDeviceIdentityHMAC, { details: signed, hmac: hmacSha256(input.advSecret, signed) })
  return { details, signed, blob }
}

export interface DeviceIdentityClaim {
  readonly keyIndex: number
  readonly rawId: number
  /** Seconds since 1970. */
  readonly timestamp: number
}

/**
 * Checks an encoded ADVSignedDeviceIdentity that a companion presents (pair-device-sign, or beside a pkmsg).
 * The account key may be absent from it, then the known one counts; when present, it must be the known one.
 * @returns the details, or the reason (a short sentence) why the claim is refused
 */
export function checkDeviceIdentity(
  encoded: Uint8Array,
  companionIdentity: Uint8Array,
  accountKey: Uint8Array,
): DeviceIdentityClaim | string {
  if (!isPublicKey(companionIdentity)) return 'companion identity is not a public key'
  const companionKey = stripKeyType(companionIdentity)
  const claim = decode(proto.ADVSignedDeviceIdentity, encoded)
  if (claim === undefined) return 'device identity is not an ADVSignedDeviceIdentity'
  const { details, accountSignature, deviceSignature, accountSignatureKey } = claim
  if (!details?.length || !accountSignature?.length || !deviceSignature?.length) {
    return 'device identity lacks details, account signature or device signature'
  }
  if (accountSignatureKey?.length && !equalBytes(accountSignatureKey, accountKey)) {
    return 'device identity names another account key'
  }
  if (!verify(accountKey, Buffer.concat([ACCOUNT_PREFIX, details, companionKey]), accountSignature)) {
    return 'account signature of the device identity is wrong'
  }
  const signedByDevice = Buffer.concat([DEVICE_PREFIX, details, companionKey, accountKey])
  if (!verify(companionKey, signedByDevice, deviceSignature)) return 'device signature of the device identity is wrong'
  const identity = decode(proto.ADVDeviceIdentity, details)
  if (identity === undefined) return 'details of the device identity are not an ADVDeviceIdentity'
  return {
    keyIndex: identity.keyIndex ?? 0,
    rawId: identity.rawId ?? 0,
    timestamp: Number(identity.timestamp ?? 0),
  }
}

/** The account's signed list of companion key indexes that are valid (an encoded ADVSignedKeyIndexList). */
export function signKeyIndexList(accountIdentity: KeyPair, rawId: number, indexes: KeyIndexes): Buffer {
  const { timestamp, currentIndex, validIndexes } = indexes
  const details = encode(proto.ADVKeyIndexList, { rawId, timestamp, currentIndex, validIndexes: [...validIndexes] })
  return encode(proto.ADVSignedKeyIndexList, {
    details,
    accountSignature: sign(accountIdentity, Buffer.concat([KEY_INDEX_LIST_PREFIX, details])),
    accountSignatureKey: accountIdentity.public,
  })
}

interface Codec<Input, Output> {
  encode(message: Input): { finish(): Uint8Array }
  decode(bytes: Uint8Array): Output
}

/** Encodes a protobuf message into a Buffer. */
export function encode<Input>(codec: Codec<Input, unknown>, message: Input): Buffer {
  const bytes = codec.encode(message).finish()
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Decodes a protobuf message; undefined when the bytes are none. */
export function decode<Output>(codec: Codec<never, Output>, bytes: Uint8Array): Output | undefined {
  try {
    return codec.decode(bytes)
  } catch {
    // protobufjs throws plain RangeErrors and Errors alike: the caller only needs to know that it did not parse
    return undefined
  }
}
