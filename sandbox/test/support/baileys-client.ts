// A stock Baileys socket against the sandbox, with everything in memory. It reconnects after 515, as a gateway does.
import { EventEmitter, on } from 'node:events'
import {
  type AuthenticationState,
  type BaileysEventMap,
  initAuthCreds,
  makeWASocket,
  type SignalDataTypeMap,
  type UserFacingSocketConfig,
  WA_CERT_DETAILS,
  type WASocket,
} from 'baileys'

// Baileys leaves timers behind: 30 s after each upload of pre-keys, the query timeout for each query that was open when
// the socket ended. They must not hold the process of the tests.
const QUERY_TIMEOUT_MS = 5_000
const setTimer = globalThis.setTimeout
globalThis.setTimeout = Object.assign((...args: Parameters<typeof setTimer>) => {
  const timer = setTimer(...args)
  if ((args[1] ?? 0) >= QUERY_TIMEOUT_MS) timer.unref()
  return timer
}, setTimer)

const silent = () => undefined
const logger = {
  level: 'silent',
  child: () => logger,
  trace: silent,
  debug: silent,
  info: silent,
  warn: process.env.SANDBOX_TEST_LOG ? console.error : silent,
  error: process.env.SANDBOX_TEST_LOG ? console.error : silent,
}

export interface BaileysOptions {
  readonly url: string
  /** The public key of the Noise certificates' root. */
  readonly noiseRoot: Buffer
  readonly pushName?: string
  /** What an earlier client was linked with. */
  readonly auth?: AuthenticationState
  /** More of Baileys' own options. */
  readonly config?: Partial<UserFacingSocketConfig>
}

type Events = { [Name in keyof BaileysEventMap]: [BaileysEventMap[Name]] }

export class BaileysClient implements AsyncDisposable {
  readonly #options: BaileysOptions
  readonly auth: AuthenticationState
  readonly events = new EventEmitter<Events>()
  socket!: WASocket
  #closed = false

  constructor(options: BaileysOptions) {
    this.#options = options
    this.auth = options.auth ?? { creds: initAuthCreds(), keys: makeMemoryKeys() }
    WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(options.noiseRoot)
    this.connect()
  }

  get creds() {
    return this.auth.creds
  }

  connect(): void {
    const { url } = this.#options
    this.socket = makeWASocket({
      auth: this.auth,
      waWebSocketUrl: url,
      logger,
      connectTimeoutMs: 5_000,
      defaultQueryTimeoutMs: QUERY_TIMEOUT_MS,
      markOnlineOnConnect: true,
      getMessage: async () => undefined,
      ...this.#options.config,
    })
    const { ev } = this.socket
    ev.on('creds.update', (update) => Object.assign(this.auth.creds, update))
    ev.process((events) => {
      for (const [name, value] of Object.entries(events)) this.events.emit(name as keyof Events, value as never)
      const code = statusOf(events['connection.update']?.lastDisconnect?.error)
      if (events['connection.update']?.connection === 'close' && code === 515 && !this.#closed) this.connect()
    })
  }

  /** The next event of a kind whose payload yields something. Fails after 10 s. */
  async next<Name extends keyof Events, Found>(
    name: Name,
    pick: (payload: BaileysEventMap[Name]) => Found | undefined,
  ): Promise<Found> {
    // `on` keeps what comes in one tick; `once` in a loop would miss the second of two events.
    const events = on(this.events, name, { signal: AbortSignal.timeout(10_000) })
    for await (const [payload] of events as AsyncIterable<[BaileysEventMap[Name]]>) {
      const found = pick(payload)
      if (found !== undefined) return found
    }
    throw new Error(`${name} ended`)
  }

  nextQr(): Promise<string> {
    return this.next('connection.update', ({ qr }) => qr)
  }

  async whenOpen(): Promise<void> {
    await this.next('connection.update', ({ connection }) => (connection === 'open' ? true : undefined))
  }

  /** Resolves with the status code of the next close. */
  whenClosed(): Promise<number> {
    return this.next('connection.update', ({ connection, lastDisconnect }) =>
      connection === 'close' ? statusOf(lastDisconnect?.error) : undefined,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    await this.socket.end(undefined)
  }
}

function statusOf(error: Error | undefined): number | undefined {
  return (error as { output?: { statusCode?: number } } | undefined)?.output?.statusCode
}

function makeMemoryKeys(): AuthenticationState['keys'] {
  const store = new Map<string, unknown>()
  return {
    get: async <Type extends keyof SignalDataTypeMap>(type: Type, ids: string[]) => {
      const found: Record<string, SignalDataTypeMap[Type]> = {}
      for (const id of ids) {
        const value = store.get(`${type}/${id}`)
        if (value !== undefined) found[id] = value as SignalDataTypeMap[Type]
      }
      return found
    },
    set: async (data) => {
      for (const [type, entries] of Object.entries(data)) {
        for (const [id, value] of Object.entries(entries ?? {})) {
          if (value === null || value === undefined) store.delete(`${type}/${id}`)
          else store.set(`${type}/${id}`, value)
        }
      }
    },
  }
}
