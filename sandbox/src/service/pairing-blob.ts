import { proto } from 'baileys/WAProto/index.js'
import { equalBytes } from '../crypto/symmetric.ts'
import { type BinaryNode, bytesOf, child } from '../wire/node.ts'
import type { Device } from './account.ts'
import { verifyAccountSignature, verifyDeviceSignature, withAccountKey } from './device-identity.ts'
import type { Faults } from './faults.ts'
import { LinkError, type LinkRequest } from './peer.ts'

/**
 * Verifies what a phone signed for a companion and returns the `ADVSignedDeviceIdentity` in it.
 * Throws a `LinkError`: a wrong blob is the simulated phone's mistake, not the client's.
 */
export function checkPhoneBlob(link: LinkRequest, companionIdentity: Uint8Array): Uint8Array {
  const { account, keyIndex } = link
  try {
    const { details } = proto.ADVSignedDeviceIdentityHMAC.decode(link.signedIdentityHmac)
    if (!details?.length) throw new Error('the blob lacks details')
    const signed = verifyAccountSignature(details, account.phone.identity, companionIdentity)
    if (signed.keyIndex !== keyIndex) throw new Error(`signed key index ${signed.keyIndex}, not ${keyIndex}`)
    if (keyIndex < account.nextKeyIndex) throw new Error(`key index ${keyIndex} was used before`)
    return details
  } catch (error) {
    throw new LinkError('bad_identity', error instanceof Error ? error.message : String(error))
  }
}

/**
 * The phone's blob as the client gets it: a forgery when a fault asks for one. A forged account signature comes under a
 * right HMAC, or clients would never look at it.
 */
export function blobForClient(link: LinkRequest, faults: Faults): Buffer {
  const blob = proto.ADVSignedDeviceIdentityHMAC.decode(link.signedIdentityHmac)
  const signed = proto.ADVSignedDeviceIdentity.decode(blob.details!)
  const accountSignature = faults.tamper('adv_account_signature', link.account, signed.accountSignature!)
  const forged = accountSignature !== signed.accountSignature
  const details = forged
    ? proto.ADVSignedDeviceIdentity.encode({ ...signed, accountSignature }).finish()
    : blob.details!
  const right = forged && link.seal !== undefined ? link.seal(details) : blob.hmac!
  const hmac = faults.tamper('adv_hmac', link.account, right)
  if (!forged && hmac === right) return Buffer.from(link.signedIdentityHmac)
  return Buffer.from(proto.ADVSignedDeviceIdentityHMAC.encode({ ...blob, details, hmac }).finish())
}

/**
 * Verifies a client's `pair-device-sign` against the identity it was sent, and returns the complete
 * `ADVSignedDeviceIdentity`. Throws an Error that says what does not fit.
 */
export function checkPairDeviceSign(device: Device, sent: Uint8Array, answer: BinaryNode): Buffer {
  const identityNode = child(child(answer, 'pair-device-sign'), 'device-identity')
  const encoded = bytesOf(identityNode)
  if (encoded === undefined) throw new Error('the answer to pair-success lacks device-identity')
  if (identityNode?.attrs['key-index'] !== String(device.keyIndex)) throw new Error('key-index is not the one sent')
  const ours = proto.ADVSignedDeviceIdentity.decode(sent)
  const theirs = proto.ADVSignedDeviceIdentity.decode(encoded)
  if (!equalBytes(ours.details!, theirs.details ?? Buffer.alloc(0))) throw new Error('details were changed')
  const accountIdentity = device.account.phone.identity
  verifyDeviceSignature(encoded, accountIdentity, device.identity)
  return withAccountKey(encoded, accountIdentity)
}
