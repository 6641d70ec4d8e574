import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LinkRefused } from '../src/phone/linking.ts'
import { ConnectionEnded } from './strict-client/connection.ts'
import { newKeyPair } from './strict-client/curve.ts'
import { Installation } from './strict-client/installation.ts'
import { LinkingClient } from './strict-client/linking.ts'
import { part } from './strict-client/stanza.ts'
import { StrictClient } from './strict-client/strict-client.ts'
import { Violation } from './strict-client/violation.ts'
import { World } from './support/strict.ts'

for (const form of ['url', 'bare'] as const) {
  test(`a QR code in the ${form} form is scanned`, async () => {
    await using world = await World.start()
    const ann = world.person('Ann')
    const own = new Installation('Companion')
    await using client = await LinkingClient.connect(world.endpoint, own)
    assert.equal(client.connection.transport.secured.pattern, 'XX')
    const qrs = await client.showQr(form)
    await Promise.all([ann.linking.scan(qrs[1]!), client.whenLinked()])
    assert.deepEqual(own.own.key, ann.phone.identity.public)
    await using linked = await world.login(own)
    assert.equal(linked.success?.attrs.lid, `${ann.account.lid}:1@lid`)
    assert.equal(linked.success?.attrs.display_name, 'Ann')
  })
}

test('over TLS, one HTTP call links any client to the phone of its push name', async () => {
  await using world = await World.start({ tlsPort: 0 })
  assert.ok(world.endpoint.url.startsWith('wss:'))
  const numbers: string[] = []
  for (const name of ['Zoe', 'Zoe', 'Yan']) {
    const own = new Installation(name)
    await using client = await LinkingClient.connect(world.endpoint, own)
    const [qr] = await client.showQr()
    const scan = fetch(`${world.sandbox.http}/admin/mock-phone/scan-qr`, { method: 'POST', body: qr! })
    const [response] = await Promise.all([scan, client.whenLinked()])
    assert.equal(response.status, 200)
    await using linked = await world.login(own)
    numbers.push(linked.own.own.jid)
  }
  const [first, second, other] = numbers
  assert.equal(second, first!.replace(':1@', ':2@'))
  assert.notEqual(other!.split(':')[0], first!.split(':')[0])
})

test('a companion is linked by a code; a wrong code fails on both sides', async () => {
  await using world = await World.start()
  const ann = world.person('Ann')
  const own = new Installation('Companion')
  await using client = await LinkingClient.connect(world.endpoint, own)
  await client.showQr()
  const first = await client.showCode(ann.account.pn)
  const wrong = first.code === '11111111' ? '22222222' : '11111111'
  const mistyped = ann.linking.enterCode(wrong)
  await Promise.all([
    assert.rejects(mistyped, (error) => error instanceof LinkRefused && error.code === 'wrong_code'),
    assert.rejects(first.finish(), /400/),
  ])
  world.expectProblems('refused', /key bundle/)
  const second = await client.showCode(ann.account.pn)
  const typed = `${second.code.slice(0, 4)}-${second.code.slice(4).toLowerCase()}`
  await Promise.all([ann.linking.enterCode(typed), second.finish(), client.whenLinked()])
  await using linked = await world.login(own)
  assert.equal(linked.own.own.jid, `${ann.account.pn}:1@s.whatsapp.net`)
})

test('codes are only for numbers that exist', async () => {
  await using world = await World.start()
  await using client = await LinkingClient.connect(world.endpoint, new Installation('Companion'))
  await assert.rejects(client.showCode('15559999999'), /404/)
  world.expectProblems('refused', /15559999999/)
})

test('every login after the first connection is by IK, and XXfallback when the server has another key', async () => {
  await using world = await World.start()
  const own = await world.link(world.person('Ann'))
  for (let round = 0; round < 2; round += 1) {
    await using client = await world.login(own)
    assert.equal(client.pattern, 'IK')
  }
  const right = own.serverStatic
  own.serverStatic = newKeyPair().public
  await using client = await world.login(own)
  assert.equal(client.pattern, 'XXfallback')
  assert.deepEqual(own.serverStatic, right)
})

test('who pins another root refuses the certificate', async () => {
  await using world = await World.start()
  const endpoint = { url: world.sandbox.ws, noiseRoot: newKeyPair().public }
  await assert.rejects(
    LinkingClient.connect(endpoint, new Installation('Companion')),
    (error) => error instanceof Violation && error.code === 'certificate',
  )
})

test('the second login of a device ends the first with a conflict', async () => {
  await using world = await World.start()
  const own = await world.link(world.person('Ann'))
  await using first = await world.login(own)
  await using second = await world.login(own)
  const lastWords = await first.connection.whenClosed
  assert.equal(lastWords?.tag, 'stream:error')
  assert.deepEqual(part(lastWords, 'conflict')?.attrs, { type: 'replaced' })
  await second.settle()
})

test('a removed companion is told so, and turned away with 401 afterwards', async () => {
  await using world = await World.start()
  const ann = world.person('Ann')
  const own = await world.link(ann)
  await using witness = await world.companion(ann)
  await using client = await world.login(own)
  world.sandbox.service.removeDevice(ann.account.devices.get(1)!)
  const lastWords = await client.connection.whenClosed
  assert.equal(lastWords?.attrs.code, '401')
  assert.deepEqual(part(lastWords, 'conflict')?.attrs, { type: 'device_removed' })
  const failure = await loginFailure(world, own)
  assert.equal(failure, '401')
  world.expectProblems('refused', /not linked/)
  const notice = await witness.notifications.take(({ attrs }) => attrs.type === 'devices')
  assert.equal(part(notice)?.tag, 'remove')
})

test('stream errors and failures come as the service is told to send them', async () => {
  await using world = await World.start()
  const ann = world.person('Ann')
  const own = await world.link(ann)
  const { faults } = world.sandbox.service
  for (const code of [500, 503, 515, 516]) {
    await using client = await world.login(own)
    faults.disconnect(ann.account.devices.get(1)!, { kind: 'stream_error', code })
    assert.equal((await client.connection.whenClosed)?.attrs.code, String(code))
  }
  await using client = await world.login(own)
  faults.disconnect(ann.account.devices.get(1)!, { kind: 'xmlstreamend' })
  assert.equal((await client.connection.whenClosed)?.tag, 'xmlstreamend')
  for (const reason of [401, 402, 403, 405, 406, 503]) {
    faults.arm({ kind: 'fail_login', account: ann.account, reason })
    assert.equal(await loginFailure(world, own), String(reason))
  }
})

test('the account takes as many companions as it may, and each has its own number', async () => {
  await using world = await World.start()
  const ann = world.person('Ann', { maxCompanions: 2 })
  const [first, second] = [await world.link(ann), await world.link(ann)]
  assert.deepEqual(
    [first, second].map(({ own }) => own.jid),
    [1, 2].map((device) => `${ann.account.pn}:${device}@s.whatsapp.net`),
  )
  await using third = await LinkingClient.connect(world.endpoint, new Installation('One too many'))
  const [qr] = await third.showQr()
  await assert.rejects(
    ann.linking.scan(qr!),
    (error) => error instanceof LinkRefused && error.code === 'too_many_devices',
  )
})

async function loginFailure(world: World, own: Installation): Promise<string | undefined> {
  try {
    await using _client = await StrictClient.login(world.endpoint, own)
    return undefined
  } catch (error) {
    if (!(error instanceof ConnectionEnded)) throw error
    assert.equal(error.reason?.tag, 'failure')
    return error.reason.attrs.reason
  }
}
