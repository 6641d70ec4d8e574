import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LinkRefused } from '../src/phone/linking.ts'
import { createGroup } from './strict-client/groups.ts'
import { Installation } from './strict-client/installation.ts'
import { LinkingClient } from './strict-client/linking.ts'
import { Violation, type ViolationCode } from './strict-client/violation.ts'
import { nextAtPhone, World } from './support/strict.ts'

const violates = (code: ViolationCode) => (error: unknown) => error instanceof Violation && error.code === code

test('a forged Noise certificate is refused at the first connection and at a login by IK', async () => {
  await using world = await World.start()
  const { faults } = world.sandbox.service
  faults.arm({ kind: 'tamper', target: 'certificate' })
  const fresh = new Installation('Companion')
  await assert.rejects(LinkingClient.connect(world.endpoint, fresh), violates('certificate'))
  assert.equal(fresh.serverStatic, undefined)
  const own = await world.link(world.person('Ann'))
  faults.arm({ kind: 'tamper', target: 'certificate' })
  await assert.rejects(world.login(own), violates('certificate'))
  await using client = await world.login(own)
  assert.equal(client.pattern, 'IK')
})

for (const target of ['adv_hmac', 'adv_account_signature'] as const) {
  test(`a wrong ${target} in pair-success ends the link`, async () => {
    await using world = await World.start()
    const ann = world.person('Ann')
    const own = new Installation('Companion')
    await using client = await LinkingClient.connect(world.endpoint, own)
    const [qr] = await client.showQr()
    world.sandbox.service.faults.arm({ kind: 'tamper', target, account: ann.account })
    await Promise.all([
      assert.rejects(ann.linking.scan(qr!), (error) => error instanceof LinkRefused && error.code === 'link_failed'),
      assert.rejects(client.whenLinked(), violates(target)),
    ])
    assert.deepEqual(ann.account.companions, [])
    world.expectProblems('refused', /pair-success/)
  })
}

test('a signed pre-key that its owner did not sign is not used', async () => {
  await using world = await World.start()
  const [ann, ben] = [world.person('Ann'), world.person('Ben')]
  await using client = await world.companion(ann)
  world.sandbox.service.faults.arm({ kind: 'tamper', target: 'signed_pre_key', account: ben.account })
  await assert.rejects(client.sendText(ben.account.lidJid, 'hello'), violates('signed_pre_key'))
  await client.sendText(ben.account.lidJid, 'hello again')
})

test('a flipped bit in a first message is noticed, and the message comes after a retry', async () => {
  await using world = await World.start()
  const [ann, ben] = [world.person('Ann'), world.person('Ben')]
  await using client = await world.companion(ann)
  for (let count = 0; count < 4; count += 1) await client.news.take()
  await client.settle()
  ann.phone.goOffline()
  for (const text of ['opens a session', 'goes on in it']) {
    world.sandbox.service.faults.arm({ kind: 'tamper', target: 'enc', account: ann.account })
    const id = await ben.phone.sendText(ann.account.lidJid, text)
    await client.expectViolation('undecryptable')
    const received = await client.messages.take()
    assert.deepEqual([received.id, received.text], [id, text])
  }
})

test('a flipped bit in a group message is noticed, and the message comes after a retry', async () => {
  await using world = await World.start()
  const [ann, ben] = [world.person('Ann'), world.person('Ben')]
  await using annWeb = await world.companion(ann)
  await using benWeb = await world.companion(ben)
  const group = await createGroup(benWeb.connection, 'Two', [ann.account.lidJid])
  await benWeb.sendText(group.jid, 'the key')
  await annWeb.messages.take()
  await annWeb.settle()
  ann.phone.goOffline()
  world.sandbox.service.faults.arm({ kind: 'tamper', target: 'enc', account: ann.account })
  const id = await benWeb.sendText(group.jid, 'spoiled')
  await annWeb.expectViolation('sender_key')
  const retry = await benWeb.receipts.take(({ type }) => type === 'retry')
  assert.deepEqual([retry.ids, retry.from], [[id], annWeb.own.own.lid])
  const received = await annWeb.messages.take()
  assert.deepEqual([received.id, received.text, received.chat], [id, 'spoiled', group.jid])
})

test('a phone that cannot open a message gets it again from the companion that wrote it', async () => {
  await using world = await World.start()
  const [ann, ben] = [world.person('Ann'), world.person('Ben')]
  await using client = await world.companion(ann)
  for (const text of ['opens a session', 'goes on in it']) {
    world.sandbox.service.faults.arm({ kind: 'tamper', target: 'enc', account: ben.account })
    const id = await client.sendText(ben.account.lidJid, text)
    const retry = await client.receipts.take(({ type }) => type === 'retry')
    assert.deepEqual([retry.ids, retry.from], [[id], ben.account.lidJid])
    assert.equal((await nextAtPhone(ben, text)).messageId, id)
    world.expectProblems('undecryptable', new RegExp(id))
  }
})

test('an own companion that cannot open a copy gets it again, still as a copy of the chat', async () => {
  await using world = await World.start()
  const [ann, ben] = [world.person('Ann'), world.person('Ben')]
  await using web = await world.companion(ann)
  await using tablet = await world.companion(ann)
  for (let count = 0; count < 4; count += 1) await tablet.news.take()
  await web.notifications.take(({ attrs }) => attrs.type === 'devices')
  await Promise.all([web.settle(), tablet.settle()])
  ann.phone.goOffline()
  world.sandbox.service.faults.arm({ kind: 'tamper', target: 'enc', account: ann.account })
  const id = await web.sendText(ben.account.lidJid, 'for my tablet too')
  await tablet.expectViolation('undecryptable')
  const copy = await tablet.messages.take()
  assert.deepEqual([copy.id, copy.text, copy.fromMe, copy.chat], [id, 'for my tablet too', true, ben.account.lidJid])
})
