import assert from 'node:assert/strict'
import { after, beforeEach, test } from 'node:test'
import { TestGateway } from '../../../test/support/fakes/test-gateway.ts'

const gateway = await TestGateway.open()
after(() => gateway[Symbol.asyncDispose]())
// Ten calls of POST /devices/token a minute are too few for all these tests.
beforeEach(() => gateway.clock.advance(60_000))

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

test('a device is created in the envelope, its fields repeated at the top', async () => {
  const { key } = await gateway.newKey()
  const { status, body } = await gateway.call('POST', '/devices', {
    headers: { 'x-api-key': key },
    body: { device_name: 'Production Bot 1' },
  })
  assert.equal(status, 201)
  assert.deepEqual([body.status, body.code], [true, 201])
  assert.match(body.data.device_id, UUID)
  assert.match(body.data.device_secret, /^[0-9a-f]{64}$/)
  for (const field of ['device_id', 'device_secret', 'device_name', 'token', 'message'])
    assert.equal(body[field], body.data[field], field)
  const row = await gateway.storage.devices.get(body.device_id)
  assert.deepEqual([row?.status, row?.tokenVersion, row?.deviceName], ['pending', 1, 'Production Bot 1'])
  assert.notEqual(await gateway.storage.devices.secretHash(body.device_id), body.device_secret)
})

test('the body is optional, but a given one must hold', async () => {
  const { key } = await gateway.newKey(10)
  const headers = { 'x-api-key': key }
  assert.equal((await gateway.call('POST', '/devices', { headers })).status, 201)
  const json = { ...headers, 'content-type': 'application/json' }
  assert.equal((await gateway.call('POST', '/devices', { headers: json, payload: '' })).status, 201)
  assert.equal((await gateway.call('POST', '/devices', { headers: json, payload: '{' })).status, 400)
  for (const body of [{ device_name: 5 }, { device_name: 'x'.repeat(256) }, { device_name: null }]) {
    const reply = await gateway.call('POST', '/devices', { headers, body })
    assert.deepEqual([reply.status, reply.body.data.field], [400, 'device_name'])
  }
})

test('beyond max_devices it is 400', async () => {
  const { key } = await gateway.newKey(2)
  const create = () => gateway.call('POST', '/devices', { headers: { 'x-api-key': key } })
  assert.deepEqual([(await create()).status, (await create()).status], [201, 201])
  const reply = await create()
  assert.deepEqual([reply.status, reply.body.data.max_devices], [400, 2])
})

test('the secret buys a fresh token, bare and in the envelope', async () => {
  const device = await gateway.newDevice()
  const { status, body } = await gateway.call('POST', '/devices/token', {
    body: { device_id: device.deviceId.toUpperCase(), device_secret: device.secret },
  })
  assert.equal(status, 200)
  assert.deepEqual([body.device_id, body.data.device_id], [device.deviceId, device.deviceId])
  assert.equal(body.token, body.data.token)
  assert.equal((await device.call('GET', '/devices/me')).status, 401)
  const row = gateway.accounts.device(device.deviceId)
  assert.deepEqual([row?.tokenVersion, row?.lastActiveAt], [2, gateway.clock.now()])
})

test('credentials that do not match are 401, all alike', async () => {
  const device = await gateway.newDevice()
  const ask = (body: object) => gateway.call('POST', '/devices/token', { body })
  const replies = [
    await ask({ device_id: device.deviceId, device_secret: 'f'.repeat(64) }),
    await ask({ device_id: '550e8400-e29b-41d4-a716-446655440000', device_secret: device.secret }),
    await ask({ device_id: "x' OR 1=1", device_secret: device.secret }),
  ]
  for (const { status, body } of replies) assert.deepEqual([status, body.message], [401, replies[0]!.body.message])
  assert.equal(gateway.accounts.device(device.deviceId)?.tokenVersion, 1)
  const bad: readonly (readonly [object, string])[] = [
    [{ device_secret: 's' }, 'device_id'],
    [{ device_id: device.deviceId }, 'device_secret'],
    [{ device_id: '', device_secret: 's' }, 'device_id'],
    [{ device_id: 7, device_secret: 's' }, 'device_id'],
  ]
  for (const [body, field] of bad) {
    const reply = await ask(body)
    assert.deepEqual([reply.status, reply.body.data.field], [400, field])
  }
})

test('a disabled key buys no token', async () => {
  const { id, key } = await gateway.newKey()
  const device = await gateway.newDevice(key)
  await gateway.admin('PATCH', `/admin/api-keys/${id}`, { is_active: false })
  const reply = await gateway.call('POST', '/devices/token', {
    body: { device_id: device.deviceId, device_secret: device.secret },
  })
  assert.equal(reply.status, 401)
})

test('the device sees itself and its live status', async () => {
  const device = await gateway.newDevice()
  const me = await device.call('GET', '/devices/me')
  assert.deepEqual(me.body.data, {
    device_id: device.deviceId,
    device_name: 'Bot',
    whatsmeow_jid: '',
    status: 'pending',
    created_at: new Date(gateway.clock.now()).toISOString(),
    last_active: null,
  })
  const offline = { client_loaded: false, connected: false, is_connected: false, is_logged_in: false }
  const status = async () => (await device.call('GET', '/devices/me/status')).body.data
  assert.deepEqual(await status(), { db_status: 'pending', ...offline, error: 'client not loaded' })
  gateway.sessions.goOnline(device.deviceId)
  await gateway.accounts.devices.update(device.deviceId, { status: 'active' })
  assert.deepEqual(await status(), {
    db_status: 'active',
    client_loaded: true,
    connected: true,
    is_connected: true,
    is_logged_in: true,
    error: '',
  })
  gateway.sessions.live.set(device.deviceId, {
    clientLoaded: true,
    isConnected: true,
    isLoggedIn: false,
    error: 'client not logged in',
  })
  assert.equal((await status()).connected, false)
})

test('a device whose row is gone is 404 for a token that was let in', async () => {
  const device = await gateway.newDevice()
  await gateway.storage.devices.delete(device.deviceId)
  assert.equal((await device.call('GET', '/devices/me')).status, 404)
})

test('reconnect and logout: 409 when not linked', async () => {
  const device = await gateway.newDevice()
  for (const [method, path] of [
    ['POST', '/devices/me/reconnect'],
    ['DELETE', '/devices/me/session'],
  ] as const) {
    gateway.sessions.live.delete(device.deviceId)
    const refused = await device.call(method, path)
    assert.deepEqual([refused.status, refused.body.data.error_code], [409, 'not_linked'])
    gateway.sessions.goOnline(device.deviceId)
    const done = await device.call(method, path)
    assert.deepEqual([done.status, 'data' in done.body], [200, false])
  }
  assert.equal((await device.call('GET', '/devices/me')).status, 200)
})

test('an operator deletes a device: off WhatsApp, then gone; unknown or malformed is 404', async () => {
  const device = await gateway.newDevice()
  assert.equal((await gateway.admin('DELETE', `/admin/devices/${device.deviceId}`)).status, 200)
  assert.deepEqual(gateway.sessions.calls.at(-1), ['remove', device.deviceId])
  for (const id of [device.deviceId, 'nonsense', '550e8400-e29b-41d4-a716-446655440000']) {
    const reply = await gateway.admin('DELETE', `/admin/devices/${id}`)
    assert.deepEqual([reply.status, reply.body.data.error_code], [404, 'not_found'])
  }
})
