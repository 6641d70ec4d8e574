import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryStorage } from '../../test/support/fakes/memory-storage.ts'
import { isParleyError } from '../kernel/errors.ts'
import type { DeviceRepository } from '../storage/index.ts'
import { Accounts } from './access.ts'

const KEY = {
  keyHash: 'h1',
  maskedKey: 'wam_...',
  customerName: 'Acme',
  customerEmail: '',
  customerPhone: '',
  maxDevices: 3,
  rateLimitPerHour: 1,
}

const device = (deviceId: string) => ({ deviceId, apiKeyId: 1, deviceName: '', secretHash: 's' })

test('what was there at the start is known', async () => {
  const storage = new MemoryStorage()
  await storage.apiKeys.create(KEY, 1)
  await storage.devices.create(device('d1'), 1)
  const accounts = await Accounts.open(storage)
  assert.equal(accounts.apiKeyByHash('h1')?.customerName, 'Acme')
  assert.equal(accounts.apiKeyByHash('h2'), undefined)
  assert.equal(accounts.device('d1')?.apiKeyId, 1)
  assert.equal('secretHash' in accounts.device('d1')!, false)
})

test('every write is seen at once, deletions with all they take along', async () => {
  const accounts = await Accounts.open(new MemoryStorage())
  const { id } = await accounts.apiKeys.create(KEY, 1)
  await accounts.devices.create(device('d1'), 1)
  await accounts.devices.create(device('d2'), 1)
  assert.equal(await accounts.devices.raiseTokenVersion('d1', 7), 2)
  assert.deepEqual([accounts.device('d1')?.tokenVersion, accounts.device('d1')?.lastActiveAt], [2, 7])
  await accounts.devices.update('d1', { status: 'active', jid: 'j' })
  assert.deepEqual([accounts.device('d1')?.status, accounts.device('d1')?.tokenVersion], ['active', 2])
  await accounts.apiKeys.update(id, { isActive: false }, 2)
  assert.equal(accounts.apiKeyByHash('h1')?.isActive, false)
  await accounts.devices.delete('d2')
  assert.equal(accounts.device('d2'), undefined)
  await accounts.apiKeys.delete(id)
  assert.deepEqual(
    [accounts.device('d1'), accounts.apiKey(id), accounts.apiKeyByHash('h1')],
    [undefined, undefined, undefined],
  )
})

test('a write that failed changes nothing in memory', async () => {
  const storage = new MemoryStorage()
  const accounts = await Accounts.open(storage)
  await accounts.apiKeys.create(KEY, 1)
  await accounts.devices.create(device('d1'), 1)
  storage.away = true
  await assert.rejects(accounts.devices.raiseTokenVersion('d1', 1), (error) =>
    isParleyError(error, 'storage_unavailable'),
  )
  await assert.rejects(accounts.apiKeys.update(1, { isActive: false }, 1))
  assert.equal(accounts.device('d1')?.tokenVersion, 1)
  assert.equal(accounts.apiKey(1)?.isActive, true)
})

test('answers of the database that overtake each other leave memory as the database is', async () => {
  const storage = new MemoryStorage()
  await storage.apiKeys.create(KEY, 1)
  await storage.devices.create(device('d1'), 1)
  const waiting: (() => void)[] = []
  const slow: DeviceRepository = {
    ...storage.devices,
    update: async (deviceId, change) => {
      const row = await storage.devices.update(deviceId, change)
      await new Promise<void>((resolve) => waiting.push(resolve))
      return row
    },
  }
  const accounts = await Accounts.open({ apiKeys: storage.apiKeys, devices: slow })
  const first = accounts.devices.update('d1', { status: 'active' })
  const second = accounts.devices.update('d1', { status: 'disconnected' })
  // Whatever is waiting is let go newest first, until both are done.
  const release = setInterval(() => waiting.pop()?.(), 1)
  await Promise.all([first, second])
  clearInterval(release)
  assert.equal(accounts.device('d1')?.status, (await storage.devices.get('d1'))?.status)
  assert.equal(accounts.device('d1')?.status, 'disconnected')
})
