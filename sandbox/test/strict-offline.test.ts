import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createGroup } from './strict-client/groups.ts'
import type { Installation } from './strict-client/installation.ts'
import { part } from './strict-client/stanza.ts'
import { nextAtPhone, World } from './support/strict.ts'

test('what comes while a companion is away waits, in order and counted', async () => {
  await using world = await World.start()
  const [ann, ben] = [world.person('Ann'), world.person('Ben')]
  const own = await world.link(ann)
  {
    await using client = await world.login(own)
    assert.equal(client.drainedCount, 0)
    // Keys and history are confirmed before the line goes.
    for (let count = 0; count < 4; count += 1) await client.news.take()
    await client.settle()
  }
  for (let count = 0; count < 5; count += 1) await ben.phone.sendText(ann.account.lidJid, `waiting ${count}`)
  await using client = await world.login(own)
  assert.equal(client.drainedCount, 5)
  for (let count = 0; count < 5; count += 1) {
    const received = await client.messages.take()
    assert.deepEqual([received.text, received.stanza.attrs.offline], [`waiting ${count}`, String(count)])
  }
  await ben.phone.sendText(ann.account.lidJid, 'live')
  assert.equal((await client.messages.take()).stanza.attrs.offline, undefined)
})

test('what was not confirmed before a drop comes again byte for byte, and not a third time once confirmed', async () => {
  await using world = await World.start()
  const [ann, ben] = [world.person('Ann'), world.person('Ben')]
  const own = await world.link(ann)
  {
    await using client = await world.login(own, { confirms: false })
    for (let count = 0; count < 3; count += 1) await ben.phone.sendText(ann.account.lidJid, `again ${count}`)
    for (let count = 0; count < 3; count += 1) assert.equal((await client.messages.take()).text, `again ${count}`)
    for (let count = 0; count < 4; count += 1) await client.news.take()
  }
  {
    await using client = await world.login(own)
    const replayed = client.deliveries.replayed.map(({ tag }) => tag)
    assert.deepEqual(
      replayed,
      Array.from({ length: client.drainedCount }, () => 'message'),
    )
    assert.equal(replayed.length, 7, 'three texts, the keys and three parts of history')
    assert.deepEqual(client.messages.entries, [], 'nothing is shown twice')
    await client.settle()
  }
  await using client = await world.login(own)
  assert.equal(client.drainedCount, 0)
})

test('receipts, notifications and group messages wait as well', async () => {
  await using world = await World.start()
  const [ann, ben, cleo] = [world.person('Ann'), world.person('Ben'), world.person('Cleo')]
  await using cleoWeb = await world.companion(cleo)
  const group = await createGroup(cleoWeb.connection, 'Three', [ann.account.lidJid, ben.account.lidJid])
  const own = await world.link(ann)
  let id: string
  ben.phone.goOffline()
  {
    await using client = await world.login(own)
    for (let count = 0; count < 4; count += 1) await client.news.take()
    id = await client.sendText(ben.account.lidJid, 'are you there?')
    await client.settle()
  }
  ben.phone.goOnline()
  await nextAtPhone(ben, 'are you there?')
  await ben.phone.settle()
  await cleoWeb.sendText(group.jid, 'in the group')
  await using other = await world.companion(ann)
  await using client = await world.login(own)
  const delivered = await client.receipts.take()
  assert.deepEqual([delivered.type, delivered.ids, delivered.stanza.attrs.offline], ['delivered', [id], '0'])
  assert.equal((await client.messages.take()).text, 'in the group')
  const devices = await client.notifications.take(({ attrs }) => attrs.type === 'devices')
  assert.equal(part(devices)?.tag, 'add')
  assert.ok(devices.attrs.offline !== undefined)
  await client.sendText(ben.account.lidJid, 'to the new device too')
  assert.equal((await other.messages.take(({ fromMe }) => fromMe)).text, 'to the new device too')
})

test('a message that is delivered twice is shown once and confirmed twice', async () => {
  await using world = await World.start()
  const [ann, ben] = [world.person('Ann'), world.person('Ben')]
  await using client = await world.companion(ann)
  for (let count = 0; count < 4; count += 1) await client.news.take()
  await client.settle()
  world.sandbox.service.faults.arm({ kind: 'duplicate', account: ann.account })
  ann.phone.goOffline()
  const id = await ben.phone.sendText(ann.account.lidJid, 'twice')
  assert.equal((await client.messages.take()).text, 'twice')
  await client.settle()
  assert.deepEqual(client.messages.entries, [])
  const repeated = client.deliveries.repeated.splice(0)
  assert.deepEqual(
    repeated.map(({ attrs }) => attrs.id),
    [id],
  )
})

test('messages that overtake each other are both opened', async () => {
  await using world = await World.start()
  const [ann, ben] = [world.person('Ann'), world.person('Ben')]
  await using client = await world.companion(ann)
  for (let count = 0; count < 4; count += 1) await client.news.take()
  await client.settle()
  ann.phone.goOffline()
  world.sandbox.service.faults.arm({ kind: 'reorder', account: ann.account })
  for (const text of ['first', 'second']) await ben.phone.sendText(ann.account.lidJid, text)
  const texts = [await client.messages.take(), await client.messages.take()].map(({ text }) => text)
  assert.deepEqual(texts, ['second', 'first'])
})

test('a restart of the service loses neither devices nor what waits, and keeps its Noise key', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'strict-'))
  const stateFile = join(directory, 'state.json')
  let own: Installation
  try {
    {
      await using world = await World.start({ stateFile })
      const [ann, ben] = [world.person('Ann'), world.person('Ben')]
      own = await world.link(ann)
      await using client = await world.login(own, { confirms: false })
      await ben.phone.sendText(ann.account.lidJid, 'kept')
      assert.equal((await client.messages.take()).text, 'kept')
      for (let count = 0; count < 4; count += 1) await client.news.take()
    }
    await using world = await World.start({ stateFile })
    await using client = await world.login(own)
    assert.equal(client.pattern, 'IK')
    assert.equal(client.deliveries.replayed.length, 5)
    assert.equal(client.drainedCount, 5)
    const ben = world.sandbox.people.list().find(({ account }) => account.pushName === 'Ben')!
    await client.sendText(ben.account.lidJid, 'back again')
    await nextAtPhone(ben, 'back again')
  } finally {
    await rm(directory, { recursive: true })
  }
})

test('a stalled connection loses nothing', async () => {
  await using world = await World.start()
  const [ann, ben] = [world.person('Ann'), world.person('Ben')]
  const own = await world.link(ann)
  await using stalled = await world.login(own)
  for (let count = 0; count < 4; count += 1) await stalled.news.take()
  await stalled.settle()
  world.sandbox.service.faults.disconnect(ann.account.devices.get(1)!, { kind: 'stall' })
  await ben.phone.sendText(ann.account.lidJid, 'into the void')
  await using client = await world.login(own)
  assert.equal((await client.messages.take()).text, 'into the void')
})
