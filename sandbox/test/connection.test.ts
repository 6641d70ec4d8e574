import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { WebSocket } from 'ws'
import { generateKeyPair } from '../src/crypto/curve.ts'
import type { Person } from '../src/phone/people.ts'
import { type Sandbox, startSandbox } from '../src/server.ts'
import { LinkError } from '../src/service/peer.ts'
import { child, children, node, textOf } from '../src/wire/node.ts'
import {
  type Installation,
  loginPayload,
  makeInstallation,
  RawClient,
  registrationPayload,
} from './support/raw-client.ts'

async function setUp(): Promise<{ sandbox: Sandbox; person: Person }> {
  const sandbox = await startSandbox({ seed: 'test' })
  return { sandbox, person: sandbox.people.add({ name: 'Ann' }) }
}

async function link(sandbox: Sandbox, person: Person): Promise<Installation> {
  const own = makeInstallation()
  await using client = await RawClient.connect(sandbox, own, registrationPayload(own))
  const scanned = person.linking.scan(await client.showQr())
  await client.signPairing()
  await scanned
  const error = await client.takeTag('stream:error')
  assert.equal(error.attrs.code, '515')
  await client.whenClosed()
  return own
}

test('a client is linked by QR, sent away with 515, and logs in', async () => {
  const { sandbox, person } = await setUp()
  await using _ = sandbox
  const own = await link(sandbox, person)
  assert.equal(own.jid, `${person.account.pn}:1@s.whatsapp.net`)
  assert.equal(own.lid, `${person.account.lid}:1@lid`)
  await using client = await RawClient.connect(sandbox, own, loginPayload(own))
  assert.equal(client.pattern, 'IK', 'the static key is known from the first connection')
  const success = await client.takeTag('success')
  assert.equal(success.attrs.lid, own.lid)
  assert.ok(Math.abs(Number(success.attrs.t) - Date.now() / 1000) < 5)
  await client.query('set', 'passive', [node('active')])
  const offline = await client.takeTag('ib')
  assert.equal(child(offline)?.tag, 'offline')
  assert.deepEqual(sandbox.service.log.list(), [])
  assert.equal(sandbox.service.metrics.snapshot().linked, 1)
})

test('six refs are offered, none scannable after their time or after the client has gone', async () => {
  const sandbox = await startSandbox({ refLifetimes: { first: 60_000, next: 20_000 } })
  await using _ = sandbox
  const own = makeInstallation()
  const client = await RawClient.connect(sandbox, own, registrationPayload(own))
  const request = await client.take((stanza) => child(stanza)?.tag === 'pair-device')
  const refs = children(child(request), 'ref').map((ref) => textOf(ref)!)
  assert.equal(new Set(refs).size, 6)
  assert.ok(refs.every((ref) => /^[\w@+/=]+$/.test(ref)))
  for (const ref of refs) assert.equal(sandbox.service.registrations.findByRef(ref)?.props.os, 'Raw')
  const closed = new Promise<void>((resolve) => {
    sandbox.service.watch((event) => event.type === 'registration_closed' && resolve())
  })
  await client[Symbol.asyncDispose]()
  await closed
  assert.equal(sandbox.service.registrations.findByRef(refs[0]!), undefined)
})

test('refs run out by the clock, the first one first', async () => {
  let now = 1_000_000
  const sandbox = await startSandbox({ clock: () => now })
  await using _ = sandbox
  const own = makeInstallation()
  const { service } = sandbox
  const registration = service.registrations.start(
    { deliver: () => undefined, close: () => undefined },
    own.noiseKey.public,
    { keys: keysOf(own), props: { os: '', platformType: 0, requireFullSync: false }, pushName: undefined },
  )
  const all = registration.refs
  assert.equal(all.length, 6)
  now += 80_000
  assert.deepEqual(registration.refs, all.slice(1))
  now += 100_000
  assert.deepEqual(registration.refs, [])
})

test('registrations with wrong keys are refused and logged', async () => {
  const { sandbox } = await setUp()
  await using _ = sandbox
  const spoilers: Parameters<typeof registrationPayload>[1][] = [
    (data) => {
      data!.eSkeySig![5]! ^= 1
    },
    (data) => {
      data!.eSkeyVal = generateKeyPair().public
    },
    (data) => {
      data!.eIdent = Buffer.alloc(31)
    },
    (data) => {
      data!.eKeytype = Buffer.of(6)
    },
  ]
  for (const spoil of spoilers) {
    const own = makeInstallation()
    await using client = await RawClient.connect(sandbox, own, registrationPayload(own, spoil))
    assert.equal((await client.takeTag('failure')).attrs.reason, '400')
    await client.whenClosed()
  }
  assert.equal(sandbox.service.log.list({ kind: 'bad_signature' }).length, spoilers.length)
})

test('a wrong device signature ends the registration without a device', async () => {
  const { sandbox, person } = await setUp()
  await using _ = sandbox
  const own = makeInstallation()
  await using client = await RawClient.connect(sandbox, own, registrationPayload(own))
  const scanned = person.linking.scan(await client.showQr())
  await Promise.all([
    client.signPairing((signature) => {
      signature[10]! ^= 1
    }),
    assert.rejects(scanned),
  ])
  await client.whenClosed()
  assert.deepEqual(person.account.companions, [])
  assert.match(sandbox.service.log.list({ kind: 'bad_signature' })[0]!.text, /device signature/)
})

test('who is not linked, no longer linked, or another installation is turned away with 401', async () => {
  const { sandbox, person } = await setUp()
  await using _ = sandbox
  const own = await link(sandbox, person)
  const failureOf = async (installation: Installation) => {
    await using client = await RawClient.connect(sandbox, installation, loginPayload(installation))
    const failure = await client.takeTag('failure')
    await client.whenClosed()
    return failure.attrs.reason
  }
  assert.equal(await failureOf({ ...makeInstallation(), jid: '4915550000:1@s.whatsapp.net' }), '401')
  assert.equal(await failureOf({ ...own, jid: `${person.account.pn}:9@s.whatsapp.net` }), '401')
  assert.equal(await failureOf({ ...makeInstallation(), jid: own.jid! }), '401', 'same device, other Noise key')
  sandbox.service.removeDevice(person.account.companions[0]!)
  assert.equal(await failureOf(own), '401')
})

test('a second login replaces the first', async () => {
  const { sandbox, person } = await setUp()
  await using _ = sandbox
  const own = await link(sandbox, person)
  await using first = await RawClient.connect(sandbox, own, loginPayload(own))
  await first.takeTag('success')
  await using second = await RawClient.connect(sandbox, own, loginPayload(own))
  await second.takeTag('success')
  assert.equal(child(await first.takeTag('stream:error'))?.attrs.type, 'replaced')
  await first.whenClosed()
  assert.ok(person.account.companions[0]!.online)
  await second.query('get', 'w:p', [node('ping')])
})

test('removal from the phone logs a device out at once; a device can remove itself but no other', async () => {
  const { sandbox, person } = await setUp()
  await using _ = sandbox
  const [own, other] = [await link(sandbox, person), await link(sandbox, person)]
  await using client = await RawClient.connect(sandbox, own, loginPayload(own, false))
  const removal = (jid: string) => [node('remove-companion-device', { jid, reason: 'user_initiated' })]
  const refused = await client.query('set', 'md', removal(other.jid!))
  assert.equal(child(refused, 'error')?.attrs.code, '403')
  const done = await client.query('set', 'md', removal(own.jid!))
  assert.equal(done.attrs.type, 'result')
  const error = await client.takeTag('stream:error')
  assert.equal(error.attrs.code, '401')
  assert.equal(child(error)?.attrs.type, 'device_removed')
  await client.whenClosed()
  assert.deepEqual(
    person.account.companions.map((device) => device.jid),
    [other.jid],
  )
})

test('the fifth companion is refused', async () => {
  const { sandbox, person } = await setUp()
  await using _ = sandbox
  for (let count = 0; count < 4; count += 1) await link(sandbox, person)
  const own = makeInstallation()
  await using client = await RawClient.connect(sandbox, own, registrationPayload(own))
  await client.showQr()
  const registration = sandbox.service.registrations.list()[0]!
  await assert.rejects(
    registration.complete({ account: person.account, keyIndex: 9, signedIdentityHmac: Buffer.alloc(0) }),
    (error) => error instanceof LinkError && error.failure === 'too_many_devices',
  )
  assert.ok(registration.open)
})

test('faults: failures at login and registration, stream errors, half-open and closed connections', async () => {
  const { sandbox, person } = await setUp()
  await using _ = sandbox
  const { faults } = sandbox.service
  const own = await link(sandbox, person)
  const device = person.account.companions[0]!
  faults.arm({ kind: 'fail_login', account: person.account, reason: 402, expireSeconds: 3600 })
  await using banned = await RawClient.connect(sandbox, own, loginPayload(own))
  assert.deepEqual((await banned.takeTag('failure')).attrs, { reason: '402', location: 'sbx', expire: '3600' })
  faults.arm({ kind: 'fail_registration', reason: 405 })
  const fresh = makeInstallation()
  await using outdated = await RawClient.connect(sandbox, fresh, registrationPayload(fresh))
  assert.equal((await outdated.takeTag('failure')).attrs.reason, '405')
  await using first = await RawClient.connect(sandbox, own, loginPayload(own))
  await first.takeTag('success')
  assert.ok(faults.disconnect(device, { kind: 'stream_error', code: 503 }))
  assert.equal((await first.takeTag('stream:error')).attrs.code, '503')
  await first.whenClosed()
  assert.ok(!faults.disconnect(device, { kind: 'close' }), 'nothing is connected')
  await using second = await RawClient.connect(sandbox, own, loginPayload(own))
  await second.takeTag('success')
  faults.disconnect(device, { kind: 'stall' })
  second.send(node('iq', { id: 'unheard', type: 'get', xmlns: 'w:p', to: '@s.whatsapp.net' }, [node('ping')]))
  faults.disconnect(device, { kind: 'close' })
  await second.whenClosed()
  assert.ok(second.received.every((stanza) => stanza.attrs.id !== 'unheard'))
  faults.arm({ kind: 'tamper', target: 'certificate' })
  const socket = new WebSocket(sandbox.ws)
  await once(socket, 'open')
  socket.terminate()
  assert.deepEqual(faults.list(), [], 'the fault was used up by the handshake')
})

test('garbage instead of a handshake or of a frame ends the connection and is logged', async () => {
  const { sandbox } = await setUp()
  await using _ = sandbox
  const socket = new WebSocket(sandbox.ws)
  await once(socket, 'open')
  socket.send('GET / HTTP/1.1')
  await once(socket, 'close')
  assert.match(sandbox.service.log.list({ kind: 'handshake' })[0]!.text, /WA 6 3/)
  const elsewhere = new WebSocket(`${sandbox.ws}x`)
  const [error] = await once(elsewhere, 'error')
  assert.match(String(error), /404/)
  assert.equal(sandbox.service.metrics.connections, 0)
})

test('silent clients are asked, and dropped when they stay silent', async (context) => {
  context.mock.timers.enable({ apis: ['setInterval'] })
  let now = Date.now()
  const sandbox = await startSandbox({ clock: () => now })
  await using _ = sandbox
  const own = makeInstallation()
  await using client = await RawClient.connect(sandbox, own, registrationPayload(own))
  await client.showQr()
  now += 50_000
  context.mock.timers.tick(5_000)
  const ping = await client.take((stanza) => child(stanza)?.tag === 'ping')
  assert.equal(ping.attrs.xmlns, 'urn:xmpp:ping')
  now += 80_000
  context.mock.timers.tick(5_000)
  await client.whenClosed()
})

function keysOf(own: Installation) {
  return {
    identity: own.identity.public,
    registrationId: own.registrationId,
    signedPreKey: { id: 1, public: own.signedPreKey.public, signature: Buffer.alloc(64) },
    preKeys: [],
  }
}
