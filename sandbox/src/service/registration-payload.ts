import { proto } from 'baileys/WAProto/index.js'
import { assertValidKeys } from './key-validation.ts'
import type { CompanionProps, DeviceKeys } from './peer.ts'

export interface RegistrationPayload {
  readonly keys: DeviceKeys
  readonly props: CompanionProps
  readonly pushName: string | undefined
}

/** Takes a registering client's payload apart. Throws a RangeError that says what is wrong with it. */
export function readRegistrationPayload(payload: proto.IClientPayload): RegistrationPayload {
  const data = payload.devicePairingData
  if (!data) throw new RangeError('neither a username nor devicePairingData')
  const field = (name: keyof proto.ClientPayload.IDevicePairingRegistrationData, length: number): Buffer => {
    const bytes = data[name]
    if (bytes?.length !== length) throw new RangeError(`${name} must have ${length} bytes, not ${bytes?.length ?? 0}`)
    return Buffer.from(bytes)
  }
  if (field('eKeytype', 1)[0] !== 5) throw new RangeError('eKeytype must be 5')
  field('buildHash', 16)
  const keys: DeviceKeys = {
    identity: field('eIdent', 32),
    registrationId: field('eRegid', 4).readUInt32BE(),
    signedPreKey: {
      id: field('eSkeyId', 3).readUIntBE(0, 3),
      public: field('eSkeyVal', 32),
      signature: field('eSkeySig', 64),
    },
    preKeys: [],
  }
  assertValidKeys(keys)
  const props = proto.DeviceProps.decode(data.deviceProps ?? new Uint8Array(0))
  return {
    keys,
    props: {
      os: props.os ?? '',
      platformType: props.platformType ?? 0,
      requireFullSync: props.requireFullSync ?? false,
    },
    pushName: payload.pushName || undefined,
  }
}
