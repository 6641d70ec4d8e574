import { verify, withKeyType } from '../crypto/curve.ts'
import type { DeviceKeys, SignedPreKey } from './peer.ts'

const MAX_KEY_ID = 0xff_ff_ff

/** Whether the signature over 0x05 || public is the identity's. */
export function isValidSignedPreKey(identity: Uint8Array, signedPreKey: SignedPreKey): boolean {
  return (
    signedPreKey.public.length === 32 &&
    signedPreKey.id <= MAX_KEY_ID &&
    verify(identity, withKeyType(signedPreKey.public), signedPreKey.signature)
  )
}

/** Throws a RangeError that says what is wrong with a device's public keys. */
export function assertValidKeys(keys: DeviceKeys): void {
  if (keys.identity.length !== 32) throw new RangeError('the identity key must have 32 bytes')
  // libsignal's ids have 14 bits and are never 0; some clients use the full 31 bits, and one Baileys in 256 draws a 0.
  if (!Number.isInteger(keys.registrationId) || keys.registrationId < 0 || keys.registrationId > 0x7fff_ffff) {
    throw new RangeError(`not a registration id: ${keys.registrationId}`)
  }
  if (!isValidSignedPreKey(keys.identity, keys.signedPreKey)) {
    throw new RangeError('the signed pre-key is not signed by the identity')
  }
  for (const preKey of keys.preKeys) {
    if (preKey.public.length !== 32 || preKey.id < 1 || preKey.id > MAX_KEY_ID) {
      throw new RangeError(`malformed pre-key ${preKey.id}`)
    }
  }
}
