import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { proto } from 'baileys/WAProto/index.js'
import { type Actor, makeKeys, makeSignedIdentity, Stage } from '../../test/support/stage.ts'
import { generateKeyPair } from '../crypto/curve.ts'
import { type BinaryNode, bytesOf, child, node, textOf } from '../wire/node.ts'
import { type PasskeyDesk, type PasskeyPrologue, Refusal } from './passkey-desk.ts'
import { type CompanionFinish, LinkError } from './peer.ts'
import type { OpenRegistration } from './registration.ts'

interface Client {
  readonly received: BinaryNode[]
  readonly registration: OpenRegistration
  readonly noiseKey: Buffer
  readonly identity: ReturnType<typeof generateKeyPair>
  closedBecause: string | undefined
  query(type: string, request: BinaryNode): BinaryNode | undefined
  answerTo(id: string): BinaryNode | undefined
}

function connect(stage: Stage): Client {
  const received: BinaryNode[] = []
  const identity = generateKeyPair()
  const noiseKey = generateKeyPair().public
  const peer = {
    deliver: (stanza: BinaryNode) => received.push(stanza),
    close: (reason: string) => {
      client.closedBecause = reason
      client.registration.closed()
    },
  }
  const props = { os: 'Test', platformType: 1, requireFullSync: false }
  const keys = makeKeys(identity, 0)
  const registration = stage.service.registrations.start(peer, noiseKey, { keys, props, pushName: 'Tess' })
  let counter = 0
  const client: Client = {
    received,
    registration,
    noiseKey,
    identity,
    closedBecause: undefined,
    query(type, request) {
      counter += 1
      registration.receive(node('iq', { id: `c${counter}`, type, xmlns: 'md', to: '@s.whatsapp.net' }, [request]))
      return client.answerTo(`c${counter}`)
    },
    answerTo: (id) => received.find(({ tag, attrs }) => tag === 'iq' && attrs.id === id && attrs.type !== 'set'),
  }
  return client
}

const helloOf = (client: Client, phone: Actor, serverKey: Uint8Array = client.noiseKey) =>
  node('link_code_companion_reg', { jid: phone.device.account.jid, stage: 'companion_hello' }, [
    node('link_code_pairing_wrapped_companion_ephemeral_pub', {}, randomBytes(80)),
    node('companion_server_auth_key_pub', {}, Buffer.from(serverKey)),
    node('companion_platform_id', {}, '1'),
    node('companion_platform_display', {}, 'Chrome (Linux)'),
    node('link_code_pairing_nonce', {}, '0'),
  ])

const finishOf = (client: Client, phone: Actor, ref: string, identity: Uint8Array = client.identity.public) =>
  node('link_code_companion_reg', { jid: phone.device.account.jid, stage: 'companion_finish' }, [
    node('link_code_pairing_wrapped_key_bundle', {}, randomBytes(156)),
    node('companion_identity_public', {}, Buffer.from(identity)),
    node('link_code_pairing_ref', {}, Buffer.from(ref)),
  ])

const errorOf = (answer: BinaryNode | undefined) => child(answer, 'error')?.attrs.code
const PRIMARY = { wrappedPrimaryEphemeral: randomBytes(80), primaryIdentity: randomBytes(32) }

test('a link code goes from the client to the phone and back', async () => {
  const stage = new Stage()
  const phone = stage.addPhone()
  const client = connect(stage)
  const { registrations } = stage.service
  assert.equal(registrations.findByPhoneNumber(phone.device.account.pn), undefined)
  const answer = client.query('set', helloOf(client, phone))
  const ref = textOf(child(child(answer), 'link_code_pairing_ref'))!
  const { registration } = client
  assert.equal(registrations.findByPhoneNumber(phone.device.account.pn), registration)
  assert.equal(registration.linkCode?.ref, ref)
  assert.equal(registration.linkCode?.companionPlatformDisplay, 'Chrome (Linux)')
  const finishing = registration.primaryHello(PRIMARY)
  const notification = child(client.received.find(({ tag }) => tag === 'notification'))!
  assert.equal(notification.attrs.stage, 'primary_hello')
  assert.deepEqual(bytesOf(child(notification, 'primary_identity_pub')), PRIMARY.primaryIdentity)
  assert.equal(client.query('set', finishOf(client, phone, ref)), undefined, 'the phone has to answer')
  const finish: CompanionFinish = await finishing
  finish.refuse(400, 'wrong code')
  assert.equal(errorOf(client.answerTo('c2')), '400')
  assert.equal(stage.service.log.list({ kind: 'refused' }).length, 1)
})

test('malformed link code stanzas are refused', () => {
  const stage = new Stage()
  const phone = stage.addPhone()
  const client = connect(stage)
  const set = (request: BinaryNode) => errorOf(client.query('set', request))
  assert.equal(set(helloOf(client, phone, randomBytes(32))), '400', 'another Noise key')
  assert.equal(set(node('link_code_companion_reg', { jid: 'nobody', stage: 'companion_hello' })), '400')
  assert.equal(set(node('link_code_companion_reg', { stage: 'companion_goodbye' })), '400')
  assert.equal(set(finishOf(client, phone, 'ref')), '400', 'no primary_hello yet')
  const stranger = helloOf(client, phone)
  stranger.attrs.jid = '4912345678@s.whatsapp.net'
  assert.equal(set(stranger), '404')
  client.query('set', helloOf(client, phone))
  client.registration.primaryHello(PRIMARY).catch(() => undefined)
  assert.equal(set(finishOf(client, phone, 'another ref')), '400')
  assert.equal(set(finishOf(client, phone, client.registration.linkCode!.ref, randomBytes(32))), '400')
  assert.equal(stage.service.log.list().length, 7)
  assert.equal(errorOf(client.query('get', node('nonsense'))), '501')
  assert.equal(client.query('get', node('ping'))?.attrs.type, 'result')
})

test('whoever waits for a client that leaves is told so', async () => {
  const stage = new Stage()
  const phone = stage.addPhone()
  const client = connect(stage)
  const closed = (error: unknown) => error instanceof LinkError && error.failure === 'closed'
  client.query('set', helloOf(client, phone))
  const waiting = [
    client.registration.primaryHello(PRIMARY),
    client.registration.demandPasskey(new AgreeableDesk()),
    client.registration.complete(certify(client, phone)),
  ]
  client.registration.closed()
  for (const promise of waiting) await assert.rejects(promise, closed)
  await assert.rejects(client.registration.complete(certify(client, phone)), closed)
  assert.deepEqual(stage.service.registrations.list(), [])
})

test('a phone that signs nonsense is told so, and the client stays', async () => {
  const stage = new Stage()
  const phone = stage.addPhone()
  const [client, other] = [connect(stage), connect(stage)]
  const good = certify(client, phone)
  const bad = (error: unknown) => error instanceof LinkError && error.failure === 'bad_identity'
  await assert.rejects(client.registration.complete(certify(other, phone)), bad, "another device's identity")
  await assert.rejects(client.registration.complete({ ...good, keyIndex: 2 }), bad)
  await assert.rejects(client.registration.complete({ ...good, signedIdentityHmac: Buffer.of(1) }), bad)
  assert.ok(client.registration.open)
})

test('tampering faults change the blob on its way to the client', async () => {
  const stage = new Stage()
  const phone = stage.addPhone()
  for (const target of ['adv_hmac', 'adv_account_signature'] as const) {
    const client = connect(stage)
    stage.service.faults.arm({ kind: 'tamper', target, account: phone.device.account })
    const link = certify(client, phone)
    const linking = client.registration.complete(link)
    const success = client.received.find((stanza) => child(stanza)?.tag === 'pair-success')!
    const sent = bytesOf(child(child(success), 'device-identity'))!
    const [before, after] = [link.signedIdentityHmac, sent].map((blob) =>
      proto.ADVSignedDeviceIdentityHMAC.decode(blob),
    )
    const changed = target === 'adv_hmac' ? 'hmac' : 'details'
    assert.notDeepEqual(Buffer.from(after![changed]!), Buffer.from(before![changed]!))
    client.registration.receive(
      node('iq', { id: success.attrs.id, type: 'error' }, [node('error', { code: 401, text: 'not-authorized' })]),
    )
    await assert.rejects(linking, (error) => error instanceof LinkError && error.failure === 'refused')
    assert.ok(client.closedBecause)
  }
  assert.deepEqual(phone.device.account.companions, [])
})

test('passkey linking: the steps in their order, each asked of the desk', async () => {
  const stage = new Stage()
  const client = connect(stage)
  const desk = new AgreeableDesk()
  const set = (request: BinaryNode) => client.query('set', request)
  assert.equal(errorOf(set(prologue())), '403', 'nobody asked for a passkey')
  const accepted = client.registration.demandPasskey(desk)
  const demand = client.received.find(({ attrs }) => attrs.type === 'passkey_prologue_request')!
  assert.equal(demand.attrs.from, '@s.whatsapp.net')
  assert.ok(demand.attrs.id)
  assert.equal(textOf(child(demand, 'passkey_request_options')), '{"n":1}')
  const options = client.query('get', node('passkey_request_options'))
  assert.equal(textOf(child(options, 'passkey_request_options')), '{"n":2}')
  const ref = textOf(child(client.query('get', node('ref')), 'ref'))!
  set(node('companion_nonce', {}, randomBytes(32)))
  await settled()
  assert.equal(errorOf(client.answerTo('c4')), '409', 'out of order')
  desk.refuseNext = true
  set(prologue())
  await settled()
  assert.equal(errorOf(client.answerTo('c5')), '403', 'the desk said no')
  set(prologue())
  await settled()
  assert.equal(client.answerTo('c6')?.attrs.type, 'result')
  assert.equal(desk.prologueSeen?.ref, ref)
  assert.equal(Buffer.from(desk.prologueSeen!.handoffProof!).toString(), 'proof')
  const continuation = client.received.find(({ attrs }) => attrs.type === 'crsc_continuation')
  const primary = proto.PrimaryEphemeralIdentity.decode(bytesOf(child(continuation, 'primary_ephemeral_identity'))!)
  assert.deepEqual([primary.publicKey!.length, primary.nonce!.length], [32, 32])
  set(node('companion_nonce', {}, Buffer.from('nonce')))
  await settled()
  set(node('encrypted_pairing_request', {}, Buffer.from('request')))
  await accepted
  assert.equal(client.answerTo('c8')?.attrs.type, 'result')
  assert.deepEqual(desk.seen, ['nonce', 'request'])
  const incomplete = prologue()
  incomplete.content = []
  set(incomplete)
  await settled()
  assert.equal(errorOf(client.answerTo('c9')), '409')
})

class AgreeableDesk implements PasskeyDesk {
  readonly seen: string[] = []
  refuseNext = false
  prologueSeen: PasskeyPrologue | undefined
  #asked = 0

  options() {
    this.#asked += 1
    return JSON.stringify({ n: this.#asked })
  }

  prologue(_registration: unknown, step: PasskeyPrologue) {
    if (this.refuseNext) {
      this.refuseNext = false
      throw new Refusal(403, 'a wrong assertion')
    }
    this.prologueSeen = step
    return { publicKey: randomBytes(32), nonce: randomBytes(32) }
  }

  companionNonce(_registration: unknown, nonce: Uint8Array) {
    this.seen.push(Buffer.from(nonce).toString())
  }

  pairingRequest(_registration: unknown, encrypted: Uint8Array) {
    this.seen.push(Buffer.from(encrypted).toString())
  }
}

function prologue(): BinaryNode {
  return node('passkey_prologue', {}, [
    node('credential_id', {}, Buffer.from('id')),
    node('webauthn_assertion', {}, Buffer.from('{}')),
    node('prologue_payload', {}, Buffer.from('payload')),
    node('pairing_handoff_proof', {}, Buffer.from('proof')),
  ])
}

function certify(client: Client, phone: Actor) {
  // A failed attempt uses its index up, as a phone's own counter does.
  const keyIndex = phone.device.account.nextKeyIndex
  const details = makeSignedIdentity(phone, client.identity, keyIndex)
  const signedIdentityHmac = proto.ADVSignedDeviceIdentityHMAC.encode({ details, hmac: randomBytes(32) }).finish()
  return { account: phone.device.account, keyIndex, signedIdentityHmac }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))
