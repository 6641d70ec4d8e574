import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { before, test } from 'node:test'
import { describedRoutes } from '../../src/features/all-routes.ts'
import type { Answer } from '../support/e2e/client.ts'
import { onBothDatabases } from '../support/e2e/on-both-databases.ts'
import { countRows } from '../support/e2e/rows.ts'
import { ADMIN_SECRET, JWT_SECRET, type Stage } from '../support/e2e/stage.ts'
import { until } from '../support/e2e/until.ts'

const UNKNOWN = '00000000-0000-4000-8000-000000000000'

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

const forge = (header: object, payload: object, secret: string, hash = 'sha256'): string => {
  const signed = `${encode(header)}.${encode(payload)}`
  return `${signed}.${createHmac(hash, secret).update(signed).digest('base64url')}`
}

// biome-ignore lint/suspicious/noExplicitAny: claims are looked at one by one
const claimsOf = (token: string): any => JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString())

onBothDatabases('who may call', (opened) => {
  let stage: Stage

  before(async () => {
    stage = opened()
  })

  /** Each route of that kind, with parameters that name nothing. */
  const routesOf = (auth: string) =>
    describedRoutes()
      .filter((route) => route.auth === auth)
      .map(({ method, path }) => ({
        method,
        path: path
          .replace('{device_id}', UNKNOWN)
          .replace('{chat_jid}', '4915112345678')
          .replace(/\{[^}]+\}/g, '1'),
      }))

  // first, because it counts all rows of the database: nothing else may go on
  test('a deleted device leaves the phone, and leaves nothing behind', async () => {
    const before = await countRows(stage.databaseUri)
    const { id, apiKey } = await stage.newKey()
    const [phone, friend] = await Promise.all([stage.whatsapp.person('Xia'), stage.whatsapp.person('Wim')])
    const gone = async () => (await phone.companions()).length === 0
    const live = async () => {
      const device = await stage.newDevice('xia', apiKey)
      await device.listen()
      await device.link(phone)
      await device.send(friend, `from ${device.id}`)
      await friend.message(`from ${device.id}`)
      const id = await friend.write(phone, `to ${device.id}`)
      await device.event('message.received', { message_id: id })
      return device
    }
    const device = await live()
    await stage.admin.ok('DELETE', `/admin/devices/${device.id}`)
    await until('the phone has lost it', gone)
    assert.equal((await device.call('GET', '/devices/me')).status, 401)
    await stage.admin.refused(404, 'DELETE', `/admin/devices/${device.id}`)
    const credentials = { device_id: device.id, device_secret: device.secret }
    assert.equal((await stage.anonymous.call('POST', '/devices/token', { body: credentials })).status, 401)

    // the same with the whole key: two linked devices, one that never was
    const [first, second] = [await live(), await live()]
    const idle = await stage.newDevice('idle', apiKey)
    await idle.qr()
    assert.equal((await stage.admin.ok('GET', `/admin/api-keys/${id}/devices`)).data.length, 3)
    await stage.admin.ok('DELETE', `/admin/api-keys/${id}`)
    await until('the phone has lost both', gone)
    for (const dead of [first, second, idle]) assert.equal((await dead.call('GET', '/devices/me')).status, 401)
    assert.equal((await stage.anonymous.call('POST', '/devices', { headers: { 'x-api-key': apiKey } })).status, 401)
    await stage.admin.refused(404, 'GET', `/admin/api-keys/${id}`)
    const leftOvers = async () => {
      const now = await countRows(stage.databaseUri)
      return Object.keys(now).filter((table) => now[table] !== before[table])
    }
    await until('nothing is left in any table', async () => (await leftOvers()).length === 0).catch(() => undefined)
    assert.deepEqual(await leftOvers(), [], 'tables with other row counts than before')
    const state = await stage.whatsapp.process.call<{ registrations: unknown[] }>('GET', '/sandbox/state')
    assert.deepEqual(state.registrations, [], 'the code that was shown is gone')
  })

  test('every admin route wants the admin secret, and nothing else will do', async () => {
    const { apiKey } = await stage.newKey()
    const device = await stage.newDevice('x', apiKey)
    const wrong: readonly Record<string, string>[] = [
      {},
      { 'x-admin-secret': '' },
      { 'x-admin-secret': ADMIN_SECRET.slice(0, -1) },
      { 'x-admin-secret': `${ADMIN_SECRET}x` },
      { authorization: `Bearer ${device.token}` },
      { 'x-api-key': apiKey },
      { authorization: `Bearer ${ADMIN_SECRET}` },
    ]
    for (const { method, path } of routesOf('admin'))
      for (const headers of wrong) {
        const answer = await stage.anonymous.call(method, path, { headers })
        assert.equal(answer.status, 401, `${method} ${path} ${JSON.stringify(headers)}`)
        assert.equal(answer.data.error_code, 'unauthorized')
      }
  })

  test('an API key opens the creation of devices and nothing else', async () => {
    const { id, apiKey } = await stage.newKey({ max_devices: 2 })
    assert.match(apiKey, /^wam_[0-9a-f]{28}$/)
    for (const headers of [
      {},
      { 'x-api-key': '' },
      { 'x-api-key': 'wam_0000000000000000000000000000' },
      { 'x-api-key': apiKey.toUpperCase() },
      { 'x-api-key': `${apiKey} x` },
      { 'x-admin-secret': ADMIN_SECRET },
      { authorization: `Bearer ${apiKey}` },
    ] as Record<string, string>[]) {
      const answer = await stage.anonymous.call('POST', '/devices', { headers })
      assert.equal(answer.status, 401, JSON.stringify(headers))
    }
    const key = stage.anonymous.with({ 'x-api-key': apiKey })
    const named = await key.ok('POST', '/devices', { device_name: ' Bot 1 ' })
    assert.equal(named.status, 201)
    assert.match(named.data.device_id, /^[0-9a-f]{8}-[0-9a-f]{4}-4/)
    assert.match(named.data.device_secret, /^[0-9a-f]{64}$/)
    assert.equal(named.data.device_name, 'Bot 1')
    for (const field of ['device_id', 'device_secret', 'token', 'device_name'])
      assert.equal(named.body[field], named.data[field], `${field} stands at the top as well`)
    const bare = await key.call('POST', '/devices')
    assert.deepEqual([bare.status, bare.data.device_name], [201, ''])
    const full = await key.refused(400, 'POST', '/devices')
    assert.equal(full.data.max_devices, 2)
    await stage.admin.ok('PATCH', `/admin/api-keys/${id}`, { max_devices: 4 })
    const form = new FormData()
    form.set('device_name', 'by form')
    assert.equal((await key.call('POST', '/devices', { raw: form })).data.device_name, 'by form')
    const encoded = await key.call('POST', '/devices', { raw: new URLSearchParams({ device_name: 'encoded' }) })
    assert.equal(encoded.data.device_name, 'encoded')
    assert.equal(
      (await key.refused(400, 'POST', '/devices', { device_name: 'x'.repeat(256) })).data.field,
      'device_name',
    )
    assert.equal((await key.refused(400, 'POST', '/devices', { device_name: 7 })).data.field, 'device_name')
  })

  test('max_devices holds against twenty at once', async () => {
    const { id, apiKey } = await stage.newKey({ max_devices: 5 })
    const key = stage.anonymous.with({ 'x-api-key': apiKey })
    const answers = await Promise.all(Array.from({ length: 20 }, () => key.call('POST', '/devices')))
    const statuses = answers.map(({ status }) => status)
    assert.deepEqual(
      [statuses.filter((status) => status === 201).length, statuses.filter((status) => status === 400).length],
      [5, 15],
    )
    assert.equal((await stage.admin.ok('GET', `/admin/api-keys/${id}`)).data.device_count, 5)
  })

  test('keys: defaults, forms, bad input, list, one, change, unknown', async () => {
    const created = await stage.admin.ok('POST', '/admin/api-keys', { customer_name: 'Solo' })
    assert.equal(created.status, 201)
    assert.deepEqual(
      [created.data.customer_name, created.data.customer_email, created.data.customer_phone],
      ['Solo', '', ''],
    )
    assert.deepEqual([created.data.max_devices, created.data.rate_limit_per_hour], [1, 1000])
    const path = `/admin/api-keys/${created.data.id}`
    const form = new FormData()
    for (const [name, value] of Object.entries({ customer_name: 'Form', max_devices: '3' })) form.set(name, value)
    assert.equal((await stage.admin.call('POST', '/admin/api-keys', { raw: form })).data.max_devices, 3)
    const bad: readonly [unknown, string][] = [
      [{}, 'customer_name'],
      [{ customer_name: ' ' }, 'customer_name'],
      [{ customer_name: 7 }, 'customer_name'],
      [{ customer_name: 'x', max_devices: 0 }, 'max_devices'],
      [{ customer_name: 'x', max_devices: 1.5 }, 'max_devices'],
      [{ customer_name: 'x', max_devices: '3' }, 'max_devices'],
      [{ customer_name: 'x', rate_limit_per_hour: -1 }, 'rate_limit_per_hour'],
      [{ customer_name: 'x', customer_email: 'e'.repeat(256) }, 'customer_email'],
      [{ customer_name: 'x', customer_phone: '1'.repeat(51) }, 'customer_phone'],
    ]
    for (const [body, field] of bad) {
      const answer = await stage.admin.refused(400, 'POST', '/admin/api-keys', body)
      assert.equal(answer.data.field, field, JSON.stringify(body))
    }
    const list = (await stage.admin.ok('GET', '/admin/api-keys')).data as Answer['data'][]
    const shown = list.find(({ id }) => id === created.data.id)
    assert.equal(shown.api_key_masked, `${created.data.api_key.slice(0, 8)}...${created.data.api_key.slice(-4)}`)
    assert.ok(!JSON.stringify(list).includes(created.data.api_key), 'the key itself is shown once')
    await stage.admin.ok('PATCH', path, { customer_name: '', customer_email: 'solo@example.com', max_devices: 0 })
    const one = (await stage.admin.ok('GET', path)).data
    assert.deepEqual([one.customer_name, one.customer_email, one.max_devices], ['Solo', 'solo@example.com', 1])
    assert.equal((await stage.admin.refused(400, 'PATCH', path, { is_active: 'no' })).data.field, 'is_active')
    for (const [method, suffix] of [
      ['GET', ''],
      ['PATCH', ''],
      ['DELETE', ''],
      ['GET', '/devices'],
      ['GET', '/devices/status'],
    ] as const) {
      const body = method === 'PATCH' ? {} : undefined
      await stage.admin.refused(404, method, `/admin/api-keys/99999999${suffix}`, body)
      assert.equal((await stage.admin.refused(400, method, `/admin/api-keys/abc${suffix}`, body)).data.field, 'id')
    }
    await stage.admin.ok('DELETE', path)
    await stage.admin.refused(404, 'GET', path)
    await stage.admin.refused(404, 'DELETE', `/admin/devices/${UNKNOWN}`)
    await stage.admin.refused(404, 'DELETE', '/admin/devices/not-a-uuid')
  })

  test('every device route wants a token of ours: other kinds, other signatures, other devices are 401', async () => {
    const { apiKey } = await stage.newKey()
    const device = await stage.newDevice('x', apiKey)
    const claims = claimsOf(device.token)
    const header = { alg: 'HS256', typ: 'JWT' }
    assert.deepEqual(Object.keys(claims).toSorted(), ['api_key_id', 'device_id', 'iat', 'nbf', 'sub', 'version'])
    assert.deepEqual([claims.device_id, claims.sub, claims.exp], [device.id, device.id, undefined])
    const good = forge(header, claims, JWT_SECRET)
    assert.equal((await stage.anonymous.call('GET', '/devices/me', bearer(good))).status, 200, 'the forger forges well')
    const [head, body, signature] = device.token.split('.') as [string, string, string]
    const wrong: readonly string[] = [
      '',
      'Basic YWRtaW46YWRtaW4=',
      device.token,
      'Bearer',
      'Bearer x.y.z',
      `Bearer ${apiKey}`,
      `Bearer ${head}.${body}.${signature.slice(0, -2)}`,
      `Bearer ${head}.${encode({ ...claims, version: claims.version + 1 })}.${signature}`,
      `Bearer ${encode({ alg: 'none', typ: 'JWT' })}.${body}.`,
      `Bearer ${forge({ alg: 'HS512', typ: 'JWT' }, claims, JWT_SECRET, 'sha512')}`,
      `Bearer ${forge(header, claims, 'another-secret-of-at-least-32-characters')}`,
      `Bearer ${forge(header, { ...claims, device_id: UNKNOWN, sub: UNKNOWN }, JWT_SECRET)}`,
      `Bearer ${forge(header, { ...claims, sub: UNKNOWN }, JWT_SECRET)}`,
      `Bearer ${forge(header, { ...claims, version: claims.version + 1 }, JWT_SECRET)}`,
      `Bearer ${forge(header, { ...claims, api_key_id: claims.api_key_id + 1 }, JWT_SECRET)}`,
      `Bearer ${forge(header, { ...claims, nbf: claims.nbf + 3600 }, JWT_SECRET)}`,
    ]
    for (const authorization of wrong) {
      const headers: Record<string, string> = authorization === '' ? {} : { authorization }
      assert.equal((await stage.anonymous.call('GET', '/devices/me', { headers })).status, 401, authorization)
    }
    for (const { method, path } of routesOf('jwt')) {
      assert.equal((await stage.anonymous.call(method, path)).status, 401, `${method} ${path}`)
      const other = await stage.anonymous.call(method, path, { headers: { authorization: wrong[11]! } })
      assert.equal(other.status, 401, `${method} ${path}`)
    }
  })

  const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })

  test('a regenerated token kills the old one at once; wrong credentials get none', async () => {
    const device = await stage.newDevice()
    const old = device.token
    const { data, body } = await stage.anonymous.ok('POST', '/devices/token', {
      device_id: device.id,
      device_secret: device.secret,
    })
    assert.deepEqual([body.token, body.device_id], [data.token, device.id])
    assert.equal((await stage.anonymous.call('GET', '/devices/me', bearer(old))).status, 401)
    assert.equal((await stage.anonymous.call('GET', '/devices/me', bearer(data.token))).status, 200)
    const bad: readonly [unknown, number][] = [
      [{ device_id: device.id, device_secret: device.secret.replace(/./, 'z') }, 401],
      [{ device_id: UNKNOWN, device_secret: device.secret }, 401],
      [{ device_id: 'nobody', device_secret: 'x' }, 401],
      [{ device_id: device.id }, 400],
      [{ device_secret: device.secret }, 400],
      [{ device_id: '', device_secret: '' }, 400],
    ]
    for (const [given, status] of bad) await stage.anonymous.refused(status, 'POST', '/devices/token', given)
    assert.equal((await stage.anonymous.call('GET', '/devices/me', bearer(data.token))).status, 200)
  })

  test('a device sees itself, and nothing of another', async () => {
    const { apiKey } = await stage.newKey()
    const [one, other] = [await stage.newDevice('one', apiKey), await stage.newDevice('other', apiKey)]
    const { data } = await one.ok('GET', '/devices/me')
    assert.deepEqual(
      [data.device_id, data.device_name, data.whatsmeow_jid, data.status],
      [one.id, 'one', '', 'pending'],
    )
    const hook = await other.listen(['test.ping'])
    for (const [method, suffix] of [
      ['GET', ''],
      ['PATCH', ''],
      ['DELETE', ''],
      ['GET', '/logs'],
      ['POST', '/test'],
    ] as const)
      await one.refused(
        404,
        method,
        `/webhooks/${hook.id}${suffix}`,
        method === 'PATCH' ? { active: false } : undefined,
      )
    assert.equal((await one.ok('GET', '/webhooks')).data.webhooks.length, 0)
    assert.equal((await other.ok('GET', '/webhooks')).data.webhooks[0].active, true)
  })

  test('a disabled key: device off WhatsApp, tokens dead at once; enabled again: all as before, without a new code', async () => {
    const { id, apiKey } = await stage.newKey()
    const phone = await stage.whatsapp.person('Zoe')
    const device = await stage.newDevice('zoe', apiKey)
    await device.listen()
    const jid = await device.link(phone)
    const connected = async () => (await phone.companions()).map((companion) => companion.connected)
    assert.deepEqual(await connected(), [true])
    await stage.admin.ok('PATCH', `/admin/api-keys/${id}`, { is_active: false })
    assert.equal((await device.call('GET', '/devices/me')).status, 401)
    assert.equal((await stage.anonymous.call('POST', '/devices', { headers: { 'x-api-key': apiKey } })).status, 401)
    const credentials = { device_id: device.id, device_secret: device.secret }
    assert.equal((await stage.anonymous.call('POST', '/devices/token', { body: credentials })).status, 401)
    await until('the phone sees the companion offline', async () => (await connected())[0] === false)
    const { data: status } = await stage.admin.ok('GET', `/admin/api-keys/${id}/devices/status`)
    assert.deepEqual([status[0].connected, status[0].whatsmeow_jid], [false, jid])
    const missed = await phone.write(await stage.whatsapp.person('Yan'), 'not for the disabled')

    // a restart does not bring it back either
    await stage.restart()
    assert.deepEqual(await connected(), [false])
    await stage.admin.ok('PATCH', `/admin/api-keys/${id}`, { is_active: true })
    await device.untilConnected()
    assert.deepEqual(await connected(), [true])
    await device.event('message.received', { message_id: missed })
    assert.equal((await phone.companions()).length, 1)
  })

  test('the operator sees keys, devices, webhooks and the process', async () => {
    const { id, apiKey } = await stage.newKey({ customer_name: 'Watched' })
    const device = await stage.newDevice('watched', apiKey)
    await device.listen()
    const [stats, health, devices, hooks] = await Promise.all(
      ['/admin/stats', '/admin/health', '/admin/devices', '/admin/webhooks/stats'].map(
        async (path) => (await stage.admin.ok('GET', path)).data,
      ),
    )
    assert.equal(stats.total_devices, devices.devices.length)
    assert.equal(stats.total_webhooks, hooks.total_webhooks)
    assert.deepEqual([health.status, health.database], ['ok', 'ok'])
    assert.equal(health.total_devices, stats.total_devices)
    const shown = devices.devices.find((one: { device_id: string }) => one.device_id === device.id)
    assert.deepEqual([shown.customer_name, shown.api_key_id, shown.status], ['Watched', id, 'pending'])
    assert.equal((await stage.anonymous.ok('GET', '/')).body.code, 200)
    await stage.anonymous.refused(405, 'DELETE', '/')
    await stage.anonymous.refused(404, 'GET', '/nothing/here')
  })

  test('an authenticated request asks the database nothing', async () => {
    const device = await stage.newDevice()
    const { apiKey } = await stage.newKey()
    await device.status()
    const before = stage.gateway.storage.statementCount()
    const rounds = 30
    for (let i = 0; i < rounds; i++) {
      await device.status()
      await device.loginState()
      await device.refused(400, 'POST', '/chats/0123/messages', { text: 'x' })
      await device.refused(409, 'GET', '/devices/me/login/passkey')
      await stage.anonymous.call('POST', '/devices', { headers: { 'x-api-key': apiKey }, body: { device_name: 7 } })
      await stage.anonymous.call('GET', '/devices/me', { headers: { authorization: 'Bearer x' } })
    }
    // what goes on behind it (deliveries, housekeeping) may ask a few things; a query of any of these calls would be 30
    const asked = stage.gateway.storage.statementCount() - before
    assert.ok(asked < rounds, `${asked} statements in ${rounds} rounds`)
    await device.ok('GET', '/webhooks')
    assert.ok(stage.gateway.storage.statementCount() > before, 'the count does count')
  })

  test('X-Request-ID is taken over when it is harmless, and made otherwise', async () => {
    const ask = async (id: string) =>
      (await stage.anonymous.call('GET', '/', { headers: { 'x-request-id': id } })).headers.get('x-request-id')
    assert.equal(await ask('trace-1.a_B'), 'trace-1.a_B')
    for (const id of ['with space', 'x'.repeat(300), 'semi;colon<script>']) assert.notEqual(await ask(id), id)
  })

  test('POST /devices/token is slowed per address', async () => {
    const device = await stage.newDevice()
    const body = { device_id: device.id, device_secret: 'wrong' }
    const answers: Answer[] = []
    for (let i = 0; i < 12; i++) answers.push(await stage.anonymous.call('POST', '/devices/token', { body }))
    const slowed = answers.filter(({ status }) => status === 429)
    assert.ok(slowed.length >= 2, answers.map(({ status }) => status).join())
    assert.equal(answers.filter(({ status }) => status !== 429 && status !== 401).length, 0)
    const retryAfter = Number(slowed.at(-1)!.headers.get('retry-after'))
    assert.ok(retryAfter >= 1 && retryAfter <= 60)
    assert.equal((await stage.anonymous.call('GET', '/')).status, 200, 'other routes go on')
  })

  test('nothing that the service saw was wrong', async () => {
    await stage.whatsapp.assertNoProblems()
    stage.inbox.assertSchemas()
  })
})
