import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { Type } from 'typebox'
import { ADMIN_SECRET, TestGateway } from '../../test/support/fakes/test-gateway.ts'
import { ParleyError } from '../kernel/errors.ts'
import type { Logger } from '../kernel/logger.ts'
import { ok, raw, route } from './route.ts'

const facts = { method: 'GET', auth: 'none', tag: 'Test', summary: 'For the test', errors: [] } as const

const TEST_ROUTES = [
  route({ ...facts, id: 'boom', path: '/test/boom', handler: () => Promise.reject(new Error('password=hunter2')) }),
  route({
    ...facts,
    id: 'refuse',
    path: '/test/refuse/{code}',
    params: Type.Object({ code: Type.String() }),
    handler: ({ params }) => {
      throw new ParleyError(params.code as 'conflict', `thrown ${params.code}`, { data: { whatsapp_code: 463 } })
    },
  }),
  route({
    ...facts,
    id: 'untrue',
    path: '/test/untrue',
    data: Type.Object({ n: Type.Integer() }),
    handler: () => ok('x', { n: 1.5 }),
  }),
  route({ ...facts, id: 'long', path: '/test/long', data: Type.String(), handler: () => ok('x', 'a'.repeat(5_000)) }),
  route({ ...facts, id: 'page', path: '/test/page', produces: ['text/html'], handler: () => raw('text/html', '<p>') }),
  route({
    ...facts,
    id: 'echo',
    path: '/test/echo/{name}',
    params: Type.Object({ name: Type.String() }),
    query: Type.Object({ count: Type.Optional(Type.Integer()) }),
    data: Type.Object({ name: Type.String(), count: Type.Union([Type.Integer(), Type.Null()]), ip: Type.String() }),
    handler: ({ params, query, request }) =>
      ok('echo', { name: params.name, count: query.count ?? null, ip: request.ip }),
  }),
]

const gateway = await TestGateway.open({ routes: TEST_ROUTES, http: { bodyLimitBytes: 2_000 } })
after(() => gateway[Symbol.asyncDispose]())

test('an unknown path is 404 in the envelope, whatever the method and body', async () => {
  for (const method of ['GET', 'POST', 'DELETE', 'PATCH']) {
    const reply = await gateway.call(method, '/nowhere', {
      payload: '{broken',
      headers: { 'content-type': 'application/json' },
    })
    assert.equal(reply.status, 404)
    assert.deepEqual([reply.body.status, reply.body.code, reply.body.error], [false, 404, reply.body.message])
    assert.equal(reply.body.data.error_code, 'not_found')
  }
})

test('a wrong method is 405 and Allow names the right ones', async () => {
  const reply = await gateway.call('PUT', '/admin/api-keys/5')
  assert.equal(reply.status, 405)
  assert.equal(reply.headers.allow, 'DELETE, GET, HEAD, PATCH')
  assert.equal((await gateway.call('GET', '/devices/token')).headers.allow, 'POST')
})

test('HEAD answers as GET without a body', async () => {
  const reply = await gateway.call('HEAD', '/')
  assert.equal(reply.status, 200)
  assert.equal(reply.text, '')
  assert.ok(Number(reply.headers['content-length']) > 10)
})

test('X-Request-ID is on every reply; only a harmless one of the caller is echoed', async () => {
  const idOf = async (given: string | undefined, url = '/') =>
    (await gateway.call('GET', url, { headers: given === undefined ? {} : { 'x-request-id': given } })).headers[
      'x-request-id'
    ]
  assert.equal(await idOf('order-7:a_b.c'), 'order-7:a_b.c')
  assert.equal(await idOf('x'.repeat(128)), 'x'.repeat(128))
  const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
  for (const given of [undefined, '', 'x'.repeat(129), 'a b', 'a\tb', '<script>', 'ü'])
    assert.match(String(await idOf(given)), uuid)
  for (const url of ['/nowhere', '/devices/me', '/docs/', '/favicon.ico', '/test/boom', '/%zz'])
    assert.equal(await idOf('mine', url), 'mine', url)
})

test('every reply has the security headers, and none may be cached', async () => {
  for (const url of ['/', '/devices/me', '/test/boom', '/test/page']) {
    const { headers } = await gateway.call('GET', url)
    assert.equal(headers['x-content-type-options'], 'nosniff')
    assert.equal(headers['x-frame-options'], 'SAMEORIGIN')
    assert.equal(headers['cache-control'], 'no-store', url)
  }
})

test('what nobody foresaw is 500 and tells nothing; the log has it', async () => {
  const lines: object[] = []
  const logger: Logger = {
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: (fields) => void lines.push(fields),
    child: () => logger,
  }
  await using other = await TestGateway.open({ routes: TEST_ROUTES, logger })
  const reply = await other.call('GET', '/test/boom')
  assert.equal(reply.status, 500)
  assert.doesNotMatch(reply.text, /hunter2/)
  assert.match(String((lines[0] as { err: Error }).err), /hunter2/)
})

test('each code becomes its status, with its data and Retry-After', async () => {
  const seen: Record<string, number> = {}
  for (const code of [
    'forbidden',
    'gone',
    'in_flight',
    'not_on_whatsapp',
    'rate_limited',
    'not_supported',
    'whatsapp_refused',
    'whatsapp_timeout',
    'storage_unavailable',
  ]) {
    const reply = await gateway.call('GET', `/test/refuse/${code}`)
    seen[code] = reply.status
    assert.deepEqual(reply.body.data, { whatsapp_code: 463, error_code: code })
    assert.equal(reply.headers['retry-after'], { rate_limited: '60', storage_unavailable: '5' }[code])
  }
  assert.deepEqual(seen, {
    forbidden: 403,
    gone: 410,
    in_flight: 409,
    not_on_whatsapp: 422,
    rate_limited: 429,
    not_supported: 501,
    whatsapp_refused: 502,
    whatsapp_timeout: 504,
    storage_unavailable: 503,
  })
})

test('in tests a reply that misses its schema fails', async () => {
  assert.equal((await gateway.call('GET', '/test/untrue')).status, 500)
})

test('bodies: malformed, empty, of a wrong or no type, too large, poisoned', async () => {
  const url = '/devices/token'
  const send = (payload: string, type?: string) =>
    gateway.call('POST', url, { payload, headers: type === undefined ? {} : { 'content-type': type } })
  const json = 'application/json'

  for (const payload of ['{', '{"a":1,}', 'nonsense', '\u0000']) {
    const reply = await send(payload, json)
    assert.equal(reply.status, 400, payload)
    assert.match(reply.body.message, /not valid JSON/)
  }
  assert.equal((await send('', json)).status, 400)
  assert.equal((await send('[]', json)).body.message, 'the body must be an object')
  assert.equal((await send('null', json)).status, 400)
  assert.equal((await send('{"__proto__":{"x":1}}', json)).status, 400)
  assert.match((await send('{}')).body.message, /Content-Type is missing/)
  assert.equal((await send('{}')).status, 400)
})

test('bodies: unsupported type 415, too large 413 with the limit', async () => {
  const headers = { 'x-admin-secret': ADMIN_SECRET }
  const url = '/admin/api-keys'
  for (const type of ['text/plain', 'application/xml', 'application/jsonx', ';;']) {
    const reply = await gateway.call('POST', url, { payload: '{}', headers: { ...headers, 'content-type': type } })
    assert.equal(reply.status, 415, type)
    assert.equal(reply.body.data.error_code, 'unsupported_media_type')
  }
  const large = JSON.stringify({ customer_name: 'x'.repeat(3_000) })
  const reply = await gateway.call('POST', url, {
    payload: large,
    headers: { ...headers, 'content-type': 'application/json' },
  })
  assert.equal(reply.status, 413)
  assert.equal(reply.body.data.limit_bytes, 2_000)
})

test('a body nobody asked for is not looked at', async () => {
  const { headers } = await gateway.newDevice()
  for (const type of ['application/json', 'text/plain', 'multipart/form-data']) {
    const reply = await gateway.call('POST', '/devices/me/reconnect', {
      payload: '{oops',
      headers: { ...headers, 'content-type': type },
    })
    assert.equal(reply.status, 409, type)
  }
})

test('who is not let in has no body read', async () => {
  const reply = await gateway.call('POST', '/admin/api-keys', {
    payload: 'x'.repeat(5_000),
    headers: { 'content-type': 'text/plain' },
  })
  assert.equal(reply.status, 401)
})

test('path parameters are percent-decoded; a broken encoding is 400', async () => {
  const reply = await gateway.call('GET', '/test/echo/628123%40s.whatsapp.net?count=3')
  assert.equal(reply.body.data.name, '628123@s.whatsapp.net')
  assert.equal(reply.body.data.count, 3)
  const broken = await gateway.call('GET', '/test/echo/%zz')
  assert.deepEqual([broken.status, broken.body.status, broken.body.code], [400, false, 400])
  const wrong = await gateway.call('GET', '/test/echo/a?count=many')
  assert.deepEqual([wrong.status, wrong.body.data.field], [400, 'count'])
})

test('large replies are compressed for those who take it', async () => {
  const reply = await gateway.app.inject({ url: '/test/long', headers: { 'accept-encoding': 'br, gzip' } })
  assert.equal(reply.headers['content-encoding'], 'gzip')
  assert.equal(JSON.parse(gunzipSync(reply.rawPayload).toString()).data.length, 5_000)
  for (const header of ['br', 'gzip;q=0', '']) {
    const plain = await gateway.call('GET', '/test/long', { headers: { 'accept-encoding': header } })
    assert.equal(plain.headers['content-encoding'], undefined, header)
    assert.equal(plain.headers.vary, 'Accept-Encoding')
  }
  assert.equal(
    (await gateway.call('GET', '/', { headers: { 'accept-encoding': 'gzip' } })).headers['content-encoding'],
    undefined,
  )
})

test('CORS: any origin by default, preflights answered', async () => {
  const reply = await gateway.call('GET', '/', { headers: { origin: 'https://a.example' } })
  assert.equal(reply.headers['access-control-allow-origin'], '*')
  const preflight = await gateway.call('OPTIONS', '/devices/me', { headers: { origin: 'https://a.example' } })
  assert.equal(preflight.status, 204)
  assert.match(String(preflight.headers['access-control-allow-headers']), /Authorization/)
  assert.equal((await gateway.call('OPTIONS', '/nowhere')).status, 404)
})

test('CORS: a list of origins lets in only those', async () => {
  await using other = await TestGateway.open({ http: { corsOrigins: ['https://a.example'] } })
  const allowed = async (origin: string) =>
    (await other.call('GET', '/', { headers: { origin } })).headers['access-control-allow-origin']
  assert.equal(await allowed('https://a.example'), 'https://a.example')
  assert.equal(await allowed('https://b.example'), undefined)
  assert.equal((await other.call('GET', '/')).headers.vary, 'Origin')
})

test('the forwarded address counts only behind a trusted proxy', async () => {
  const ipOf = async (on: TestGateway) =>
    (await on.call('GET', '/test/echo/a', { headers: { 'x-forwarded-for': '203.0.113.9' } })).body.data.ip
  assert.equal(await ipOf(gateway), '127.0.0.1')
  await using behind = await TestGateway.open({ routes: TEST_ROUTES, http: { trustProxy: ['127.0.0.0/8'] } })
  assert.equal(await ipOf(behind), '203.0.113.9')
})

test('the base URL stands before everything, and the index answers with and without a slash', async () => {
  await using based = await TestGateway.open({ http: { baseUrl: '/api/v1' } })
  for (const url of ['/api/v1', '/api/v1/', '/api/v1/docs/', '/api/v1/docs/swagger.json'])
    assert.equal((await based.call('GET', url)).status, 200, url)
  for (const url of ['/', '/docs/', '/devices/me']) assert.equal((await based.call('GET', url)).status, 404, url)
  assert.equal((await based.call('GET', '/api/v1/devices/me')).status, 401)
  assert.equal((await based.call('POST', '/api/v1/')).headers.allow, 'GET, HEAD')
  assert.equal((await based.call('GET', '/favicon.ico')).status, 204)
  assert.equal((await based.call('GET', '/api/v1/docs')).headers.location, '/api/v1/docs/')
})

test('requests are logged once, without query or credentials', async () => {
  const lines: { fields: object; message: string }[] = []
  const logger: Logger = {
    debug: () => undefined,
    info: (fields, message) => void lines.push({ fields, message }),
    warn: () => undefined,
    error: () => undefined,
    child: () => logger,
  }
  await using other = await TestGateway.open({ logger })
  const device = await other.newDevice()
  lines.length = 0
  await other.call('GET', '/devices/me/status?token=secret', { headers: { ...device.headers, 'x-request-id': 'r1' } })
  assert.equal(lines.length, 1)
  const { ms, ...fields } = lines[0]!.fields as Record<string, unknown>
  assert.equal(typeof ms, 'number')
  assert.deepEqual(fields, {
    request_id: 'r1',
    method: 'GET',
    path: '/devices/me/status',
    status: 200,
    device_id: device.deviceId,
  })
})
