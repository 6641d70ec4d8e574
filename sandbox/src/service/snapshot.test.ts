import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deserialize, serialize } from 'node:v8'
import { Actor, message, msg, Stage } from '../../test/support/stage.ts'
import { node } from '../wire/node.ts'
import { jidOf } from './groups.ts'
import { Service } from './service.ts'
import { restoreSnapshot, takeSnapshot } from './snapshot.ts'

test('a service restored from its snapshot goes on where the other stopped', () => {
  const stage = new Stage()
  const [ann, ben] = [stage.addPhone('Ann'), stage.addPhone('Ben')]
  const benWeb = stage.addCompanion(ben)
  const { account } = ben.device
  const before = stage.service.groups.create(ann.device.account, 'Friends', [account])
  ben.query('set', 'blocklist', [node('item', { jid: ann.device.account.lidJid, action: 'block' })])
  ben.query('set', 'blocklist', [node('item', { jid: ann.device.account.lidJid, action: 'unblock' })])
  ben.query('set', 'privacy', [node('privacy', {}, [node('category', { name: 'last', value: 'none' })])])
  const collection = node('collection', { name: 'regular', version: 0 }, [node('patch', {}, Buffer.of(0x1a, 1, 7))])
  ben.query('set', 'w:sync:app:state', [node('sync', {}, [collection])])
  ann.query('get', 'encrypt', [node('key', {}, [node('user', { jid: benWeb.device.lid })])])
  benWeb.disconnect()
  ann.send(message('M1', account, [[benWeb.device.lid, msg()]]))
  const saved = serialize(takeSnapshot(stage.service))

  const service = new Service({ clock: () => stage.now })
  restoreSnapshot(service, deserialize(saved))
  assert.deepEqual(takeSnapshot(service), deserialize(saved), 'nothing is lost')
  const restored = service.accounts.byLid(account.lid)!
  const device = restored.devices.get(benWeb.device.id)!
  assert.equal(device.preKeys.size, 2, 'the key handed out is not handed out again')
  const actor = new Actor(service, device, benWeb.identity)
  actor.connect()
  const ids = actor.takeAll('message').map(({ attrs }) => [attrs.id, attrs.offline])
  assert.deepEqual(ids.at(-1)?.[0], 'M1')
  const group = service.groups.byJid(jidOf(before))!
  assert.ok(group.members.has(restored))
  assert.notEqual(service.groups.create(restored, 'New', []).id, group.id)
})
