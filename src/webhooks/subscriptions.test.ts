import assert from 'node:assert/strict'
import { test } from 'node:test'
import { webhookRow } from '../../test/support/dispatching.ts'
import { Subscriptions } from './subscriptions.ts'

test('an event goes to the active webhooks of its device that want it, oldest first', async () => {
  const subscriptions = new Subscriptions({ enabled: true })
  await subscriptions.load({
    listAll: async () => [
      webhookRow(1, { deviceId: 'a' }),
      webhookRow(2, { deviceId: 'a', events: ['message.*'] }),
      webhookRow(3, { deviceId: 'a', events: ['message.read', 'call.offer'] }),
      webhookRow(4, { deviceId: 'a', active: false }),
      webhookRow(5, { deviceId: 'b', events: ['*'] }),
    ],
  })
  assert.deepEqual(subscriptions.webhookIdsFor('a', 'message.received'), [1, 2])
  assert.deepEqual(subscriptions.webhookIdsFor('a', 'message.read'), [1, 2, 3])
  assert.deepEqual(subscriptions.webhookIdsFor('a', 'call.offer'), [1, 3])
  assert.deepEqual(subscriptions.webhookIdsFor('b', 'test.ping'), [5])
  assert.deepEqual(subscriptions.webhookIdsFor('c', 'test.ping'), [])

  subscriptions.set(webhookRow(2, { deviceId: 'a', events: ['call.*'] }))
  subscriptions.delete(1)
  assert.deepEqual(subscriptions.webhookIdsFor('a', 'call.offer'), [2, 3])
  subscriptions.deleteDevice('a')
  assert.deepEqual(subscriptions.webhookIdsFor('a', 'call.offer'), [])
  assert.equal(subscriptions.get(3), undefined)
  assert.equal(subscriptions.size, 1)
})

test('switched off, nobody wants anything', () => {
  const subscriptions = new Subscriptions({ enabled: false })
  subscriptions.set(webhookRow(1))
  assert.deepEqual(subscriptions.webhookIdsFor('device', 'test.ping'), [])
  assert.ok(subscriptions.get(1))
})
