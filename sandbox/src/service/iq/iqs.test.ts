import assert from 'node:assert/strict'
import { test } from 'node:test'
import { proto } from 'baileys/WAProto/index.js'
import { type Actor, makeKeys, Stage } from '../../../test/support/stage.ts'
import { generateKeyPair, verify, withKeyType } from '../../crypto/curve.ts'
import { sha1 } from '../../crypto/symmetric.ts'
import { type BinaryNode, bytesOf, child, children, node, textOf, uintBytes, uintOf } from '../../wire/node.ts'
import type { DeviceKeys, SignedPreKey } from '../peer.ts'

function setUp() {
  const stage = new Stage()
  const [ann, ben] = [stage.addPhone('Ann'), stage.addPhone('Ben')]
  return { stage, ann, ben, annWeb: stage.addCompanion(ann) }
}

const errorOf = (answer: BinaryNode | undefined) => child(answer, 'error')?.attrs.code

function uploadOf(keys: DeviceKeys): BinaryNode[] {
  const list = keys.preKeys.map((key) =>
    node('key', {}, [node('id', {}, uintBytes(key.id, 3)), node('value', {}, Buffer.from(key.public))]),
  )
  return [
    node('registration', {}, uintBytes(keys.registrationId, 4)),
    node('type', {}, Buffer.of(5)),
    node('identity', {}, Buffer.from(keys.identity)),
    node('list', {}, list),
    skey(keys.signedPreKey),
  ]
}

function skey({ id, public: value, signature }: SignedPreKey): BinaryNode {
  return node('skey', {}, [
    node('id', {}, uintBytes(id, 3)),
    node('value', {}, Buffer.from(value)),
    node('signature', {}, Buffer.from(signature)),
  ])
}

function usync(actor: Actor, protocols: string[], users: BinaryNode[]): readonly BinaryNode[] {
  const answer = actor.query('get', 'usync', [
    node('usync', { sid: 's', mode: 'query', index: 0, last: 'true', context: 'message' }, [
      node(
        'query',
        {},
        protocols.map((name) => node(name)),
      ),
      node('list', {}, users),
    ]),
  ])
  return children(child(child(answer, 'usync'), 'list'))
}

test('what is unknown is answered with 501 and logged, never passed over', () => {
  const { stage, annWeb } = setUp()
  assert.equal(errorOf(annWeb.query('get', 'w:nonsense', [node('x')])), '501')
  assert.equal(errorOf(annWeb.query('set', 'encrypt', [node('count')])), '501')
  annWeb.send(node('iq', { type: 'get', xmlns: 'w:p' }))
  assert.deepEqual(
    stage.service.log.list().map(({ kind }) => kind),
    ['unknown_stanza', 'unknown_stanza', 'malformed'],
  )
  stage.service.faults.arm({ kind: 'fail_iq', xmlns: 'w:p', code: 503 })
  stage.service.faults.arm({ kind: 'fail_iq', xmlns: 'w:p', code: 0 })
  assert.equal(errorOf(annWeb.query('get', 'w:p', [node('ping')])), '503')
  assert.equal(annWeb.query('get', 'w:p', [node('ping')]), undefined)
  assert.equal(annWeb.query('get', 'w:p', [node('ping')])?.attrs.type, 'result')
})

test('keys are uploaded, counted, digested and handed out once each', () => {
  const { stage, ann, ben, annWeb } = setUp()
  const keys = makeKeys(annWeb.identity, 20)
  assert.equal(annWeb.query('set', 'encrypt', uploadOf(keys))?.attrs.type, 'result')
  assert.equal(child(annWeb.query('get', 'encrypt', [node('count')]))?.attrs.value, '20')
  const digest = child(annWeb.query('get', 'encrypt', [node('digest')]))!
  assert.equal(uintOf(child(digest, 'registration')), 77)
  assert.deepEqual(
    children(child(digest, 'list')).map(uintOf),
    keys.preKeys.map(({ id }) => id),
  )
  const { identity, signedPreKey, preKeys } = keys
  const parts = [identity, signedPreKey.public, signedPreKey.signature, ...preKeys.map((key) => key.public)]
  assert.deepEqual(bytesOf(child(digest, 'hash')), sha1(...parts))
  const fetch = () =>
    child(child(ben.query('get', 'encrypt', [node('key', {}, [node('user', { jid: annWeb.device.lid })])])))!
  const bundle = fetch()
  assert.equal(bundle.attrs.jid, annWeb.device.lid)
  assert.deepEqual(bytesOf(child(bundle, 'identity')), Buffer.from(identity))
  const signed = child(bundle, 'skey')!
  const value = bytesOf(child(signed, 'value'))!
  assert.ok(verify(identity, withKeyType(value), bytesOf(child(signed, 'signature'))!))
  const ids = [bundle, ...Array.from({ length: 19 }, fetch)].map((user) => uintOf(child(child(user, 'key'), 'id')))
  assert.deepEqual(new Set(ids).size, 20)
  assert.equal(child(fetch(), 'key'), undefined, 'none is left')
  const low = annWeb.takeAll('notification')
  assert.equal(low.length, 1, 'one warning per shortage')
  assert.deepEqual(
    [low[0]!.attrs.type, low[0]!.attrs.from, child(low[0])?.attrs.value],
    ['encrypt', '@s.whatsapp.net', '9'],
  )
  assert.equal(errorOf(annWeb.query('get', 'encrypt', [node('digest')])), '404')
  const users = [`${ann.device.account.pn}:9@s.whatsapp.net`, ann.device.jid].map((jid) => node('user', { jid }))
  const found = child(ben.query('get', 'encrypt', [node('key', {}, users)]))
  assert.deepEqual(
    children(found).map(({ attrs }) => attrs.jid),
    [ann.device.jid],
    'who is unknown is left out',
  )
  stage.service.faults.arm({ kind: 'tamper', target: 'signed_pre_key' })
  const forged = child(fetch(), 'skey')!
  assert.ok(!verify(identity, withKeyType(value), bytesOf(child(forged, 'signature'))!))
})

test('keys with wrong signatures or of another identity are refused', () => {
  const { stage, annWeb } = setUp()
  const good = makeKeys(annWeb.identity)
  const spoiled = { ...good.signedPreKey, public: generateKeyPair().public }
  const cases: [DeviceKeys, string][] = [
    [makeKeys(generateKeyPair()), 'bad_signature'],
    [{ ...good, signedPreKey: spoiled }, 'bad_signature'],
    [{ ...good, preKeys: [{ id: 1, public: Buffer.alloc(31) }] }, 'malformed'],
  ]
  for (const [keys] of cases) assert.equal(errorOf(annWeb.query('set', 'encrypt', uploadOf(keys))), '400')
  assert.equal(errorOf(annWeb.query('set', 'encrypt', uploadOf(good).slice(0, 3))), '400')
  assert.equal(errorOf(annWeb.query('set', 'encrypt', [node('rotate', {}, [skey(spoiled)])])), '409')
  assert.deepEqual(
    stage.service.log.list().map(({ kind }) => kind),
    [...cases.map(([, kind]) => kind), 'malformed', 'bad_signature'],
  )
  const { signedPreKey } = makeKeys(annWeb.identity)
  assert.equal(annWeb.query('set', 'encrypt', [node('rotate', {}, [skey(signedPreKey)])])?.attrs.type, 'result')
  assert.deepEqual(Buffer.from(annWeb.device.signedPreKey.public), Buffer.from(signedPreKey.public))
})

test('usync: numbers with and without an account, devices with key index, LIDs, abouts', () => {
  const { ann, ben, annWeb } = setUp()
  const numbers = [`+${ann.device.account.pn}`, '+4999999'].map((number) =>
    node('user', {}, [node('contact', {}, number)]),
  )
  const contacts = usync(ben, ['contact', 'lid'], numbers)
  assert.deepEqual(
    contacts.map((user) => [user.attrs.jid, child(user, 'contact')?.attrs.type, child(user, 'lid')?.attrs.val]),
    [
      [ann.device.account.jid, 'in', ann.device.account.lidJid],
      ['4999999@s.whatsapp.net', 'out', undefined],
    ],
  )
  const [user] = usync(ben, ['devices', 'status'], [node('user', { jid: annWeb.device.lid })])
  assert.equal(user!.attrs.jid, ann.device.account.lidJid)
  const devices = children(child(child(user, 'devices'), 'device-list'))
  assert.deepEqual(
    devices.map(({ attrs }) => attrs),
    [{ id: '0' }, { id: '1', 'key-index': '1' }],
  )
  assert.equal(textOf(child(user, 'status')), ann.device.account.about)
  assert.deepEqual(
    usync(ben, ['devices'], [node('user', { jid: '4999999@s.whatsapp.net' })]).map(({ content }) => content),
    [[]],
  )
})

test('who asked for devices is told when they change; own devices always are', () => {
  const { stage, ann, ben, annWeb } = setUp()
  const cleo = stage.addPhone('Cleo')
  usync(ben, ['devices'], [node('user', { jid: ann.device.account.jid })])
  stage.service.removeDevice(annWeb.device)
  const [told] = ben.takeAll('notification')
  assert.deepEqual(
    [told!.attrs.type, told!.attrs.from, child(told)?.tag],
    ['devices', ann.device.account.jid, 'remove'],
  )
  assert.deepEqual(
    children(child(told), 'device').map(({ attrs }) => attrs.jid),
    [annWeb.device.jid, annWeb.device.lid],
  )
  assert.deepEqual(
    ann.takeAll('notification').map(({ attrs }) => attrs.type),
    ['devices', 'account_sync'],
  )
  assert.deepEqual(cleo.takeAll('notification'), [])
  assert.equal(annWeb.closedBecause, 'device removed')
})

test('privacy settings are kept, unknown ones refused; tokens reach the contact', () => {
  const { ann, ben, annWeb } = setUp()
  const set = (name: string, value: string) =>
    annWeb.query('set', 'privacy', [node('privacy', {}, [node('category', { name, value })])])
  assert.equal(errorOf(set('nonsense', 'all')), '400')
  set('last', 'contacts')
  const categories = children(child(ann.query('get', 'privacy', [node('privacy')])))
  assert.equal(categories.find(({ attrs }) => attrs.name === 'last')?.attrs.value, 'contacts')
  const token = node('token', { jid: ben.device.account.lidJid, t: 5, type: 'trusted_contact' })
  assert.equal(annWeb.query('set', 'privacy', [node('tokens', {}, [token])])?.attrs.type, 'result')
  const [told] = ben.takeAll('notification')
  assert.equal(told!.attrs.type, 'privacy_token')
  assert.equal(bytesOf(child(child(told)))?.length, 16)
})

test('what a client asks at start is answered', () => {
  const { stage, annWeb } = setUp()
  const requests: [string, string, BinaryNode[]][] = [
    ['get', 'abt', [node('props', { protocol: 1 })]],
    ['set', 'w:m', [node('media_conn')]],
    ['get', 'blocklist', []],
    ['set', 'urn:xmpp:whatsapp:dirty', [node('clean', { type: 'groups' })]],
    ['set', 'disappearing_mode', [node('disappearing_mode', { duration: 86400 })]],
    ['set', 'status', [node('status', {}, 'busy')]],
    ['get', 'bot', [node('bot', { v: 2 })]],
    ['get', 'w:mex', [node('query', { query_id: '23983697327930364' }, Buffer.from('{"variables":{}}'))]],
  ]
  for (const [type, xmlns, content] of requests) {
    assert.equal(annWeb.query(type, xmlns, content)?.attrs.type, 'result', xmlns)
  }
  assert.equal(annWeb.device.account.about, 'busy')
  assert.equal(errorOf(annWeb.query('get', 'w:profile:picture', [node('picture', { type: 'image' })])), '404')
  assert.deepEqual(stage.problems(), [])
})

test('app state: patches are numbered, conflicts answered with what is missing, other devices told', () => {
  const { ann, annWeb } = setUp()
  const sync = (actor: Actor, version: number, patch?: Uint8Array) => {
    const content = patch === undefined ? undefined : [node('patch', {}, Buffer.from(patch))]
    const collection = node('collection', { name: 'regular', version }, content)
    return child(child(actor.query('set', 'w:sync:app:state', [node('sync', {}, [collection])])))!
  }
  assert.deepEqual(sync(annWeb, 0).attrs, { name: 'regular', version: '0' })
  const patch = proto.SyncdPatch.encode({ snapshotMac: Buffer.of(1) }).finish()
  assert.equal(sync(annWeb, 0, patch).attrs.version, '1')
  assert.equal(ann.takeAll('notification').at(-1)?.attrs.type, 'server_sync')
  const conflict = sync(ann, 0, patch)
  assert.deepEqual([conflict.attrs.type, child(conflict, 'error')?.attrs.code], ['error', '409'])
  const patches = children(child(sync(ann, 0), 'patches'))
  const decoded = proto.SyncdPatch.decode(bytesOf(patches[0])!)
  assert.equal(Number(decoded.version?.version), 1)
  assert.deepEqual(Buffer.from(decoded.snapshotMac!), Buffer.of(1))
})

test('groups: created, queried by members only, changed by admins only, left', () => {
  const { stage, ann, ben, annWeb } = setUp()
  const cleo = stage.addPhone('Cleo')
  const participant = (actor: Actor) => node('participant', { jid: actor.device.account.lidJid })
  const create = node('create', { subject: 'Friends', key: 'k' }, [participant(ben)])
  const group = child(annWeb.query('set', 'w:g2', [create], '@g.us'))!
  const jid = `${group.attrs.id}@g.us`
  assert.deepEqual(
    children(group, 'participant').map(({ attrs }) => [attrs.jid, attrs.phone_number, attrs.type]),
    [
      [ann.device.account.lidJid, ann.device.account.jid, 'superadmin'],
      [ben.device.account.lidJid, ben.device.account.jid, undefined],
    ],
  )
  const [told] = ben.takeAll('notification')
  assert.deepEqual([told!.attrs.type, told!.attrs.from, child(told)?.tag], ['w:gp2', jid, 'create'])
  const ask = (actor: Actor) => actor.query('get', 'w:g2', [node('query', { request: 'interactive' })], jid)
  assert.equal(errorOf(ask(cleo)), '403')
  assert.equal(child(ask(ben))?.attrs.subject, 'Friends')
  assert.equal(errorOf(ben.query('set', 'w:g2', [node('add', {}, [participant(cleo)])], jid)), '403')
  const added = child(ann.query('set', 'w:g2', [node('add', {}, [participant(cleo), participant(ben)])], jid))
  assert.deepEqual(
    children(added).map(({ attrs }) => attrs.error),
    [undefined, '409'],
  )
  const all = cleo.query('get', 'w:g2', [node('participating', {}, [node('participants')])], '@g.us')
  assert.deepEqual(
    children(child(all)).map(({ attrs }) => attrs.id),
    [group.attrs.id],
  )
  const removed = child(ann.query('set', 'w:g2', [node('remove', {}, [participant(ben)])], jid))
  assert.equal(children(removed)[0]?.attrs.error, undefined)
  assert.equal(errorOf(ask(ben)), '403')
  ann.query('set', 'w:g2', [node('leave', {}, [node('group', { id: jid })])], '@g.us')
  assert.equal(children(child(ask(cleo)), 'participant')[0]?.attrs.type, 'admin', 'somebody must be')
  assert.equal(errorOf(cleo.query('set', 'w:g2', [node('subject', {}, 'x')], jid)), '501')
})
