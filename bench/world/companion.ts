import {
  type AuthenticationCreds,
  BufferJSON,
  configureSuccessfulPairing,
  generateOrGetPreKeys,
  initAuthCreds,
  type KeyPair,
} from 'baileys'
import { certifyCompanion } from '../../sandbox/src/phone/adv.ts'
import { Device } from '../../sandbox/src/service/account.ts'
import { checkPairDeviceSign } from '../../sandbox/src/service/pairing-blob.ts'
import type { Service } from '../../sandbox/src/service/service.ts'
import { node } from '../../sandbox/src/wire/node.ts'
import type { Person } from './person.ts'

/** A linked device from the client's side, in Baileys' JSON. */
export interface Credentials {
  readonly creds: string
  /** Id and key pair of each one-time pre-key. */
  readonly preKeys: readonly (readonly [string, string])[]
}

/**
 * Links a device to a person's account as the protocol does, only without a connection: the phone signs, Baileys checks
 * and signs back, the service checks that.
 */
export const linkCompanion = (
  service: Service,
  person: Person,
  preKeyCount: number,
): { device: Device; credentials: Credentials } => {
  const { account, signal, rawId } = person
  const creds: AuthenticationCreds = initAuthCreds()
  const keyIndex = account.nextKeyIndex
  const { blob, signed } = certifyCompanion({
    accountIdentity: signal.identity,
    companionIdentity: creds.signedIdentityKey.public,
    advSecret: Buffer.from(creds.advSecretKey, 'base64'),
    rawId,
    keyIndex,
    timestamp: Math.floor(Date.now() / 1000),
  })
  const { newPreKeys } = generateOrGetPreKeys(creds, preKeyCount)
  const preKeys = Object.entries(newPreKeys) as [string, KeyPair][]
  const device = new Device(account, account.nextDeviceId, keyIndex, {
    identity: creds.signedIdentityKey.public,
    registrationId: creds.registrationId,
    signedPreKey: {
      id: creds.signedPreKey.keyId,
      public: creds.signedPreKey.keyPair.public,
      signature: creds.signedPreKey.signature,
    },
    preKeys: preKeys.map(([id, pair]) => ({ id: Number(id), public: pair.public })),
  })
  const stanza = node('iq', { id: 'pair', type: 'set' }, [
    node('pair-success', {}, [
      node('device', { jid: device.jid, lid: device.lid }),
      node('platform', { name: account.platform }),
      node('device-identity', {}, blob),
    ]),
  ])
  const { creds: paired, reply } = configureSuccessfulPairing(stanza, creds)
  device.signedIdentity = checkPairDeviceSign(device, signed, reply)
  device.noiseKey = creds.noiseKey.public
  service.directory.add(device)
  Object.assign(creds, paired, {
    me: { ...paired.me, name: account.pushName },
    registered: true,
    // the first history is behind it: Baileys holds everything back for 20 s otherwise
    accountSyncCounter: 1,
    firstUnuploadedPreKeyId: preKeyCount + 1,
    nextPreKeyId: preKeyCount + 1,
  })
  return {
    device,
    credentials: {
      creds: JSON.stringify(creds, BufferJSON.replacer),
      preKeys: preKeys.map(([id, pair]) => [id, JSON.stringify(pair, BufferJSON.replacer)] as const),
    },
  }
}
