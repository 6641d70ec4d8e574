// Pre-keys: uploaded, compared with what the service holds, and fetched of others with every signature verified.
import { type Connection, RequestRefused } from './connection.ts'
import { signWith, typed } from './curve.ts'
import { check } from './inspection.ts'
import type { Installation } from './installation.ts'
import type { Bundle, Remote } from './signal-box.ts'
import { dataOf, make, numberBytes, part, partsOf, type Stanza } from './stanza.ts'
import { digest, sameBytes } from './symmetric.ts'
import { demand } from './violation.ts'

const KEY_TYPE = 5
const MAX_ID = 0xff_ff_ff

/** The content of `encrypt set`; tests spoil it. */
export interface Upload {
  registrationId: number
  identity: Buffer
  signedPreKey: { id: number; public: Buffer; signature: Buffer }
  preKeys: { id: number; public: Buffer }[]
}

/** How many pre-keys the service has left of ours. */
export async function countPreKeys(connection: Connection): Promise<number> {
  const count = part(await connection.query('get', 'encrypt', [make('count')]), 'count')
  demand(count !== undefined, 'stanza', 'no count')
  check(count, { value: /^\d+$/ })
  return Number(count.attrs.value)
}

/** @throws RequestRefused */
export async function uploadPreKeys(
  connection: Connection,
  own: Installation,
  count: number,
  spoil: (upload: Upload) => void = () => undefined,
): Promise<void> {
  const { id, pair, signature } = own.signedPreKey
  const upload: Upload = {
    registrationId: own.registrationId,
    identity: own.identity.public,
    signedPreKey: { id, public: pair.public, signature: Buffer.from(signature) },
    preKeys: own.signal.makePreKeys(own.nextPreKeyId, count),
  }
  own.nextPreKeyId += count
  spoil(upload)
  await connection.query('set', 'encrypt', [
    make('registration', {}, numberBytes(upload.registrationId, 4)),
    make('type', {}, Buffer.of(KEY_TYPE)),
    make('identity', {}, upload.identity),
    make(
      'list',
      {},
      upload.preKeys.map((key) => make('key', {}, writeKey(key))),
    ),
    make('skey', {}, writeSigned(upload.signedPreKey)),
  ])
}

/** Compares what the service holds of us with what we have. @throws Violation `digest` */
export async function compareDigest(connection: Connection, own: Installation): Promise<void> {
  const answer = part(await connection.query('get', 'encrypt', [make('digest')]), 'digest')
  demand(answer !== undefined, 'digest', 'no digest')
  const { signedPreKey, identity, registrationId, signal } = own
  const same = (name: string, ours: Uint8Array, theirs: Uint8Array) => {
    demand(sameBytes(ours, theirs), 'digest', `the service has another ${name}`)
  }
  same('registration', numberBytes(registrationId, 4), dataOf(part(answer, 'registration')))
  same('type', Buffer.of(KEY_TYPE), dataOf(part(answer, 'type')))
  same('identity', identity.public, dataOf(part(answer, 'identity')))
  const skey = readKey(part(answer, 'skey'))
  demand(skey?.id === signedPreKey.id, 'digest', `signed pre-key ${skey?.id}`)
  same('signed pre-key', signedPreKey.pair.public, skey.public)
  same('signature', signedPreKey.signature, dataOf(part(part(answer, 'skey'), 'signature')))
  const ids = partsOf(part(answer, 'list'), 'id').map((id) => readNumber(id, 3))
  demand(new Set(ids).size === ids.length, 'digest', 'an id twice')
  const publics = ids.map((id) => {
    const pair = signal.preKeys.get(id)
    demand(pair !== undefined, 'digest', `pre-key ${id} was never ours, or used already`)
    return pair.public
  })
  const hash = digest('sha1', identity.public, signedPreKey.pair.public, signedPreKey.signature, ...publics)
  same('hash', hash, dataOf(part(answer, 'hash')))
}

/** Whether the service holds a digest at all: it answers 404 while there is nothing to compare. */
export async function hasDigest(connection: Connection): Promise<boolean> {
  try {
    await connection.query('get', 'encrypt', [make('digest')])
    return true
  } catch (error) {
    if (error instanceof RequestRefused && error.code === 404) return false
    throw error
  }
}

/** Replaces the signed pre-key at the service by one that is signed by `signer`. */
export async function rotateSignedPreKey(connection: Connection, own: Installation, signer = own.identity) {
  const { id, pair } = own.signedPreKey
  const key = { id, public: pair.public, signature: signWith(signer, typed(pair.public)) }
  await connection.query('set', 'encrypt', [make('rotate', {}, [make('skey', {}, writeSigned(key))])])
}

/** The bundles of devices, by the addresses asked for. Signatures are verified when a session starts. */
export async function fetchBundles(connection: Connection, jids: readonly string[]): Promise<Map<string, Bundle>> {
  const users = jids.map((jid) => make('user', { jid }))
  const list = part(await connection.query('get', 'encrypt', [make('key', {}, users)]), 'list')
  demand(list !== undefined, 'bundle', 'no list')
  const bundles = new Map<string, Bundle>()
  for (const user of partsOf(list, 'user')) {
    check(user, { jid: /^.+$/ })
    const { jid } = user.attrs
    demand(jids.includes(jid!) && !bundles.has(jid!), 'bundle', `${jid} was not asked for`)
    bundles.set(jid!, readBundle(user, part(user, 'registration')))
  }
  return bundles
}

/** Reads the keys of a key answer, or of a retry receipt. @throws Violation `bundle` */
export function readBundle(keys: Stanza, registration: Stanza | undefined): Bundle {
  demand(dataOf(part(keys, 'type'))[0] === KEY_TYPE, 'bundle', 'keys of another type')
  const identity = dataOf(part(keys, 'identity'))
  const skey = part(keys, 'skey')
  const signedPreKey = readKey(skey)
  const signature = dataOf(part(skey, 'signature'))
  const preKey = part(keys, 'key')
  demand(identity.length === 32, 'bundle', `an identity of ${identity.length} bytes`)
  demand(signedPreKey !== undefined && signature.length === 64, 'bundle', 'a malformed signed pre-key')
  return {
    registrationId: readNumber(registration, 4),
    identity,
    signedPreKey: { ...signedPreKey, signature },
    preKey: preKey && readKey(preKey),
  }
}

/** Fetches bundles and starts a session with each device. @throws Violation, also when one is missing */
export async function startSessions(
  connection: Connection,
  own: Installation,
  targets: readonly { readonly remote: Remote; readonly jid: string }[],
): Promise<void> {
  if (targets.length === 0) return
  const bundles = await fetchBundles(
    connection,
    targets.map(({ jid }) => jid),
  )
  for (const { remote, jid } of targets) {
    const bundle = bundles.get(jid)
    demand(bundle !== undefined, 'bundle', `none for ${jid}`)
    await own.signal.startSession(remote, bundle)
  }
}

function readKey(parent: Stanza | undefined): { readonly id: number; readonly public: Buffer } | undefined {
  if (parent === undefined) return undefined
  const value = dataOf(part(parent, 'value'))
  demand(value.length === 32, 'bundle', `a key of ${value.length} bytes`)
  const id = readNumber(part(parent, 'id'), 3)
  demand(id >= 1 && id <= MAX_ID, 'bundle', `key id ${id}`)
  return { id, public: value }
}

function readNumber(parent: Stanza | undefined, length: number): number {
  const bytes = dataOf(parent)
  demand(bytes.length === length, 'bundle', `a number of ${bytes.length} instead of ${length} bytes`)
  return bytes.readUIntBE(0, length)
}

/** The `keys` of a retry receipt. */
export function writeOwnKeys(own: Installation): Stanza {
  const { id, pair, signature } = own.signedPreKey
  const [preKey] = own.signal.makePreKeys(own.nextPreKeyId, 1)
  own.nextPreKeyId += 1
  return make('keys', {}, [
    make('type', {}, Buffer.of(KEY_TYPE)),
    make('identity', {}, own.identity.public),
    make('key', {}, writeKey(preKey!)),
    make('skey', {}, writeSigned({ id, public: pair.public, signature })),
    make('device-identity', {}, own.own.deviceIdentity),
  ])
}

const writeKey = ({ id, public: value }: { readonly id: number; readonly public: Buffer }): Stanza[] => [
  make('id', {}, numberBytes(id, 3)),
  make('value', {}, value),
]

const writeSigned = (key: { readonly id: number; readonly public: Buffer; readonly signature: Buffer }): Stanza[] => [
  ...writeKey(key),
  make('signature', {}, key.signature),
]
