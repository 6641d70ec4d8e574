// The cryptography between companion and phone while a passkey links them (steps 2 to 9 of passkey linking).
import { proto } from 'baileys/WAProto/index.js'
import { agree } from '../crypto/curve.ts'
import { decryptGcm, equalBytes, hkdf, hmacSha256, sha256 } from '../crypto/symmetric.ts'
import { decode } from '../phone/adv.ts'

const CODE_ALPHABET = '123456789ABCDEFGHJKLMNPQRSTVWXYZ'
const CODE_BYTES = 5

/** How long the proof of an earlier scan or code counts. */
export const HANDOFF_LIFETIME_MS = 5 * 60_000

/** The key by which a companion proves that it is the one whose ADV secret the phone scanned. */
export function deriveHandoffKey(advSecret: Uint8Array): Buffer {
  return hkdf(advSecret, 32, { info: 'shortcake-passkey-handoff-v1' })
}

export function isHandoffProof(handoffKey: Uint8Array, prologuePayload: Uint8Array, proof: Uint8Array): boolean {
  return equalBytes(hmacSha256(handoffKey, prologuePayload), proof)
}

export interface Prologue {
  /** Encoded CompanionEphemeralIdentity: the bytes that the commitment covers. */
  readonly identity: Uint8Array
  readonly publicKey: Uint8Array
  readonly deviceType: number
  readonly ref: string
  readonly commitment: Uint8Array
}

/** Takes an encoded ProloguePayload apart; undefined when anything in it is missing or has a wrong size. */
export function readPrologue(encoded: Uint8Array): Prologue | undefined {
  const payload = decode(proto.ProloguePayload, encoded)
  const identity = payload?.companionEphemeralIdentity
  const commitment = payload?.commitment?.hash
  if (!identity?.length || commitment?.length !== 32) return undefined
  const companion = decode(proto.CompanionEphemeralIdentity, identity)
  if (companion?.publicKey?.length !== 32 || typeof companion.deviceType !== 'number' || !companion.ref)
    return undefined
  const { publicKey, deviceType, ref } = companion
  return { identity, publicKey, deviceType, ref, commitment }
}

export function isCommittedNonce({ identity, commitment }: Prologue, nonce: Uint8Array): boolean {
  return nonce.length === 32 && equalBytes(sha256(identity, nonce), commitment)
}

/** XXXX-XXXX, the same on both screens: 40 bits of the primary nonce XOR SHA-256(companion nonce || primary key). */
export function deriveConfirmationCode(
  primaryNonce: Uint8Array,
  companionNonce: Uint8Array,
  primaryKey: Uint8Array,
): string {
  const mask = sha256(companionNonce, primaryKey)
  let bits = 0n
  for (let i = 0; i < CODE_BYTES; i += 1) bits = (bits << 8n) | BigInt(primaryNonce[i]! ^ mask[i]!)
  let code = ''
  for (let shift = 35n; shift >= 0n; shift -= 5n) code += CODE_ALPHABET[Number((bits >> shift) & 31n)]
  return `${code.slice(0, 4)}-${code.slice(4)}`
}

export function derivePairingKey(privateKey: Uint8Array, prologue: Prologue): Buffer {
  const { publicKey, deviceType, ref } = prologue
  return hkdf(agree(privateKey, publicKey), 32, {
    salt: Buffer.from(`Companion Pairing ${deviceType} with ref ${ref}`),
    info: 'Pairing Information Encryption Key',
  })
}

export interface PairingRequest {
  readonly noiseKey: Uint8Array
  readonly identityKey: Uint8Array
  readonly advSecret: Uint8Array
}

/** Opens an encoded EncryptedPairingRequest; undefined when it does not open or is incomplete. */
export function openPairingRequest(pairingKey: Uint8Array, encoded: Uint8Array): PairingRequest | undefined {
  const sealed = decode(proto.EncryptedPairingRequest, encoded)
  if (!sealed?.encryptedPayload?.length || sealed.iv?.length !== 12) return undefined
  let opened: Buffer
  try {
    opened = decryptGcm(pairingKey, sealed.iv, sealed.encryptedPayload)
  } catch {
    // node throws a plain Error when the tag does not fit
    return undefined
  }
  const request = decode(proto.PairingRequest, opened)
  const { companionPublicKey, companionIdentityKey, advSecret } = request ?? {}
  if (companionPublicKey?.length !== 32 || companionIdentityKey?.length !== 32 || advSecret?.length !== 32) {
    return undefined
  }
  return { noiseKey: companionPublicKey, identityKey: companionIdentityKey, advSecret }
}
