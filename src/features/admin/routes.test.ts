import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { TestGateway } from '../../../test/support/fakes/test-gateway.ts'
import { ParleyError } from '../../kernel/errors.ts'
import { newUuid } from '../../kernel/ids.ts'
import { showBytes } from './service.ts'

const gateway = await TestGateway.open()
after(() => gateway[Symbol.asyncDispose]())

const { id: keyId, key } = await gateway.newKey(10)
const online = await gateway.newDevice(key)
const offline = await gateway.newDevice(key)
const left = await gateway.newDevice(key)
const fresh = await gateway.newDevice(key)
await gateway.accounts.devices.update(online.deviceId, {
  status: 'active',
  jid: '628111:2@s.whatsapp.net',
  lastActiveAt: 5_000,
})
await gateway.accounts.devices.update(offline.deviceId, { status: 'disconnected', jid: '628222:1@s.whatsapp.net' })
await gateway.accounts.devices.update(left.deviceId, { status: 'logged_out' })
gateway.sessions.goOnline(online.deviceId)

test('stats count keys, devices by stored status, and webhooks', async () => {
  const webhook = {
    id: 1,
    deviceId: online.deviceId,
    url: '',
    events: [],
    secret: '',
    headers: {},
    failingSince: undefined,
    pausedAt: undefined,
    createdAt: 0,
    updatedAt: 0,
  }
  gateway.storage.webhookRows.push({ ...webhook, active: true }, { ...webhook, id: 2, active: false })
  const disabled = await gateway.newKey()
  await gateway.admin('PATCH', `/admin/api-keys/${disabled.id}`, { is_active: false })
  const { status, body } = await gateway.admin('GET', '/admin/stats')
  assert.equal(status, 200)
  assert.deepEqual(body.data, {
    total_api_keys: 2,
    active_api_keys: 1,
    total_devices: 4,
    connected_devices: 1,
    disconnected_devices: 1,
    pending_devices: 1,
    logged_out_devices: 1,
    total_webhooks: 2,
    active_webhooks: 1,
  })
})

test('health says how the process and the database do', async () => {
  await gateway.clock.advance(3_723_000)
  const { body } = await gateway.admin('GET', '/admin/health')
  assert.deepEqual(
    [body.data.status, body.data.database, body.data.whatsapp_clients, body.data.total_devices, body.data.version],
    ['ok', 'ok', 1, 4, '9.9.9'],
  )
  assert.deepEqual([body.data.uptime, body.data.uptime_seconds], ['1h 2m 3s', 3_723])
  assert.match(body.data.memory_alloc, /^\d+\.\d [KMGT]B$/)
  assert.deepEqual([body.data.api_keys, body.data.active_api_keys], [2, 1])
})

test('health answers 200 while the database is away, everything else 503 with Retry-After', async () => {
  gateway.storage.away = true
  try {
    const { status, body } = await gateway.admin('GET', '/admin/health')
    assert.equal(status, 200)
    assert.deepEqual(
      [body.data.status, body.data.database, body.data.api_keys],
      ['degraded', 'error: the database is away', undefined],
    )
    for (const path of ['stats', 'devices', 'devices/status', 'webhooks/stats', 'api-keys', 'api-keys/1']) {
      const reply = await gateway.admin('GET', `/admin/${path}`)
      assert.deepEqual([reply.status, reply.headers['retry-after']], [503, '5'], path)
    }
  } finally {
    gateway.storage.away = false
  }
})

test('devices of everybody, newest first, with summary', async () => {
  const { body } = await gateway.admin('GET', '/admin/devices')
  assert.deepEqual(
    body.data.devices.map((device: { device_id: string }) => device.device_id),
    [fresh, left, offline, online].map(({ deviceId }) => deviceId),
  )
  assert.deepEqual(body.data.devices[3], {
    device_id: online.deviceId,
    device_name: 'Bot',
    api_key_id: keyId,
    customer_name: 'Acme',
    whatsmeow_jid: '628111:2@s.whatsapp.net',
    status: 'active',
    created_at: '2026-01-01T00:00:00.000Z',
    last_active_at: '1970-01-01T00:00:05.000Z',
  })
  assert.deepEqual([body.data.devices[0].whatsmeow_jid, body.data.devices[0].last_active_at], ['', null])
  assert.deepEqual(body.data.summary, { total: 4, connected: 1, disconnected: 2, pending: 1 })
})

test('live status of everybody; `error` only where there is one', async () => {
  const { body } = await gateway.admin('GET', '/admin/devices/status')
  assert.deepEqual(body.data.summary, { total: 4, online: 1, offline: 3 })
  const [, , down, up] = body.data.devices
  assert.deepEqual(
    [up.db_status, up.client_loaded, up.connected, up.is_connected, up.is_logged_in, 'error' in up, up.customer_name],
    ['active', true, true, true, true, false, 'Acme'],
  )
  assert.deepEqual([down.connected, down.error], [false, 'client not loaded'])
})

test('reconnecting everybody reports each device and sums up', async () => {
  const result = { deviceName: 'Bot' }
  gateway.sessions.reconnectResults = [
    { ...result, deviceId: online.deviceId, status: 'already_connected' },
    { ...result, deviceId: offline.deviceId, status: 'reconnected' },
    { ...result, deviceId: left.deviceId, status: 'failed', error: 'network' },
    { ...result, deviceId: fresh.deviceId, status: 'skipped' },
  ]
  const { body } = await gateway.admin('POST', '/admin/devices/reconnect')
  assert.deepEqual(body.data.summary, { total: 4, reconnected: 1, failed: 1, skipped: 2 })
  assert.deepEqual(body.data.results[2], {
    device_id: left.deviceId,
    device_name: 'Bot',
    status: 'failed',
    error: 'network',
  })
  assert.equal('error' in body.data.results[1], false)
})

test('webhook statistics, the rate over what is finished', async () => {
  gateway.storage.deliveryStats = {
    totalDeliveries: 10,
    successDeliveries: 2,
    failedDeliveries: 1,
    pendingDeliveries: 7,
  }
  const { body } = await gateway.admin('GET', '/admin/webhooks/stats')
  assert.equal(body.data.success_rate, 66.67)
  assert.deepEqual([body.data.total_deliveries, body.data.success_deliveries, body.data.failed_deliveries], [10, 2, 1])
  gateway.storage.deliveryStats = {
    totalDeliveries: 7,
    successDeliveries: 0,
    failedDeliveries: 0,
    pendingDeliveries: 7,
  }
  assert.equal((await gateway.admin('GET', '/admin/webhooks/stats')).body.data.success_rate, 0)
})

test('the WhatsApp Web version, before and after a refresh', async () => {
  const first = await gateway.admin('GET', '/admin/whatsapp/version')
  assert.deepEqual(first.body.data, {
    wa_web_version: { array: [2, 3_000, 1_019_175_440], string: '2.3000.1019175440' },
    last_refreshed: null,
    last_error: '',
  })
  gateway.version.answer = () => {
    gateway.version.number = [2, 3_000, 1_019_175_999]
    gateway.version.lastRefreshedAt = 0
    return { refreshed: true }
  }
  const second = await gateway.admin('POST', '/admin/whatsapp/version/refresh')
  assert.deepEqual(second.body.data, {
    refreshed: true,
    wa_web_version: { array: [2, 3_000, 1_019_175_999], string: '2.3000.1019175999' },
    last_refreshed: '1970-01-01T00:00:00.000Z',
    last_error: '',
  })
  gateway.version.answer = () => ({ refreshed: false })
  assert.equal((await gateway.admin('POST', '/admin/whatsapp/version/refresh?force=false')).body.data.refreshed, false)
  assert.deepEqual(gateway.version.asked, [true, false])
})

test('a refresh that fails is 502; a force that is no boolean is 400', async () => {
  gateway.version.answer = () => {
    throw new ParleyError('whatsapp_refused', 'the WhatsApp Web version could not be fetched: it answered 404')
  }
  const reply = await gateway.admin('POST', '/admin/whatsapp/version/refresh')
  assert.deepEqual([reply.status, reply.body.code, reply.body.data.error_code], [502, 502, 'whatsapp_refused'])
  const wrong = await gateway.admin('POST', '/admin/whatsapp/version/refresh?force=maybe')
  assert.deepEqual([wrong.status, wrong.body.data.field], [400, 'force'])
})

test('bytes in the unit that fits', () => {
  assert.deepEqual([0, 1_023, 1_024, 1_536, 1_048_576, 2 ** 30, 2 ** 40, 2 ** 52].map(showBytes), [
    '0 B',
    '1023 B',
    '1.0 KB',
    '1.5 KB',
    '1.0 MB',
    '1.0 GB',
    '1.0 TB',
    '4096.0 TB',
  ])
})

test('stanza failures are listed without content, as many as asked for', async () => {
  const row = { deviceId: newUuid(), tag: 'message', attempts: 5, error: 'no', firstAt: 0, lastAt: 1000, givenUp: true }
  gateway.storage.stanzaFailureRows.push(row, { ...row, tag: 'receipt', givenUp: false })
  const { body } = await gateway.admin('GET', '/admin/stanza-failures?limit=1')
  assert.deepEqual(body.data.failures, [
    {
      device_id: row.deviceId,
      tag: 'message',
      attempts: 5,
      error: 'no',
      first_at: '1970-01-01T00:00:00.000Z',
      last_at: '1970-01-01T00:00:01.000Z',
      given_up: true,
    },
  ])
  assert.equal((await gateway.admin('GET', '/admin/stanza-failures')).body.data.failures.length, 2)
  for (const limit of ['0', '1001', 'x', '1.5']) {
    const reply = await gateway.admin('GET', `/admin/stanza-failures?limit=${limit}`)
    assert.deepEqual([reply.status, reply.body.data.field], [400, 'limit'])
  }
})
