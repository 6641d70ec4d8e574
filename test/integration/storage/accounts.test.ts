import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isParleyError } from '../../../src/kernel/errors.ts'
import { newUuid } from '../../../src/kernel/ids.ts'
import { onEachDatabase, sampleKey } from '../../support/postgres-and-sqlite.ts'

onEachDatabase((database) => {
  test('an API key is found by its hash, changed, listed with its devices, and deleted with them', async () => {
    const { apiKeys, devices, signalKeys } = database.storage
    const given = sampleKey()
    const key = await apiKeys.create(given, 1000)
    assert.deepEqual(await apiKeys.findByHash(given.keyHash), key)
    assert.equal(key.isActive, true)
    assert.equal(key.updatedAt, undefined)
    assert.equal((await apiKeys.hashes()).find((one) => one.id === key.id)?.keyHash, given.keyHash)

    const changed = await apiKeys.update(key.id, { isActive: false, customerName: 'Grace' }, 2000)
    assert.deepEqual(changed, { ...key, isActive: false, customerName: 'Grace', updatedAt: 2000 })
    assert.equal(await apiKeys.update(999_999, { isActive: false }, 2000), undefined)
    await apiKeys.update(key.id, { isActive: true }, 2000)

    const deviceId = newUuid()
    await devices.create({ deviceId, apiKeyId: key.id, deviceName: 'd', secretHash: 'h' }, 3000)
    await signalKeys.commit(deviceId, { writes: [], credentials: Buffer.from('c') })
    assert.equal((await apiKeys.list()).find((one) => one.id === key.id)?.deviceCount, 1)

    assert.deepEqual(await apiKeys.delete(key.id), [deviceId])
    assert.equal(await apiKeys.delete(key.id), undefined)
    assert.equal(await devices.get(deviceId), undefined)
    assert.equal(await signalKeys.credentials(deviceId), undefined)
  })

  test('a second key with the same hash is a conflict, not a driver error', async () => {
    const key = sampleKey()
    await database.storage.apiKeys.create(key, 1)
    await assert.rejects(database.storage.apiKeys.create(key, 2), (error) => isParleyError(error, 'conflict'))
  })

  test('twenty devices at once with a limit of five: five are made', async () => {
    const { apiKeys, devices } = database.storage
    const key = await apiKeys.create({ ...sampleKey(), maxDevices: 5 }, 1)
    const made = await Promise.all(
      Array.from({ length: 20 }, () =>
        devices.create({ deviceId: newUuid(), apiKeyId: key.id, deviceName: 'd', secretHash: 'h' }, 2),
      ),
    )
    assert.equal(made.filter((one) => one === 'limit_reached').length, 15)
    assert.equal((await devices.list(key.id)).length, 5)
  })

  test('an inactive or unknown key makes no device', async () => {
    const { apiKeys, devices } = database.storage
    const key = await apiKeys.create(sampleKey(), 1)
    await apiKeys.update(key.id, { isActive: false }, 2)
    const device = { deviceId: newUuid(), deviceName: 'd', secretHash: 'h' }
    assert.equal(await devices.create({ ...device, apiKeyId: key.id }, 3), 'key_inactive')
    assert.equal(await devices.create({ ...device, apiKeyId: 999_999 }, 3), 'key_inactive')
  })

  test('a device: update sets, clears and keeps; the token version rises; deletion takes everything', async () => {
    const { devices, webhooks, events } = database.storage
    const deviceId = await database.addDevice()
    const linked = await devices.update(deviceId, {
      jid: '49151@s.whatsapp.net',
      status: 'active',
      proxyUrl: 'socks5://user:password@host:1',
      lastActiveAt: 77,
    })
    assert.equal(linked?.jid, '49151@s.whatsapp.net')
    assert.equal(linked?.proxyUrl, 'socks5://user:password@host:1')
    const unlinked = await devices.update(deviceId, { jid: undefined, statusReason: 'logged_out' })
    assert.equal(unlinked?.jid, undefined)
    assert.equal(unlinked?.status, 'active')
    assert.equal(unlinked?.lastActiveAt, 77)
    assert.deepEqual(await devices.get(deviceId), unlinked)
    assert.deepEqual(await devices.update(deviceId, {}), unlinked)
    assert.equal(await devices.update(newUuid(), { status: 'active' }), undefined)
    assert.equal(await devices.secretHash(deviceId), 'hash')
    assert.equal(await devices.raiseTokenVersion(deviceId, 5), 2)
    assert.equal(await devices.raiseTokenVersion(newUuid(), 5), undefined)

    await webhooks.create({ deviceId, url: 'http://x', events: [], active: true, secret: 's', headers: {} }, 5, 1)
    await events.append(deviceId, [
      { eventId: newUuid(), type: 'a', orderKey: undefined, payload: {}, occurredAt: 1, webhookIds: [] },
    ])
    assert.equal(await devices.delete(deviceId), true)
    assert.equal(await devices.delete(deviceId), false)
    assert.deepEqual(await webhooks.list(deviceId), [])
    assert.deepEqual(await events.read(deviceId, 0, 10), [])
  })

  test('devices are listed newest first, with the customer', async () => {
    const { apiKeys, devices } = database.storage
    const key = await apiKeys.create(sampleKey(), 1)
    for (const [index, name] of ['first', 'second', 'third'].entries())
      await devices.create(
        { deviceId: newUuid(), apiKeyId: key.id, deviceName: name, secretHash: 'h' },
        10 + (index >> 1),
      )
    const listed = await devices.list(key.id)
    assert.deepEqual(
      listed.map((one) => [one.deviceName, one.customerName, one.keyActive]),
      [
        ['third', 'Ada', true],
        ['second', 'Ada', true],
        ['first', 'Ada', true],
      ],
    )
    assert.ok((await devices.list()).length >= 3)
  })

  test('webhooks: sealed secrets come back, the limit holds under concurrency, gone devices are refused', async () => {
    const { webhooks } = database.storage
    const deviceId = await database.addDevice()
    const webhook = {
      deviceId,
      url: 'https://example.com/hook',
      events: ['message.*'],
      active: true,
      secret: 'geheim\u0000ü',
      headers: { authorization: 'Bearer x' },
    }
    const made = await Promise.all(Array.from({ length: 8 }, () => webhooks.create(webhook, 3, 5)))
    assert.equal(made.filter((one) => one === 'limit_reached').length, 5)
    const listed = await webhooks.list(deviceId)
    assert.equal(listed.length, 3)
    const first = listed[0]!
    assert.deepEqual(first, {
      ...webhook,
      failingSince: undefined,
      pausedAt: undefined,
      id: first.id,
      createdAt: 5,
      updatedAt: 5,
    })
    const changed = await webhooks.update(deviceId, first.id, { active: false, headers: {}, secret: 'other' }, 9)
    assert.deepEqual(changed, { ...first, active: false, headers: {}, secret: 'other', updatedAt: 9 })
    assert.deepEqual(await webhooks.get(deviceId, first.id), changed)
    assert.equal(await webhooks.get(newUuid(), first.id), undefined)
    assert.equal(await webhooks.delete(newUuid(), first.id), false)
    assert.equal(await webhooks.delete(deviceId, first.id), true)
    assert.equal((await webhooks.listAll()).filter((one) => one.deviceId === deviceId).length, 2)
    await assert.rejects(webhooks.create({ ...webhook, deviceId: newUuid() }, 3, 5), (error) =>
      isParleyError(error, 'not_found'),
    )
  })

  test('settings keep the last value through a restart', async () => {
    await database.storage.settings.set('version', '1')
    await database.storage.settings.set('version', 'zwei\u0000\u001a')
    await database.restart()
    assert.equal(await database.storage.settings.get('version'), 'zwei\u0000\u001a')
    assert.equal(await database.storage.settings.get('other'), undefined)
  })

  test('every statement is counted', async () => {
    const before = database.storage.statementCount()
    await database.storage.ping()
    assert.equal(database.storage.statementCount(), before + 1)
  })
})
