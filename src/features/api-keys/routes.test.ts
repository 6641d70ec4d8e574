import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { ADMIN_SECRET, TestGateway } from '../../../test/support/fakes/test-gateway.ts'

const gateway = await TestGateway.open()
after(() => gateway[Symbol.asyncDispose]())

test('a key is shown once, then masked', async () => {
  const { status, body } = await gateway.admin('POST', '/admin/api-keys', { customer_name: ' Acme Corp ' })
  assert.deepEqual([status, body.code, body.status], [201, 201, true])
  const { id, api_key: key, ...owner } = body.data
  assert.match(key, /^wam_[0-9a-f]{28}$/)
  assert.deepEqual(owner, {
    customer_name: 'Acme Corp',
    customer_email: '',
    customer_phone: '',
    max_devices: 1,
    rate_limit_per_hour: 1_000,
  })
  const list = await gateway.admin('GET', '/admin/api-keys')
  assert.doesNotMatch(list.text, new RegExp(key))
  const shown = list.body.data.find((row: { id: number }) => row.id === id)
  assert.equal(shown.api_key_masked, `${key.slice(0, 8)}...${key.slice(-4)}`)
  assert.deepEqual([shown.is_active, shown.device_count], [true, 0])
})

test('there is [] where there is no key and no device', async () => {
  await using empty = await TestGateway.open()
  assert.deepEqual((await empty.admin('GET', '/admin/api-keys')).body.data, [])
  assert.deepEqual((await empty.admin('GET', '/admin/devices')).body.data.devices, [])
  const { id } = await empty.newKey()
  assert.deepEqual((await empty.admin('GET', `/admin/api-keys/${id}/devices`)).body.data, [])
  assert.deepEqual((await empty.admin('GET', `/admin/api-keys/${id}/devices/status`)).body.data, [])
})

test('forms are taken as JSON is; their texts become numbers', async () => {
  const headers = { 'x-admin-secret': ADMIN_SECRET }
  const urlencoded = await gateway.call('POST', '/admin/api-keys', {
    headers: { ...headers, 'content-type': 'application/x-www-form-urlencoded' },
    payload: 'customer_name=Acme+%26+Co&max_devices=7',
  })
  assert.deepEqual(
    [urlencoded.status, urlencoded.body.data.max_devices, urlencoded.body.data.customer_name],
    [201, 7, 'Acme & Co'],
  )
  const multipart = (fields: Record<string, string>, extra = '') => {
    const parts = Object.entries(fields).map(
      ([name, value]) => `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
    )
    return gateway.call('POST', '/admin/api-keys', {
      headers: { ...headers, 'content-type': 'multipart/form-data; boundary=b' },
      payload: `${parts.join('')}${extra}--b--\r\n`,
    })
  }
  const form = await multipart({ customer_name: 'Acme', max_devices: '3', rate_limit_per_hour: '5' })
  assert.deepEqual([form.status, form.body.data.max_devices, form.body.data.rate_limit_per_hour], [201, 3, 5])
  const wrong = await multipart({ customer_name: 'Acme', max_devices: 'three' })
  assert.deepEqual([wrong.status, wrong.body.data.field], [400, 'max_devices'])
  const file = 'Content-Disposition: form-data; name="logo"; filename="a.png"\r\nContent-Type: image/png\r\n\r\nx\r\n'
  assert.equal((await multipart({ customer_name: 'Acme' }, `--b\r\n${file}`)).status, 400)
  assert.equal((await multipart({ customer_name: 'x'.repeat(70_000) })).status, 413)
  const torn = await gateway.call('POST', '/admin/api-keys', {
    headers: { ...headers, 'content-type': 'multipart/form-data; boundary=b' },
    payload: '--b\r\nContent-Disposition: form-data; name="customer_name"\r\n\r\nAcme',
  })
  assert.equal(torn.status, 400)
})

test('a key with its devices', async () => {
  const { id, key } = await gateway.newKey()
  const linked = await gateway.newDevice(key)
  const fresh = await gateway.call('POST', '/devices', { headers: { 'x-api-key': key } })
  await gateway.accounts.devices.update(linked.deviceId, { status: 'active', jid: 'j@s', lastActiveAt: 0 })
  gateway.sessions.goOnline(linked.deviceId)
  const { body } = await gateway.admin('GET', `/admin/api-keys/${id}`)
  assert.deepEqual(
    [body.data.device_count, body.data.created_at, body.data.updated_at],
    [2, '2026-01-01T00:00:00.000Z', null],
  )
  assert.deepEqual(body.data.devices, [
    { device_id: fresh.body.device_id, api_key_id: id, status: 'pending', created_at: '2026-01-01T00:00:00.000Z' },
    {
      device_id: linked.deviceId,
      api_key_id: id,
      device_name: 'Bot',
      whatsmeow_jid: 'j@s',
      status: 'active',
      created_at: '2026-01-01T00:00:00.000Z',
      last_active_at: '1970-01-01T00:00:00.000Z',
    },
  ])
  const devices = await gateway.admin('GET', `/admin/api-keys/${id}/devices`)
  assert.deepEqual(devices.body.data[0], {
    device_id: fresh.body.device_id,
    device_name: '',
    whatsmeow_jid: '',
    status: 'pending',
    created_at: '2026-01-01T00:00:00.000Z',
    last_active_at: null,
  })
  const live = await gateway.admin('GET', `/admin/api-keys/${id}/devices/status`)
  assert.deepEqual(
    live.body.data.map((device: { connected: boolean; error?: string }) => [device.connected, device.error]),
    [
      [false, 'client not loaded'],
      [true, undefined],
    ],
  )
})

test('a change keeps what is absent, blank, or not above 0', async () => {
  const { id } = await gateway.newKey(4)
  const get = async () => (await gateway.admin('GET', `/admin/api-keys/${id}`)).body.data
  const changed = await gateway.admin('PATCH', `/admin/api-keys/${id}`, {
    customer_name: ' ',
    customer_email: 'a@b.c',
    max_devices: 0,
    rate_limit_per_hour: -5,
  })
  assert.deepEqual([changed.status, 'data' in changed.body], [200, false])
  const now = await get()
  assert.deepEqual(
    [now.customer_name, now.customer_email, now.max_devices, now.rate_limit_per_hour],
    ['Acme', 'a@b.c', 4, 1_000],
  )
  assert.equal(now.updated_at, '2026-01-01T00:00:00.000Z')
})

test('disabling a key suspends its devices, enabling brings them back', async () => {
  const { id, key } = await gateway.newKey()
  const { deviceId } = await gateway.newDevice(key)
  await gateway.admin('PATCH', `/admin/api-keys/${id}`, { is_active: false })
  assert.deepEqual(gateway.sessions.calls.at(-1), ['suspend', deviceId])
  await gateway.admin('PATCH', `/admin/api-keys/${id}`, { is_active: true })
  assert.deepEqual(gateway.sessions.calls.at(-1), ['resume', deviceId])
})

test('deleting a key takes each device off WhatsApp first', async () => {
  const { id, key } = await gateway.newKey()
  const devices = [await gateway.newDevice(key), await gateway.newDevice(key)]
  gateway.sessions.calls.length = 0
  assert.equal((await gateway.admin('DELETE', `/admin/api-keys/${id}`)).status, 200)
  assert.deepEqual(
    new Set(gateway.sessions.calls.map(([method, deviceId]) => `${method} ${deviceId}`)),
    new Set(devices.map(({ deviceId }) => `remove ${deviceId}`)),
  )
  assert.equal((await gateway.admin('GET', `/admin/api-keys/${id}`)).status, 404)
  assert.equal((await gateway.admin('DELETE', `/admin/api-keys/${id}`)).status, 404)
})

test('bad input names the field', async () => {
  const bad: readonly (readonly [object, string])[] = [
    [{}, 'customer_name'],
    [{ customer_name: '' }, 'customer_name'],
    [{ customer_name: ' \t' }, 'customer_name'],
    [{ customer_name: 5 }, 'customer_name'],
    [{ customer_name: null }, 'customer_name'],
    [{ customer_name: 'x'.repeat(256) }, 'customer_name'],
    [{ customer_name: 'A', customer_email: 'x'.repeat(256) }, 'customer_email'],
    [{ customer_name: 'A', customer_phone: 'x'.repeat(51) }, 'customer_phone'],
    [{ customer_name: 'A', max_devices: 0 }, 'max_devices'],
    [{ customer_name: 'A', max_devices: '3' }, 'max_devices'],
    [{ customer_name: 'A', max_devices: 1.5 }, 'max_devices'],
    [{ customer_name: 'A', max_devices: 2 ** 31 }, 'max_devices'],
    [{ customer_name: 'A', rate_limit_per_hour: -1 }, 'rate_limit_per_hour'],
  ]
  for (const [body, field] of bad) {
    const reply = await gateway.admin('POST', '/admin/api-keys', body)
    assert.deepEqual([reply.status, reply.body.data.field], [400, field], JSON.stringify(body))
    assert.match(reply.body.message, new RegExp(`^${field}: `))
  }
  const { id } = await gateway.newKey()
  const reply = await gateway.admin('PATCH', `/admin/api-keys/${id}`, { is_active: 'no' })
  assert.deepEqual([reply.status, reply.body.data.field], [400, 'is_active'])
})

test('an id that is no number is 400, one that is not there 404', async () => {
  for (const [method, path] of [
    ['GET', ''],
    ['PATCH', ''],
    ['DELETE', ''],
    ['GET', '/devices'],
    ['GET', '/devices/status'],
  ] as const) {
    const body = method === 'PATCH' ? {} : undefined
    for (const id of ['abc', '1.5', '0', '-1', '99999999999999999999', '%20']) {
      const reply = await gateway.admin(method, `/admin/api-keys/${id}${path}`, body)
      assert.deepEqual([reply.status, reply.body.data.field], [400, 'id'], `${method} ${id}${path}`)
    }
    assert.equal((await gateway.admin(method, `/admin/api-keys/4711${path}`, body)).status, 404, `${method} ${path}`)
  }
})
