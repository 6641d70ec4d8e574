import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Running, startProgram } from '../../../scripts/lib/process.ts'
import { type EngineTiming, type Gateway, startGateway } from '../../../src/compose.ts'
import { parseConfig } from '../../../src/config/config.ts'
import { systemClock } from '../../../src/kernel/clock.ts'
import type { Logger } from '../../../src/kernel/logger.ts'
import { createLogger } from '../../../src/observability/logger.ts'
import { createTestDatabase } from '../postgres.ts'
import { Client } from './client.ts'
import { Device } from './device.ts'
import { WebhookInbox } from './inbox.ts'
import type { Phone } from './phone.ts'
import { SimulatedWhatsApp } from './simulated-whatsapp.ts'

export const ROOT = join(import.meta.dirname, '..', '..', '..')

export const ADMIN_SECRET = 'admin-secret-of-the-end-to-end-tests'
export const JWT_SECRET = 'jwt-secret-of-the-end-to-end-tests-x'

export type DatabaseKind = 'sqlite' | 'postgres'

/** A person and a device of theirs. */
export interface Linked {
  readonly phone: Phone
  readonly device: Device
  readonly jid: string
}

export interface StageOptions {
  readonly database?: DatabaseKind
  readonly env?: Readonly<Record<string, string>>
  readonly engineTiming?: EngineTiming
  readonly sandboxArgs?: readonly string[]
  /** What `startProcess` runs: the source unless a test has built it. */
  readonly main?: string
}

/** Receivers on this machine may be reached, and nothing waits for the looks of it. */
const SETTINGS = {
  ADMIN_SECRET_KEY: ADMIN_SECRET,
  JWT_SECRET_KEY: JWT_SECRET,
  SERVER_ADDRESS: '127.0.0.1',
  SERVER_PORT: '0',
  WEBHOOK_ALLOW_HTTP: 'true',
  WEBHOOK_ALLOWED_NETWORKS: '127.0.0.0/8',
  WHATSAPP_AUTO_PRESENCE_ENABLED: 'false',
  WHATSAPP_TYPING_DELAY_MIN: '50ms',
  WHATSAPP_TYPING_DELAY_MAX: '50ms',
  WHATSAPP_STARTUP_RECONNECT_JITTER_MAX: '0ms',
  WHATSAPP_STARTUP_RECONNECT_BACKOFF_BASE: '50ms',
  WHATSAPP_STARTUP_RECONNECT_BACKOFF_MAX: '300ms',
  // nothing listens there: no test asks the internet
  WHATSAPP_VERSION_URL: 'http://127.0.0.1:9/sw.js',
}

/**
 * Baileys lets its limits run on when a session has closed: 30 s for a pre-key upload, 10 s and more for queries and
 * retry requests. A gateway ends by process.exit; a test process must not wait for them.
 */
const LEFT_BEHIND_MS = 1_000
const { setTimeout: nativeSetTimeout } = globalThis
globalThis.setTimeout = Object.assign((callback: (...values: unknown[]) => void, ms?: number, ...values: unknown[]) => {
  const timer = nativeSetTimeout(callback, ms, ...values)
  return (ms ?? 0) >= LEFT_BEHIND_MS ? timer.unref() : timer
}, nativeSetTimeout) as typeof setTimeout

/**
 * A gateway in this process, composed as in production, with everything around it: a simulated WhatsApp as a process of
 * its own, a webhook receiver, a database. Replies and events are held against their schemas.
 */
export class Stage implements AsyncDisposable {
  readonly whatsapp: SimulatedWhatsApp
  readonly inbox: WebhookInbox
  /** Lines that the gateway logged, `warn` and worse. */
  readonly log: string[] = []
  /** A folder that goes with the stage. */
  readonly home = mkdtempSync(join(tmpdir(), 'parley-e2e-'))
  readonly #options: StageOptions
  #databaseUri = ''
  #dropDatabase = async (): Promise<void> => undefined
  #gateway: Gateway | undefined
  #program: { readonly running: Running; readonly url: string } | undefined
  #fatal: Error | undefined

  private constructor(options: StageOptions, whatsapp: SimulatedWhatsApp, inbox: WebhookInbox) {
    this.#options = options
    this.whatsapp = whatsapp
    this.inbox = inbox
  }

  static async open(options: StageOptions = {}): Promise<Stage> {
    const stage = new Stage(options, await SimulatedWhatsApp.start(options.sandboxArgs), await WebhookInbox.open())
    try {
      if (options.database === 'postgres') {
        const { url, drop } = await createTestDatabase()
        stage.#databaseUri = url
        stage.#dropDatabase = drop
      } else stage.#databaseUri = `sqlite:${join(stage.home, 'parley.sqlite')}`
      await stage.start()
      return stage
    } catch (error) {
      await stage[Symbol.asyncDispose]()
      throw error
    }
  }

  get gateway(): Gateway {
    if (!this.#gateway) throw new Error('the gateway is stopped')
    return this.#gateway
  }

  get databaseUri(): string {
    return this.#databaseUri
  }

  /** Settings as a process would get them, with the database and the service of this stage. */
  get env(): Readonly<Record<string, string>> {
    return {
      ...SETTINGS,
      WHATSAPP_DATASTORE_URI: this.#databaseUri,
      WHATSAPP_WEB_URL: this.whatsapp.process.ws,
      WHATSAPP_NOISE_ROOT: this.whatsapp.process.noiseRoot,
      ...(this.whatsapp.process.https ? { WHATSAPP_MEDIA_ORIGIN: this.whatsapp.process.https } : {}),
      MEDIA_STORE_DIR: join(this.home, 'media'),
      ...this.#options.env,
    }
  }

  async start(more: Readonly<Record<string, string>> = {}, timing = this.#options.engineTiming): Promise<void> {
    const { config } = parseConfig({ ...this.env, ...more })
    this.#gateway = await startGateway({
      config,
      logger: this.#logger(),
      clock: systemClock,
      version: '0.0.0-test',
      onFatal: (reason) => {
        this.#fatal = reason
      },
      validate: true,
      ...(timing ? { engineTiming: timing } : {}),
    })
  }

  /** The same gateway as a process of its own, for tests in which it dies. */
  async startProcess(more: Readonly<Record<string, string>> = {}): Promise<Running> {
    const running = await startProgram({
      module: this.#options.main ?? join(ROOT, 'src', 'main.ts'),
      cwd: this.home,
      env: { ...this.env, ...more },
      isReady: (line) => line.includes(' listens on '),
    })
    this.#program = { running, url: running.readyLine.split(' listens on ')[1]! }
    return running
  }

  /** Graceful, whichever way it runs. */
  async stop(): Promise<void> {
    const [gateway, program] = [this.#gateway, this.#program]
    this.#gateway = undefined
    this.#program = undefined
    await gateway?.[Symbol.asyncDispose]()
    await program?.running[Symbol.asyncDispose]()
  }

  /** SIGKILL to the process. */
  async kill(): Promise<void> {
    const program = this.#program
    this.#program = undefined
    await program?.running.kill()
  }

  async restart(more?: Readonly<Record<string, string>>, timing?: EngineTiming): Promise<void> {
    await this.stop()
    await this.start(more, timing)
  }

  /** Without a credential. */
  get anonymous(): Client {
    if (this.#program) return new Client(this.#program.url)
    return new Client(`http://127.0.0.1:${this.gateway.port}${this.#options.env?.HTTP_BASE_URL ?? ''}`)
  }

  get admin(): Client {
    return this.anonymous.with({ 'x-admin-secret': ADMIN_SECRET })
  }

  async newKey(fields: Readonly<Record<string, unknown>> = {}): Promise<{ id: number; apiKey: string }> {
    const { data } = await this.admin.ok('POST', '/admin/api-keys', {
      customer_name: 'Acme Corp',
      max_devices: 50,
      ...fields,
    })
    return { id: data.id, apiKey: data.api_key }
  }

  /** A device under `apiKey`, or under a key of its own. */
  async newDevice(name = 'test', apiKey?: string): Promise<Device> {
    const key = apiKey ?? (await this.newKey()).apiKey
    const { data } = await this.anonymous.with({ 'x-api-key': key }).ok('POST', '/devices', { device_name: name })
    return new Device({
      id: data.device_id,
      secret: data.device_secret,
      token: data.token,
      anonymous: () => this.anonymous,
      inbox: this.inbox,
    })
  }

  /** A person and a linked device of theirs whose events come to the inbox. */
  async linked(name: string): Promise<Linked> {
    const [phone, device] = await Promise.all([this.whatsapp.person(name), this.newDevice(name)])
    await device.listen()
    const jid = await device.link(phone)
    return { phone, device, jid }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    await this.inbox[Symbol.asyncDispose]()
    await this.whatsapp[Symbol.asyncDispose]()
    await this.#dropDatabase()
    rmSync(this.home, { recursive: true, force: true })
    if (this.#fatal) throw this.#fatal
  }

  #logger(): Logger {
    return createLogger({
      level: process.env.E2E_LOG === '1' ? 'debug' : 'warn',
      format: 'text',
      write: (line) => {
        this.log.push(line)
        if (process.env.E2E_LOG) process.stderr.write(line)
      },
    })
  }
}
