import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance, InjectOptions } from 'fastify'
import { EventFeed } from '../../../src/events/feed.ts'
import { EventLog } from '../../../src/events/log.ts'
import type { VersionNumber, WhatsAppVersion } from '../../../src/features/admin/whatsapp-version.ts'
import { allRoutes } from '../../../src/features/all-routes.ts'
import { Accounts } from '../../../src/http/access.ts'
import { buildOpenApi } from '../../../src/http/openapi.ts'
import type { Route } from '../../../src/http/route.ts'
import { createHttpServer, type HttpOptions } from '../../../src/http/server.ts'
import { DeviceTokens } from '../../../src/http/tokens.ts'
import { systemClock } from '../../../src/kernel/clock.ts'
import { ParleyError } from '../../../src/kernel/errors.ts'
import { type Logger, silentLogger } from '../../../src/kernel/logger.ts'
import { MediaProcessor } from '../../../src/media/processor.ts'
import { TempFiles } from '../../../src/media/temp-files.ts'
import { Tools } from '../../../src/media/tools.ts'
import { AddressGuard } from '../../../src/webhooks/address-guard.ts'
import { Subscriptions } from '../../../src/webhooks/subscriptions.ts'
import { FakeClock } from '../fake-clock.ts'
import { FakeSessions } from './fake-sessions.ts'
import { MemoryIdempotency } from './memory-idempotency.ts'
import { MemoryStorage } from './memory-storage.ts'

export const ADMIN_SECRET = 'admin-secret-of-the-tests-0123456789'
export const JWT_SECRET = 'jwt-secret-of-the-tests-0123456789'

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly text: string
  /** The parsed body; `undefined` when it is not JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests reach into replies of every shape
  readonly body: any
}

export interface TestGatewayOptions {
  readonly http?: Partial<HttpOptions>
  readonly logger?: Logger
  /** More endpoints, to provoke the glue. */
  readonly routes?: readonly Route[]
}

/** The whole HTTP side over fakes; every reply is held against its schema. */
export class TestGateway implements AsyncDisposable {
  readonly app: FastifyInstance
  readonly baseUrl: string
  readonly routes: readonly Route[]
  readonly storage: MemoryStorage
  readonly sessions: FakeSessions
  readonly clock: FakeClock
  readonly accounts: Accounts
  readonly tokens: DeviceTokens
  readonly version: FakeVersion
  readonly idempotency: MemoryIdempotency

  private constructor(
    parts: Omit<TestGateway, 'call' | 'admin' | 'newKey' | 'newDevice' | typeof Symbol.asyncDispose>,
  ) {
    this.app = parts.app
    this.baseUrl = parts.baseUrl
    this.routes = parts.routes
    this.storage = parts.storage
    this.sessions = parts.sessions
    this.clock = parts.clock
    this.accounts = parts.accounts
    this.tokens = parts.tokens
    this.version = parts.version
    this.idempotency = parts.idempotency
  }

  static async open(options: TestGatewayOptions = {}): Promise<TestGateway> {
    const clock = new FakeClock(Date.UTC(2026, 0, 1))
    const storage = new MemoryStorage()
    const sessions = new FakeSessions()
    const accounts = await Accounts.open(storage)
    const tokens = new DeviceTokens({ secret: JWT_SECRET, clock })
    const version = new FakeVersion()
    const idempotency = new MemoryIdempotency()
    const routes = [
      ...allRoutes({
        storage: {
          apiKeys: accounts.apiKeys,
          devices: accounts.devices,
          webhooks: storage.webhooks,
          deliveries: storage.deliveries as never,
          messages: storage.messages,
          chats: storage.chats,
          stanzaFailures: storage.stanzaFailures as never,
          ping: () => storage.ping(),
        },
        sessions,
        tokens,
        clock,
        version: '9.9.9',
        startedAt: clock.now(),
        refusals: () => ({ message: 1 }),
        whatsappVersion: version,
        // the webhooks area has tests of its own, on a real database
        subscriptions: new Subscriptions({ enabled: false }),
        events: { append: async () => [] },
        dispatcher: { changed: () => undefined },
        health: { resume: async () => false },
        probe: async () => ({ eventId: '', delivered: true, statusCode: 200, latencyMs: 0, error: '' }),
        eventLog: new EventLog({ log: storage.events, feed: new EventFeed() }),
        guard: new AddressGuard({ allowHttp: false, allowedNetworks: [] }),
        maxWebhooksPerDevice: 5,
        library: {
          open: async () => {
            throw new ParleyError('not_found', 'there is no file in it')
          },
          retry: async () => undefined,
        },
        processor: new MediaProcessor({
          tools: new Tools({ ffmpegPath: undefined, clock: systemClock }),
          settings: { imageCompression: true, convertWebp: true },
        }),
        fetcher: {
          get: async (_, sink) => {
            sink.destroy()
            throw new ParleyError('bad_request', 'url: nothing is fetched here', { field: 'url' })
          },
        },
        temp: new TempFiles(join(tmpdir(), 'parley-test')),
      }),
      ...(options.routes ?? []),
    ]
    const http: HttpOptions = {
      baseUrl: '',
      corsOrigins: ['*'],
      bodyLimitBytes: 1_048_576,
      gzipLevel: 1,
      trustProxy: [],
      adminSecret: ADMIN_SECRET,
      ...options.http,
    }
    const app = await createHttpServer({
      options: http,
      routes,
      access: accounts,
      tokens,
      idempotency,
      logger: options.logger ?? silentLogger,
      clock,
      document: () => buildOpenApi(routes, [], { version: '9.9.9', baseUrl: http.baseUrl }),
      validateReplies: true,
    })
    return new TestGateway({
      app,
      baseUrl: http.baseUrl,
      routes,
      storage,
      sessions,
      clock,
      accounts,
      tokens,
      version,
      idempotency,
    })
  }

  async call(
    method: string,
    url: string,
    { headers = {}, body, payload }: { headers?: Record<string, string>; body?: unknown; payload?: string } = {},
  ): Promise<Answer> {
    const sent = payload ?? (body === undefined ? undefined : JSON.stringify(body))
    const reply = await this.app.inject({
      method: method as NonNullable<InjectOptions['method']>,
      url,
      headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
      ...(sent === undefined ? {} : { payload: sent }),
    })
    const isJson = String(reply.headers['content-type']).includes('json') && reply.body !== ''
    return {
      status: reply.statusCode,
      headers: reply.headers,
      text: reply.body,
      body: isJson ? JSON.parse(reply.body) : undefined,
    }
  }

  admin(method: string, url: string, body?: unknown): Promise<Answer> {
    return this.call(method, url, {
      headers: { 'x-admin-secret': ADMIN_SECRET },
      ...(body === undefined ? {} : { body }),
    })
  }

  /** Issues an API key through the API. */
  async newKey(maxDevices = 5): Promise<{ readonly id: number; readonly key: string }> {
    const { body } = await this.admin('POST', `${this.baseUrl}/admin/api-keys`, {
      customer_name: 'Acme',
      max_devices: maxDevices,
    })
    return { id: body.data.id, key: body.data.api_key }
  }

  /** Registers a device of a fresh API key, or of the given one; `call` speaks with its token. */
  async newDevice(key?: string): Promise<TestDevice> {
    const apiKey = key ?? (await this.newKey()).key
    const { body } = await this.call('POST', `${this.baseUrl}/devices`, {
      headers: { 'x-api-key': apiKey },
      body: { device_name: 'Bot' },
    })
    const { device_id: deviceId, device_secret: secret, token } = body.data
    const headers = { authorization: `Bearer ${token}` }
    return {
      deviceId,
      secret,
      token,
      headers,
      call: (method, url, sent) => this.call(method, url, { headers, ...(sent === undefined ? {} : { body: sent }) }),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.app.close()
  }
}

export interface TestDevice {
  readonly deviceId: string
  readonly secret: string
  readonly token: string
  readonly headers: Record<string, string>
  call(method: string, url: string, body?: unknown): Promise<Answer>
}

/** A version that a test changes by hand. */
export class FakeVersion implements WhatsAppVersion {
  number: VersionNumber = [2, 3_000, 1_019_175_440]
  lastRefreshedAt: number | undefined
  lastError = ''
  /** Each call of `refresh`. */
  readonly asked: boolean[] = []
  answer: () => { readonly refreshed: boolean } = () => ({ refreshed: true })

  current(): VersionNumber {
    return this.number
  }

  async refresh(force: boolean): Promise<{ readonly refreshed: boolean }> {
    this.asked.push(force)
    return this.answer()
  }
}
