// What a phone asks the service before it can write to somebody: which devices there are, and their keys.
import { KEY_TYPE } from '../crypto/curve.ts'
import { lidJid, parseJid, SERVICE_JID } from '../wire/jid.ts'
import { type BinaryNode, bytesOf, child, children, node, uintBytes, uintOf } from '../wire/node.ts'
import type { PreKeyBundle, PublicPreKey, SignalAddress, SignalEndpoint } from './signal-endpoint.ts'
import type { StanzaClient } from './stanza-client.ts'

export const jidOf = ({ user, device }: SignalAddress): string => lidJid(user, device)

/** All devices of the given users (LIDs), each phone included. */
export async function fetchDevices(client: StanzaClient, users: readonly string[]): Promise<SignalAddress[]> {
  const usync = node('usync', { sid: client.nextId(), mode: 'query', last: 'true', index: '0', context: 'message' }, [
    node('query', {}, [node('devices', { version: 2 })]),
    node(
      'list',
      {},
      users.map((user) => node('user', { jid: lidJid(user) })),
    ),
  ])
  const answer = await client.query('get', 'usync', SERVICE_JID, [usync])
  return children(child(child(answer, 'usync'), 'list'), 'user').flatMap((user) => {
    const jid = parseJid(user.attrs.jid)
    if (jid === undefined) return []
    const devices = children(child(child(user, 'devices'), 'device-list'), 'device')
    return devices.map(({ attrs }) => ({ user: jid.user, device: Number(attrs.id) }))
  })
}

/** The key bundles of devices; devices the service does not know are missing from the result. */
export async function fetchBundles(
  client: StanzaClient,
  addresses: readonly SignalAddress[],
): Promise<{ readonly address: SignalAddress; readonly bundle: PreKeyBundle }[]> {
  const users = addresses.map((address) => node('user', { jid: jidOf(address) }))
  const answer = await client.query('get', 'encrypt', SERVICE_JID, [node('key', {}, users)])
  return children(child(answer, 'list'), 'user').flatMap((user) => {
    const jid = parseJid(user.attrs.jid)
    const bundle = readBundle(user, child(user, 'registration'))
    return jid === undefined || bundle === undefined
      ? []
      : [{ address: { user: jid.user, device: jid.device }, bundle }]
  })
}

/** Reads the keys in a `user` of a key answer or in the `keys` of a retry receipt; undefined when some are missing. */
export function readBundle(keys: BinaryNode, registration: BinaryNode | undefined): PreKeyBundle | undefined {
  const registrationId = uintOf(registration)
  const identityKey = bytesOf(child(keys, 'identity'))
  const skey = child(keys, 'skey')
  const key = child(keys, 'key')
  const signedPreKey = readKey(skey)
  const signature = bytesOf(child(skey, 'signature'))
  if (registrationId === undefined || !identityKey || !signedPreKey || !signature) return undefined
  return { registrationId, identityKey, signedPreKey: { ...signedPreKey, signature }, preKey: readKey(key) }
}

function readKey(parent: BinaryNode | undefined) {
  const keyId = uintOf(child(parent, 'id'))
  const publicKey = bytesOf(child(parent, 'value'))
  return keyId === undefined || publicKey === undefined ? undefined : { keyId, publicKey }
}

export interface GroupInfo {
  readonly subject: string
  /** LID users. */
  readonly members: readonly string[]
}

export async function fetchGroup(client: StanzaClient, group: string): Promise<GroupInfo> {
  const answer = await client.query('get', 'w:g2', group, [node('query', { request: 'interactive' })])
  const info = child(answer, 'group')
  const members = children(info, 'participant').flatMap(({ attrs }) => {
    const jid = parseJid(attrs.jid)
    return jid === undefined ? [] : [jid.user]
  })
  return { subject: info?.attrs.subject ?? '', members }
}

/** Gives the service more one-time pre-keys to hand out. */
export async function uploadPreKeys(client: StanzaClient, signal: SignalEndpoint, count: number): Promise<void> {
  const { signedPreKey, registrationId, identity } = signal
  const list = signal.makePreKeys(count).map((key) => node('key', {}, writeKey(key)))
  await client.query('set', 'encrypt', SERVICE_JID, [
    node('registration', {}, uintBytes(registrationId, 4)),
    node('type', {}, Buffer.of(KEY_TYPE)),
    node('identity', {}, identity.public),
    node('list', {}, list),
    node('skey', {}, writeSignedKey(signedPreKey)),
  ])
}

/** The `keys` of a retry receipt: a bundle of its own, for a new session with us. */
export function writeFreshKeys(signal: SignalEndpoint): BinaryNode {
  return node('keys', {}, [
    node('type', {}, Buffer.of(KEY_TYPE)),
    node('identity', {}, signal.identity.public),
    node('key', {}, signal.makePreKeys(1).flatMap(writeKey)),
    node('skey', {}, writeSignedKey(signal.signedPreKey)),
  ])
}

function writeKey({ keyId, publicKey }: PublicPreKey): BinaryNode[] {
  return [node('id', {}, uintBytes(keyId, 3)), node('value', {}, Buffer.from(publicKey))]
}

function writeSignedKey(key: PreKeyBundle['signedPreKey']): BinaryNode[] {
  return [...writeKey(key), node('signature', {}, Buffer.from(key.signature))]
}
