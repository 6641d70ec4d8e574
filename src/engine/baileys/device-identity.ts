import {
  type BinaryNode,
  Curve,
  getBinaryNodeChild,
  getBinaryNodeChildBuffer,
  proto,
  WA_ADV_ACCOUNT_SIG_PREFIX,
  WA_ADV_DEVICE_SIG_PREFIX,
  WA_ADV_HOSTED_ACCOUNT_SIG_PREFIX,
  WA_ADV_HOSTED_DEVICE_SIG_PREFIX,
} from 'baileys'
import { messageOf } from '../../kernel/errors.ts'
import { fieldsOf } from './protobuf-fields.ts'

/**
 * Checks the `<device-identity>` that a companion attaches to the first messages of a session: the account's signature
 * over the companion's identity key, and the companion's own over both. Baileys looks at neither.
 * Answers why it does not hold, or undefined when it does or there is nothing to check.
 */
export const faultOfDeviceIdentity = (node: BinaryNode): string | undefined => {
  const enc = getBinaryNodeChild(node, 'enc')
  const attached = getBinaryNodeChildBuffer(node, 'device-identity')
  if (!attached || enc?.attrs.type !== 'pkmsg' || !(enc.content instanceof Uint8Array)) return undefined
  try {
    const identity = identityOf(enc.content)
    const { details, accountSignatureKey, accountSignature, deviceSignature } =
      proto.ADVSignedDeviceIdentity.decode(attached)
    if (!details?.length || !accountSignatureKey?.length || !accountSignature?.length || !deviceSignature?.length)
      return 'the device identity is incomplete'
    const hosted = proto.ADVDeviceIdentity.decode(details).deviceType === proto.ADVEncryptionType.HOSTED
    const ofAccount = [hosted ? WA_ADV_HOSTED_ACCOUNT_SIG_PREFIX : WA_ADV_ACCOUNT_SIG_PREFIX, details, identity]
    if (!Curve.verify(accountSignatureKey, Buffer.concat(ofAccount), accountSignature))
      return 'the account signature of the device identity does not hold'
    const prefix = hosted ? WA_ADV_HOSTED_DEVICE_SIG_PREFIX : WA_ADV_DEVICE_SIG_PREFIX
    if (!Curve.verify(identity, Buffer.concat([prefix, details, identity, accountSignatureKey]), deviceSignature))
      return 'the device signature of the device identity does not hold'
    return undefined
  } catch (error) {
    return `the device identity cannot be read: ${messageOf(error)}`
  }
}

/** PreKeySignalMessage: a version byte, then a protobuf whose field 3 is the sender's identity key with its type byte. */
const IDENTITY_KEY = 3

const identityOf = (message: Uint8Array): Uint8Array => {
  const identity = fieldsOf(message.subarray(1)).get(IDENTITY_KEY)
  if (!(identity instanceof Uint8Array) || identity.length !== 33) throw new Error('no identity key')
  return identity.subarray(1)
}
