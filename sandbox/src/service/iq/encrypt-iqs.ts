import { sha1 } from '../../crypto/symmetric.ts'
import { SERVICE_JID } from '../../wire/jid.ts'
import { type BinaryNode, bytesOf, child, children, node, uintBytes, uintOf } from '../../wire/node.ts'
import type { Device } from '../account.ts'
import { isValidSignedPreKey } from '../key-validation.ts'
import type { PreKey, SignedPreKey } from '../peer.ts'
import type { IqContext, IqHandler, IqHandlers } from './iq-router.ts'

/** A client is told to upload more when fewer one-time pre-keys than this are left. */
const LOW_PRE_KEYS = 10

/** More than any client uploads at once. */
const MAX_PRE_KEYS = 5000

const count: IqHandler = ({ device, result }) => result([node('count', { value: device.preKeys.size })])

const upload: IqHandler = ({ device, stanza, result, error }) => {
  const registrationId = uintOf(child(stanza, 'registration'))
  const type = uintOf(child(stanza, 'type'))
  const identity = bytesOf(child(stanza, 'identity'))
  const signedPreKey = readSignedPreKey(child(stanza, 'skey'))
  const preKeys = children(child(stanza, 'list'), 'key').map(readPreKey)
  if (registrationId === undefined || type !== 5 || signedPreKey === undefined || child(stanza, 'list') === undefined) {
    return error(400, 'registration, type, skey or list is missing or malformed')
  }
  if (identity === undefined || !identity.equals(device.identity)) {
    return error(400, "the identity is not this device's", 'bad_signature')
  }
  if (!isValidSignedPreKey(device.identity, signedPreKey)) {
    return error(400, 'the signed pre-key is not signed by the identity', 'bad_signature')
  }
  if (registrationId !== device.registrationId) return error(400, "the registration id is not this device's")
  if (!preKeys.every((key) => key !== undefined)) return error(400, 'a pre-key is malformed')
  if (new Set(preKeys.map(({ id }) => id)).size < preKeys.length) return error(400, 'two pre-keys of one id')
  if (device.preKeys.size + preKeys.length > MAX_PRE_KEYS) return error(406, 'too many pre-keys')
  device.signedPreKey = signedPreKey
  device.addPreKeys(preKeys)
  device.toldPreKeysLow = false
  return result()
}

const rotate: IqHandler = ({ device, request, result, error }) => {
  const signedPreKey = readSignedPreKey(child(request, 'skey'))
  if (signedPreKey === undefined) return error(400, 'skey is missing or malformed')
  if (!isValidSignedPreKey(device.identity, signedPreKey)) {
    return error(409, 'the signed pre-key is not signed by the identity', 'bad_signature')
  }
  device.signedPreKey = signedPreKey
  return result()
}

/** What the service holds of the device's own bundle; the hash lets the client notice that it lost something. */
const digest: IqHandler = ({ device, result, decline }) => {
  if (device.preKeys.size === 0) return decline(404, 'item-not-found')
  const { signedPreKey, preKeys, identity } = device
  const hash = sha1(identity, signedPreKey.public, signedPreKey.signature, ...preKeys.values())
  return result([
    node('digest', {}, [
      node('registration', {}, uintBytes(device.registrationId, 4)),
      node('type', {}, Buffer.of(5)),
      node('identity', {}, Buffer.from(identity)),
      signedPreKeyNode(signedPreKey, signedPreKey.signature),
      node(
        'list',
        {},
        Array.from(preKeys.keys(), (id) => node('id', {}, uintBytes(id, 3))),
      ),
      node('hash', {}, hash),
    ]),
  ])
}

const fetchKeys: IqHandler = ({ device, request, context, result, error }) => {
  const users = children(request, 'user')
  if (users.length === 0) return error(400, 'no user is asked for')
  const bundles: BinaryNode[] = []
  for (const { attrs } of users) {
    const target = context.accounts.deviceByJid(attrs.jid)
    // Left out rather than answered with an error: one would make Baileys give up the whole send.
    if (target === undefined) context.log.add('unknown_device', device.jid, `keys of ${attrs.jid} asked for`)
    else bundles.push(bundleNode(attrs.jid!, target, context))
  }
  return result([node('list', {}, bundles)])
}

export const encryptHandlers: IqHandlers = {
  'encrypt get count': count,
  'encrypt get digest': digest,
  'encrypt get key': fetchKeys,
  'encrypt set rotate': rotate,
  // Clients differ in which part they write first.
  'encrypt set registration': upload,
  'encrypt set identity': upload,
  'encrypt set list': upload,
  'encrypt set type': upload,
  'encrypt set skey': upload,
}

function bundleNode(jid: string, device: Device, context: IqContext): BinaryNode {
  const { signedPreKey } = device
  const preKey = device.consumePreKey()
  if (preKey !== undefined) {
    context.metrics.preKeysConsumed += 1
    warnWhenLow(device, context)
  }
  const signature = context.faults.tamper('signed_pre_key', device.account, signedPreKey.signature)
  return node('user', { jid }, [
    node('registration', {}, uintBytes(device.registrationId, 4)),
    node('type', {}, Buffer.of(5)),
    node('identity', {}, Buffer.from(device.identity)),
    signedPreKeyNode(signedPreKey, signature),
    ...(preKey === undefined ? [] : [preKeyNode(preKey)]),
    ...(device.signedIdentity === undefined ? [] : [node('device-identity', {}, Buffer.from(device.signedIdentity))]),
  ])
}

/** Once per shortage: the flag falls with the next upload. */
function warnWhenLow(device: Device, context: IqContext): void {
  if (device.preKeys.size >= LOW_PRE_KEYS || device.toldPreKeysLow) return
  device.toldPreKeysLow = true
  context.mailroom.notify(device, 'encrypt', { from: SERVICE_JID, t: Math.floor(context.clock() / 1000) }, [
    node('count', { value: device.preKeys.size }),
  ])
}

function readPreKey(key: BinaryNode): PreKey | undefined {
  const id = uintOf(child(key, 'id'))
  const value = bytesOf(child(key, 'value'))
  return id === undefined || id === 0 || value?.length !== 32 ? undefined : { id, public: value }
}

function readSignedPreKey(key: BinaryNode | undefined): SignedPreKey | undefined {
  const id = uintOf(child(key, 'id'))
  const value = bytesOf(child(key, 'value'))
  const signature = bytesOf(child(key, 'signature'))
  if (id === undefined || value?.length !== 32 || signature?.length !== 64) return undefined
  return { id, public: value, signature }
}

function preKeyNode(key: PreKey): BinaryNode {
  return node('key', {}, [node('id', {}, uintBytes(key.id, 3)), node('value', {}, Buffer.from(key.public))])
}

function signedPreKeyNode(key: SignedPreKey, signature: Uint8Array): BinaryNode {
  return node('skey', {}, [
    node('id', {}, uintBytes(key.id, 3)),
    node('value', {}, Buffer.from(key.public)),
    node('signature', {}, Buffer.from(signature)),
  ])
}
