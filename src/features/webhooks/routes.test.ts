import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { makeLoopbackDial } from '../../../test/support/loopback-dial.ts'
import { Events } from '../../events/events.ts'
import { Accounts } from '../../http/access.ts'
import { createHttpServer } from '../../http/server.ts'
import { DeviceTokens } from '../../http/tokens.ts'
import { systemClock } from '../../kernel/clock.ts'
import { newUuid } from '../../kernel/ids.ts'
import { silentLogger } from '../../kernel/logger.ts'
import type { Storage } from '../../storage/index.ts'
import { wrappingKeys } from '../../storage/keyring.ts'
import { openStorage } from '../../storage/open.ts'
import { AddressGuard } from '../../webhooks/address-guard.ts'
import { HttpWebhookClient } from '../../webhooks/client.ts'
import { Dispatcher } from '../../webhooks/dispatcher.ts'
import { EndpointHealth } from '../../webhooks/health.ts'
import { createProbe } from '../../webhooks/probe.ts'
import { signBody } from '../../webhooks/signature.ts'
import { Subscriptions } from '../../webhooks/subscriptions.ts'
import { webhookRoutes } from './routes.ts'

const JWT_SECRET = 'a jwt secret of the tests, long enough'

interface Received {
  readonly path: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
}

/** The webhooks area from HTTP down to a real database and a real receiver on 127.0.0.1. */
const open = async (more: { readonly enabled?: boolean } = {}) => {
  await using stack = new AsyncDisposableStack()
  const received: Received[] = []
  const waiting: (() => void)[] = []
  const receiver = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    response.writeHead(request.url === '/gone' ? 410 : 204).end()
    received.push({ path: request.url ?? '', headers: request.headers, text })
    for (const wake of waiting.splice(0)) wake()
  })
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  stack.defer(() => {
    receiver.closeAllConnections()
    receiver.close()
  })

  const clock = systemClock
  const opened: Storage = stack.use(
    await openStorage({
      uri: ':memory:',
      secret: wrappingKeys({ jwtSecretKey: JWT_SECRET }),
      clock,
      logger: silentLogger,
      own: true,
    }),
  )
  const accounts = await Accounts.open(opened)
  const storage = accounts.watch(opened)
  const guard = new AddressGuard({
    allowHttp: true,
    allowedNetworks: ['127.0.0.1'],
    resolver: async () => ['127.0.0.1'],
  })
  const client = stack.use(new HttpWebhookClient({ guard, clock, dial: makeLoopbackDial().dial }))
  const subscriptions = new Subscriptions({ enabled: more.enabled ?? true })
  const health = new EndpointHealth({
    webhooks: storage.webhooks,
    subscriptions,
    announce: (deviceId, drafts) =>
      deviceId === undefined ? events.appendToAll(drafts) : events.append(deviceId, drafts),
    clock,
    logger: silentLogger,
    pauseAfterMs: 86_400_000,
  })
  const dispatcher = stack.use(
    new Dispatcher({
      health,
      deliveries: storage.deliveries,
      subscriptions,
      client,
      clock,
      logger: silentLogger,
      enabled: true,
      workers: 4,
      retryLimit: 3,
      maxAgeMs: 86_400_000,
      version: '9.9.9',
    }),
  )
  await dispatcher.start()
  const events: Events = new Events({
    log: storage.events,
    receivers: subscriptions,
    waker: dispatcher,
    feed: { announce: () => undefined },
    validate: true,
  })
  const tokens = new DeviceTokens({ secret: JWT_SECRET, clock })
  const app = await createHttpServer({
    options: {
      baseUrl: '',
      corsOrigins: [],
      bodyLimitBytes: 100_000,
      gzipLevel: 1,
      trustProxy: [],
      adminSecret: 'an admin secret of the tests',
    },
    routes: webhookRoutes({
      storage,
      subscriptions,
      events,
      dispatcher,
      health,
      probe: createProbe({ client, clock, version: '9.9.9' }),
      guard,
      clock,
      maxWebhooksPerDevice: 3,
    }),
    access: accounts,
    tokens,
    idempotency: storage.idempotency,
    logger: silentLogger,
    clock,
    validateReplies: true,
    document: () => ({}),
  })
  stack.defer(() => app.close())

  const newDevice = async () => {
    const key = await storage.apiKeys.create(
      {
        keyHash: newUuid(),
        maskedKey: 'wam_',
        customerName: '',
        customerEmail: '',
        customerPhone: '',
        maxDevices: 5,
        rateLimitPerHour: 1,
      },
      clock.now(),
    )
    const device = await storage.devices.create(
      { deviceId: newUuid(), apiKeyId: key.id, deviceName: '', secretHash: 'x' },
      clock.now(),
    )
    assert.ok(typeof device !== 'string')
    const token = tokens.issue(device)
    const call = async (method: 'GET' | 'POST' | 'PATCH' | 'DELETE', url: string, payload?: unknown) => {
      const reply = await app.inject({
        method,
        url,
        headers: {
          authorization: `Bearer ${token}`,
          ...(payload === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(payload === undefined ? {} : { payload: typeof payload === 'string' ? payload : JSON.stringify(payload) }),
      })
      return { status: reply.statusCode, body: JSON.parse(reply.body) }
    }
    return { deviceId: device.deviceId, call }
  }
  const url = `http://hook.example:${(receiver.address() as AddressInfo).port}`
  /** Resolves when the receiver has seen that many requests in all. */
  const arrived = async (count: number): Promise<void> => {
    while (received.length < count) await new Promise<void>((resolve) => waiting.push(resolve))
  }
  const moved = stack.move()
  return { newDevice, received, arrived, url, events, storage, [Symbol.asyncDispose]: () => moved.disposeAsync() }
}

describe('webhooks over HTTP', { timeout: 20_000 }, () => {
  let world: Awaited<ReturnType<typeof open>>
  before(async () => {
    world = await open()
  })
  after(() => world[Symbol.asyncDispose]())

  test('a webhook is created with defaults, shows its secret once, and is listed without it', async () => {
    const { call } = await world.newDevice()
    const created = await call('POST', '/webhooks', { url: 'https://example.org/hook' })
    assert.equal(created.status, 200)
    const { data } = created.body
    assert.equal(data.webhook_id, data.id)
    assert.match(data.secret, /^[0-9a-f]{64}$/)
    assert.deepEqual([data.url, data.events, data.active], ['https://example.org/hook', [], true])
    const listed = await call('GET', '/webhooks')
    assert.equal(listed.status, 200)
    const { secret: _, webhook_id: __, ...shown } = data
    assert.deepEqual(listed.body.data, { webhooks: [shown] })
    const one = await call('GET', `/webhooks/${data.id}`)
    assert.deepEqual(one.body.data, { webhook: shown })
    assert.ok(!JSON.stringify([listed, one]).includes(data.secret))
  })

  test('own secret, headers, patterns and flag are taken', async () => {
    const { call } = await world.newDevice()
    const { body } = await call('POST', '/webhooks', {
      url: 'https://example.org/hook',
      events: ['message.*', 'call.offer', 'message.*'],
      secret: 's'.repeat(16),
      headers: { Authorization: 'Bearer very-secret' },
      active: false,
    })
    assert.deepEqual(
      [body.data.events, body.data.secret, body.data.active, body.data.header_names],
      [['message.*', 'call.offer'], 's'.repeat(16), false, ['Authorization']],
    )
    assert.ok(!JSON.stringify(body).includes('very-secret'))
  })

  test('bad input is 400 and named', async () => {
    const { call } = await world.newDevice()
    const url = 'https://example.org/hook'
    const bad: readonly (readonly [unknown, string])[] = [
      [{}, 'url'],
      [{ url: '' }, 'url'],
      [{ url: 7 }, 'url'],
      [{ url: 'nonsense' }, 'url'],
      [{ url: 'ftp://example.org/' }, 'url'],
      [{ url: 'https://10.0.0.1/' }, 'url'],
      [{ url: 'https://169.254.169.254/' }, 'url'],
      [{ url: 'https://me:pw@example.org/' }, 'url'],
      [{ url, events: 'message.received' }, 'events'],
      [{ url, events: ['message.received', 'message.recieved'] }, 'events[1]'],
      [{ url, events: [7] }, 'events[0]'],
      [{ url, secret: 'short' }, 'secret'],
      [{ url, secret: 'x'.repeat(257) }, 'secret'],
      [{ url, active: 'yes' }, 'active'],
      [{ url, headers: { Host: 'x' } }, 'headers.Host'],
      [{ url, headers: { 'X-Webhook-Signature': 'x' } }, 'headers.X-Webhook-Signature'],
      [{ url, headers: { 'a b': 'x' } }, 'headers.a b'],
      [{ url, headers: { A: 'x\r\nB: y' } }, 'headers.A'],
      [{ url, headers: { A: 'x', a: 'y' } }, 'headers.a'],
      [{ url, headers: Object.fromEntries(Array.from({ length: 21 }, (_, i) => [`X-${i}`, 'v'])) }, 'headers'],
    ]
    for (const [sent, field] of bad) {
      const { status, body } = await call('POST', '/webhooks', sent)
      assert.equal(status, 400, JSON.stringify(sent))
      assert.equal(body.data.field, field, JSON.stringify(body))
    }
    assert.equal((await call('POST', '/webhooks', '{"url":')).status, 400)
    assert.deepEqual((await call('GET', '/webhooks')).body.data, { webhooks: [] })
    for (const id of ['abc', '0', '-1', '1.5', '99999999999999999999'])
      assert.equal((await call('GET', `/webhooks/${id}`)).status, 400, id)
  })

  test('no more than WEBHOOK_MAX_PER_DEVICE, also when asked for at once', async () => {
    const { call } = await world.newDevice()
    const statuses = await Promise.all(
      Array.from({ length: 6 }, async () => (await call('POST', '/webhooks', { url: 'https://example.org/' })).status),
    )
    assert.deepEqual(statuses.toSorted(), [200, 200, 200, 409, 409, 409])
  })

  test('PATCH changes what it names and nothing else', async () => {
    const { call } = await world.newDevice()
    const { body } = await call('POST', '/webhooks', {
      url: 'https://example.org/hook',
      events: ['message.received'],
      headers: { 'X-Key': 'abc' },
    })
    const { id, created_at } = body.data
    const show = async () => (await call('GET', `/webhooks/${id}`)).body.data.webhook
    for (const [change, expected] of [
      [{ active: false }, { active: false }],
      [{ url: 'https://example.org/two' }, { url: 'https://example.org/two' }],
      [{ events: [] }, { events: [] }],
      [{ active: true }, { active: true }],
      [{ headers: {} }, { header_names: [] }],
      [{}, {}],
    ] as const) {
      const before = await show()
      const reply = await call('PATCH', `/webhooks/${id}`, change)
      assert.equal(reply.status, 200)
      assert.equal(reply.body.data, undefined)
      const now = await show()
      assert.deepEqual({ ...now, updated_at: '' }, { ...before, ...expected, updated_at: '' })
      assert.equal(now.created_at, created_at)
    }
    assert.equal((await call('PATCH', `/webhooks/${id}`, { url: 'https://127.0.0.2/' })).body.data.field, 'url')
    assert.equal((await call('PATCH', `/webhooks/${id}`, { events: ['nope'] })).body.data.field, 'events[0]')
    assert.equal((await call('PATCH', `/webhooks/${id}`, { url: null })).status, 400)
  })

  test('another device sees nothing of it', async () => {
    const [mine, other] = [await world.newDevice(), await world.newDevice()]
    const { id } = (await mine.call('POST', '/webhooks', { url: 'https://example.org/' })).body.data
    assert.deepEqual((await other.call('GET', '/webhooks')).body.data, { webhooks: [] })
    for (const [method, path, sent] of [
      ['GET', `/webhooks/${id}`, undefined],
      ['PATCH', `/webhooks/${id}`, { active: false }],
      ['DELETE', `/webhooks/${id}`, undefined],
      ['GET', `/webhooks/${id}/logs`, undefined],
      ['POST', `/webhooks/${id}/test`, undefined],
    ] as const)
      assert.equal((await other.call(method, path, sent)).status, 404, `${method} ${path}`)
    assert.equal((await mine.call('GET', `/webhooks/${id}`)).body.data.webhook.active, true)
    assert.equal((await mine.call('DELETE', `/webhooks/${id}`)).status, 200)
    assert.equal((await mine.call('DELETE', `/webhooks/${id}`)).status, 404)
  })

  test('a test goes to the addressed webhook alone, signed, and shows in its log', async () => {
    const { call, deviceId } = await world.newDevice()
    const start = world.received.length
    const make = async (path: string, more: object = {}) =>
      (await call('POST', '/webhooks', { url: `${world.url}${path}`, ...more })).body.data
    const one = await make('/one', { events: ['call.offer'], headers: { 'X-Key': 'abc' } })
    await make('/two')
    const tested = await call('POST', `/webhooks/${one.id}/test`)
    assert.equal(tested.status, 200)
    await world.arrived(start + 1)
    const got = world.received[start]!
    assert.equal(got.path, '/one')
    const sent = JSON.parse(got.text)
    assert.deepEqual(
      [sent.event_type, sent.device_id, sent.id, sent.attempt, typeof sent.data.message],
      ['test.ping', deviceId, tested.body.data.event_id, 1, 'string'],
    )
    assert.equal(got.headers['x-webhook-signature'], signBody(one.secret, Buffer.from(got.text)))
    assert.equal(got.headers['x-hub-signature-256'], got.headers['x-webhook-signature'])
    assert.equal(got.headers['x-webhook-event'], 'test.ping')
    assert.equal(got.headers['x-webhook-id'], sent.id)
    assert.equal(got.headers['x-key'], 'abc')
    assert.equal(got.headers['user-agent'], 'Parley/9.9.9')

    const log = await logOf(call, one.id, 1)
    assert.deepEqual(
      [log[0].event_type, log[0].status, log[0].attempt_count, log[0].last_status_code, log[0].last_error],
      ['test.ping', 'success', 1, 204, ''],
    )
    assert.equal(world.received.length, start + 1)
  })

  test('a failure shows in the log with its reason', async () => {
    const { call } = await world.newDevice()
    const start = world.received.length
    const { id } = (await call('POST', '/webhooks', { url: `${world.url}/gone` })).body.data
    await call('POST', `/webhooks/${id}/test`)
    await world.arrived(start + 1)
    const [entry] = await logOf(call, id, 1)
    assert.deepEqual([entry.status, entry.last_status_code, entry.last_error], ['failed', 410, 'HTTP 410'])
  })

  test('events reach the active webhooks that want them', async () => {
    const { call, deviceId } = await world.newDevice()
    const start = world.received.length
    await call('POST', '/webhooks', { url: `${world.url}/all` })
    await call('POST', '/webhooks', { url: `${world.url}/calls`, events: ['call.*'] })
    const off = (await call('POST', '/webhooks', { url: `${world.url}/off` })).body.data
    await call('PATCH', `/webhooks/${off.id}`, { active: false })
    await world.events.append(deviceId, [
      { type: 'test.ping', payload: { message: 'x' }, orderKey: undefined, occurredAt: 1 },
    ])
    await world.arrived(start + 1)
    assert.deepEqual(
      world.received.slice(start).map(({ path }) => path),
      ['/all'],
    )
    const refused = await call('POST', `/webhooks/${off.id}/test`)
    assert.equal(refused.status, 409)
  })
})

test('with delivery switched off, events are kept and a test is refused', { timeout: 20_000 }, async () => {
  await using world = await open({ enabled: false })
  const { call, deviceId } = await world.newDevice()
  const { id } = (await call('POST', '/webhooks', { url: `${world.url}/x` })).body.data
  assert.equal((await call('POST', `/webhooks/${id}/test`)).status, 409)
  await world.events.append(deviceId, [
    { type: 'test.ping', payload: { message: 'x' }, orderKey: undefined, occurredAt: 1 },
  ])
  assert.equal(await world.storage.events.lastSequence(deviceId), 1)
  assert.equal((await world.storage.deliveries.stats()).totalDeliveries, 0)
})

/** The log once it has that many entries: the answer reaches the receiver before the row is written. */
const logOf = async (
  call: (
    method: 'GET',
    url: string,
  ) => Promise<{ readonly body: { readonly data: { readonly logs: readonly LogEntry[] } } }>,
  id: number,
  count: number,
) => {
  for (;;) {
    const { logs } = (await call('GET', `/webhooks/${id}/logs`)).body.data
    if (logs.length >= count) return logs as [LogEntry]
    await new Promise((resolve) => setImmediate(resolve))
  }
}

interface LogEntry {
  readonly event_type: string
  readonly status: string
  readonly attempt_count: number
  readonly last_status_code: number | null
  readonly last_error: string
}
