import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EMPTY, type Mutation, readPatch, writePatch } from './strict-client/app-state.ts'
import { downloadAppState, uploadAppState } from './strict-client/app-state-sync.ts'
import { part } from './strict-client/stanza.ts'
import { Violation } from './strict-client/violation.ts'
import { World } from './support/strict.ts'

const COLLECTION = 'regular_low'

function mute(jid: string, muted: boolean): Mutation {
  return { index: ['mute', jid], value: { timestamp: 1, muteAction: { muted, muteEndTimestamp: muted ? -1 : 0 } } }
}

test('a change made by one companion reaches the other with all MACs right', async () => {
  await using world = await World.start()
  const ann = world.person('Ann')
  await using first = await world.companion(ann)
  await using second = await world.companion(ann)
  for (const client of [first, second]) await client.news.take(({ keys }) => keys > 0)
  assert.deepEqual(first.own.appStateKeys, second.own.appStateKeys)
  for (const muted of [true, false]) {
    assert.ok(await uploadAppState(first.connection, first.own, COLLECTION, mute('1@lid', muted)))
    const notice = await second.notifications.take(({ attrs }) => attrs.type === 'server_sync')
    assert.equal(part(notice)?.attrs.name, COLLECTION)
    const [change] = await downloadAppState(second.connection, second.own, COLLECTION)
    assert.deepEqual([change?.index, change?.value.muteAction?.muted], [['mute', '1@lid'], muted])
  }
  assert.deepEqual(second.own.appState.get(COLLECTION), first.own.appState.get(COLLECTION))
  assert.deepEqual(await downloadAppState(first.connection, first.own, COLLECTION), [])
})

test('of two changes at once the second is refused, applies the first and tries again', async () => {
  await using world = await World.start()
  const ann = world.person('Ann')
  await using first = await world.companion(ann)
  await using second = await world.companion(ann)
  for (const client of [first, second]) await client.news.take(({ keys }) => keys > 0)
  assert.ok(await uploadAppState(first.connection, first.own, COLLECTION, mute('1@lid', true)))
  assert.ok(!(await uploadAppState(second.connection, second.own, COLLECTION, mute('2@lid', true))))
  assert.equal(second.own.appState.get(COLLECTION)?.version, 1)
  assert.ok(await uploadAppState(second.connection, second.own, COLLECTION, mute('2@lid', true)))
  const [change] = await downloadAppState(first.connection, first.own, COLLECTION)
  assert.deepEqual(change?.index, ['mute', '2@lid'])
})

test('the strict client itself notices each changed byte of a patch', () => {
  const [keyId, key] = [Buffer.alloc(6, 1), Buffer.alloc(32, 2)]
  const { patch } = writePatch(COLLECTION, EMPTY, keyId, key, mute('1@lid', true))
  const keyOf = (id: Buffer): Buffer => {
    if (!id.equals(keyId)) throw new RangeError('an unknown key')
    return key
  }
  // What the service adds: the version, as field 1 of the patch.
  const numbered = Buffer.concat([Buffer.from([0x0a, 0x02, 0x08, 0x01]), patch])
  assert.equal(readPatch(COLLECTION, EMPTY, numbered, keyOf).next.version, 1)
  for (let position = 4; position < numbered.length; position += 7) {
    const changed = Buffer.from(numbered)
    changed[position]! ^= 0x10
    assert.throws(() => readPatch(COLLECTION, EMPTY, changed, keyOf), Error, `byte ${position}`)
  }
  assert.throws(() => readPatch('regular', EMPTY, numbered, keyOf), Violation)
})
