import assert from 'node:assert/strict'
import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import { after, beforeEach, test } from 'node:test'
import { ADMIN_SECRET, JWT_SECRET, type TestDevice, TestGateway } from '../../test/support/fakes/test-gateway.ts'

const gateway = await TestGateway.open()
after(() => gateway[Symbol.asyncDispose]())
let device: TestDevice
beforeEach(async () => {
  device = await gateway.newDevice()
})

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

const decode = (token: string): Record<string, unknown> =>
  JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString())

const forge = (header: object, claims: object, secret = JWT_SECRET, hash = 'sha256'): string => {
  const signed = `${encode(header)}.${encode(claims)}`
  return `${signed}.${createHmac(hash, secret).update(signed).digest('base64url')}`
}

const statusWith = async (authorization: string): Promise<number> =>
  (await gateway.call('GET', '/devices/me/status', { headers: { authorization } })).status

test('a device token is HS256 with the documented claims and no expiry', async () => {
  const header = JSON.parse(Buffer.from(device.token.split('.')[0]!, 'base64url').toString())
  assert.deepEqual(header, { alg: 'HS256', typ: 'JWT' })
  const now = Math.floor(gateway.clock.now() / 1_000)
  const { api_key_id: apiKeyId, ...claims } = decode(device.token)
  assert.equal(typeof apiKeyId, 'number')
  assert.deepEqual(claims, { device_id: device.deviceId, version: 1, sub: device.deviceId, iat: now, nbf: now })
  await gateway.accounts.devices.update(device.deviceId, { jid: '628:3@s.whatsapp.net' })
  const { body } = await gateway.call('POST', '/devices/token', {
    body: { device_id: device.deviceId, device_secret: device.secret },
  })
  assert.equal(decode(body.data.token).jid, '628:3@s.whatsapp.net')
})

test('no route without declared auth, and none lets a stranger in', async () => {
  const known = new Set(['none', 'admin', 'api-key', 'jwt'])
  let guarded = 0
  for (const { id, method, path, auth } of gateway.routes) {
    assert.ok(known.has(auth), id)
    if (auth === 'none') continue
    guarded += 1
    const url = path.replaceAll(/\{[^}]+\}/g, '1')
    const reply = await gateway.call(method, url)
    assert.equal(reply.status, 401, id)
    assert.deepEqual([reply.body.status, reply.body.code, reply.body.error], [false, 401, reply.body.message])
    for (const other of ['x-admin-secret', 'x-api-key', 'authorization'])
      assert.equal((await gateway.call(method, url, { headers: { [other]: 'nonsense' } })).status, 401, id)
  }
  assert.ok(guarded > 20)
  const open = gateway.routes.filter(({ auth }) => auth === 'none').map(({ id }) => id)
  assert.deepEqual(open, ['getIndex', 'renewDeviceToken'])
})

test('a credential opens its own kind of route only', async () => {
  const { key } = await gateway.newKey()
  assert.equal(
    (await gateway.call('GET', '/admin/stats', { headers: { ...device.headers, 'x-api-key': key } })).status,
    401,
  )
  assert.equal(
    (await gateway.call('GET', '/devices/me', { headers: { 'x-api-key': key, 'x-admin-secret': ADMIN_SECRET } }))
      .status,
    401,
  )
  assert.equal((await gateway.call('POST', '/devices', { headers: device.headers })).status, 401)
  for (const secret of [`${ADMIN_SECRET} `.trimEnd().slice(1), `${ADMIN_SECRET}x`, ADMIN_SECRET.toUpperCase()])
    assert.equal((await gateway.call('GET', '/admin/stats', { headers: { 'x-admin-secret': secret } })).status, 401)
})

test('tokens that were not signed by us with HS256 are refused', async () => {
  const claims = decode(device.token)
  assert.equal(await statusWith(`Bearer ${forge({ alg: 'HS256', typ: 'JWT' }, claims)}`), 200)
  assert.equal(await statusWith(`bearer ${device.token}`), 200)
  const [head, body, signature] = device.token.split('.') as [string, string, string]
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 })
  const rsInput = `${encode({ alg: 'RS256', typ: 'JWT' })}.${encode(claims)}`
  const attacks: Record<string, string> = {
    none: `${encode({ alg: 'none', typ: 'JWT' })}.${encode(claims)}.`,
    'none with a signature': `${encode({ alg: 'none' })}.${encode(claims)}.${signature}`,
    NoNe: `${encode({ alg: 'NoNe' })}.${encode(claims)}.`,
    HS384: forge({ alg: 'HS384', typ: 'JWT' }, claims, JWT_SECRET, 'sha384'),
    HS512: forge({ alg: 'HS512', typ: 'JWT' }, claims, JWT_SECRET, 'sha512'),
    'HS256 signature called HS512': forge({ alg: 'HS512', typ: 'JWT' }, claims),
    RS256: `${rsInput}.${sign('sha256', Buffer.from(rsInput), privateKey).toString('base64url')}`,
    'RS256 with an HMAC': forge({ alg: 'RS256', typ: 'JWT' }, claims),
    'no alg': forge({ typ: 'JWT' }, claims),
    'another secret': forge({ alg: 'HS256', typ: 'JWT' }, claims, 'not-the-secret'),
    'an empty secret': forge({ alg: 'HS256', typ: 'JWT' }, claims, ''),
    'a key of its own': forge({ alg: 'HS256', typ: 'JWT', jwk: { kty: 'oct', k: 'eA' } }, claims, 'x'),
    'an unknown critical extension': forge({ alg: 'HS256', typ: 'JWT', crit: ['b64'], b64: false }, claims),
    'no signature': `${head}.${body}.`,
    'two parts': `${head}.${body}`,
    'another body': `${head}.${encode({ ...claims, device_id: 'other', sub: 'other' })}.${signature}`,
    'a cut signature': device.token.slice(0, -4),
    empty: '',
    garbage: 'a.b.c',
    'very long': `${device.token}${'x'.repeat(10_000)}`,
  }
  for (const [name, token] of Object.entries(attacks)) assert.equal(await statusWith(`Bearer ${token}`), 401, name)
  for (const scheme of [device.token, `Basic ${device.token}`, `Token ${device.token}`, 'Bearer'])
    assert.equal(await statusWith(scheme), 401)
})

test('claims that do not fit the device are refused, however well signed', async () => {
  const claims = decode(device.token)
  const other = await gateway.newDevice()
  const wrong: Record<string, object> = {
    'another version': { ...claims, version: 2 },
    'version as text': { ...claims, version: '1' },
    'no version': { ...claims, version: undefined },
    "another key's": { ...claims, api_key_id: decode(other.token).api_key_id },
    'key as text': { ...claims, api_key_id: String(claims.api_key_id) },
    'subject of another': { ...claims, sub: other.deviceId },
    'no subject': { ...claims, sub: undefined },
    'unknown device': { ...claims, device_id: 'x', sub: 'x' },
    'device as object': { ...claims, device_id: { $ne: 1 }, sub: { $ne: 1 } },
    'not yet valid': { ...claims, nbf: 4_102_444_800 },
    expired: { ...claims, exp: 1_600_000_000 },
  }
  for (const [name, given] of Object.entries(wrong))
    assert.equal(await statusWith(`Bearer ${forge({ alg: 'HS256', typ: 'JWT' }, given)}`), 401, name)
})

test('a new token makes the old one worthless at once, although it was used before', async () => {
  assert.equal(await statusWith(`Bearer ${device.token}`), 200)
  const { body } = await gateway.call('POST', '/devices/token', {
    body: { device_id: device.deviceId, device_secret: device.secret },
    headers: { 'x-forwarded-for': '1.2.3.4' },
  })
  assert.equal(await statusWith(`Bearer ${device.token}`), 401)
  assert.equal(await statusWith(`Bearer ${body.token}`), 200)
})

test('deleting the device, disabling the key and deleting the key end its tokens at once', async () => {
  await gateway.admin('DELETE', `/admin/devices/${device.deviceId}`)
  assert.equal(await statusWith(`Bearer ${device.token}`), 401)

  const { id, key } = await gateway.newKey()
  const second = await gateway.newDevice(key)
  await gateway.admin('PATCH', `/admin/api-keys/${id}`, { is_active: false })
  assert.equal(await statusWith(`Bearer ${second.token}`), 401)
  assert.equal((await gateway.call('POST', '/devices', { headers: { 'x-api-key': key } })).status, 401)
  await gateway.admin('PATCH', `/admin/api-keys/${id}`, { is_active: true })
  assert.equal(await statusWith(`Bearer ${second.token}`), 200)
  await gateway.admin('DELETE', `/admin/api-keys/${id}`)
  assert.equal(await statusWith(`Bearer ${second.token}`), 401)
  assert.equal((await gateway.call('POST', '/devices', { headers: { 'x-api-key': key } })).status, 401)
})

test('authentication asks the database nothing', async () => {
  const { key } = await gateway.newKey(0x7fffffff)
  const count = async (act: () => Promise<{ readonly status: number }>, status: number) => {
    const before = gateway.storage.statementCount()
    assert.equal((await act()).status, status)
    return gateway.storage.statementCount() - before
  }
  assert.equal(await count(() => device.call('GET', '/devices/me/status'), 200), 0)
  const fresh = forge({ alg: 'HS256', typ: 'JWT' }, { ...decode(device.token), iat: 1 })
  assert.equal(
    await count(
      () => gateway.call('GET', '/devices/me/status', { headers: { authorization: `Bearer ${fresh}` } }),
      200,
    ),
    0,
  )
  assert.equal(await count(() => device.call('POST', '/chats/628123456/messages', { text: 'x' }), 409), 0)
  assert.equal(await count(() => gateway.admin('GET', '/admin/whatsapp/version'), 200), 0)
  // The guard of POST /devices asks nothing either: a bad body is refused with no statement executed.
  const refused = () => gateway.call('POST', '/devices', { headers: { 'x-api-key': key }, body: { device_name: 5 } })
  assert.equal(await count(refused, 400), 0)
  const stranger = () => gateway.call('POST', '/devices', { headers: { 'x-api-key': 'wam_0000' } })
  assert.equal(await count(stranger, 401), 0)
})
