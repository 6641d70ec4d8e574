import type { AddressInfo } from 'node:net'
import { testPing } from '../../src/events/catalogue/ping.ts'
import { draft } from '../../src/events/draft.ts'
import { Events } from '../../src/events/events.ts'
import { EventFeed } from '../../src/events/feed.ts'
import { EventLog } from '../../src/events/log.ts'
import { eventRoutes } from '../../src/features/events/routes.ts'
import { webhookRoutes } from '../../src/features/webhooks/routes.ts'
import { Accounts } from '../../src/http/access.ts'
import { createHttpServer } from '../../src/http/server.ts'
import { DeviceTokens } from '../../src/http/tokens.ts'
import { type Clock, systemClock } from '../../src/kernel/clock.ts'
import { newUuid } from '../../src/kernel/ids.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import type { Storage } from '../../src/storage/index.ts'
import { wrappingKeys } from '../../src/storage/keyring.ts'
import { openStorage } from '../../src/storage/open.ts'
import { AddressGuard } from '../../src/webhooks/address-guard.ts'
import { HttpWebhookClient } from '../../src/webhooks/client.ts'
import { Dispatcher } from '../../src/webhooks/dispatcher.ts'
import { EndpointHealth } from '../../src/webhooks/health.ts'
import { createProbe } from '../../src/webhooks/probe.ts'
import { Subscriptions } from '../../src/webhooks/subscriptions.ts'
import { makeLoopbackDial } from './loopback-dial.ts'

export const ADMIN_SECRET = 'an admin secret of the tests'
const JWT_SECRET = 'a jwt secret of the tests, long enough'

export interface EventGatewayOptions {
  /** `:memory:` unless said. */
  readonly uri?: string
  readonly clock?: Clock
  /** Events that were announced, before anybody hears of them. */
  readonly webhooksEnabled?: boolean
  readonly maxAgeMs?: number
}

/** Everything from the event log up to HTTP, with real storage, sockets and dispatcher, without WhatsApp. */
export const openEventGateway = async (options: EventGatewayOptions = {}) => {
  await using stack = new AsyncDisposableStack()
  const clock = options.clock ?? systemClock
  const logger = silentLogger
  const opened: Storage = stack.use(
    await openStorage({
      uri: options.uri ?? ':memory:',
      secret: wrappingKeys({ jwtSecretKey: JWT_SECRET }),
      clock,
      logger,
      own: true,
    }),
  )
  const accounts = await Accounts.open(opened)
  const storage = accounts.watch(opened)
  const guard = new AddressGuard({
    allowHttp: true,
    allowedNetworks: ['127.0.0.0/8'],
    resolver: async () => ['127.0.0.1'],
  })
  const client = stack.use(new HttpWebhookClient({ guard, clock, dial: makeLoopbackDial().dial }))
  const subscriptions = new Subscriptions({ enabled: options.webhooksEnabled ?? true })
  await subscriptions.load(storage.webhooks)
  const maxAgeMs = options.maxAgeMs ?? 86_400_000
  const health = new EndpointHealth({
    webhooks: storage.webhooks,
    subscriptions,
    announce: (deviceId, drafts) =>
      deviceId === undefined ? events.appendToAll(drafts) : events.append(deviceId, drafts),
    clock,
    logger,
    pauseAfterMs: maxAgeMs,
  })
  const dispatcher = stack.use(
    new Dispatcher({
      deliveries: storage.deliveries,
      subscriptions,
      client,
      health,
      clock,
      logger,
      enabled: options.webhooksEnabled ?? true,
      workers: 4,
      retryLimit: 3,
      maxAgeMs,
      version: '9.9.9',
    }),
  )
  const feed = new EventFeed()
  const events: Events = new Events({
    log: storage.events,
    receivers: subscriptions,
    waker: dispatcher,
    feed,
    validate: true,
  })
  accounts.whenDeviceGone((deviceId) => dispatcher.wake(subscriptions.deleteDevice(deviceId)))
  const tokens = new DeviceTokens({ secret: JWT_SECRET, clock })
  const routes = [
    ...eventRoutes({ eventLog: new EventLog({ log: storage.events, feed }) }),
    ...webhookRoutes({
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
  ]
  const app = await createHttpServer({
    options: {
      baseUrl: '/api',
      corsOrigins: ['https://app.example'],
      bodyLimitBytes: 100_000,
      gzipLevel: 1,
      trustProxy: [],
      adminSecret: ADMIN_SECRET,
    },
    routes,
    access: accounts,
    tokens,
    idempotency: storage.idempotency,
    logger,
    clock,
    validateReplies: true,
  })
  stack.defer(() => app.close())
  await app.listen({ host: '127.0.0.1', port: 0 })
  await dispatcher.start()
  const { port } = app.server.address() as AddressInfo

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
    const row = await storage.devices.create(
      { deviceId: newUuid(), apiKeyId: key.id, deviceName: '', secretHash: 'x' },
      clock.now(),
    )
    if (typeof row === 'string') throw new Error(row)
    return { deviceId: row.deviceId, apiKeyId: key.id, token: tokens.issue(row) }
  }

  /** Appends pings; `chat` is their order key. */
  const ping = (deviceId: string, labels: readonly string[], chat?: string) =>
    events.append(
      deviceId,
      labels.map((message) =>
        draft(testPing, { message }, { occurredAt: clock.now(), ...(chat === undefined ? {} : { orderKey: chat }) }),
      ),
    )

  const call = async (method: string, path: string, headers: Readonly<Record<string, string>>, body?: unknown) => {
    const response = await fetch(`http://127.0.0.1:${port}/api${path}`, {
      method,
      headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    // biome-ignore lint/suspicious/noExplicitAny: tests reach into replies of every shape
    const reply = (await response.json()) as any
    return { status: response.status, headers: response.headers, reply, data: reply.data }
  }

  const running = stack.move()
  return {
    port,
    storage,
    accounts,
    app,
    tokens,
    feed,
    events,
    dispatcher,
    subscriptions,
    health,
    newDevice,
    ping,
    asAdmin: (method: string, path: string, body?: unknown) =>
      call(method, path, { 'x-admin-secret': ADMIN_SECRET }, body),
    as: (token: string, method: string, path: string, body?: unknown) =>
      call(method, path, { authorization: `Bearer ${token}` }, body),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  }
}

export type EventGateway = Awaited<ReturnType<typeof openEventGateway>>
