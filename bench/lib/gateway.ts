import { fork, spawnSync } from 'node:child_process'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { Pool } from 'undici'
import { ADVANCED, attach, type ServerChild } from './child.ts'
import { type Home, type HomeDevice, SECRET } from './home.ts'
import { START_FLAGS } from './start-flags.ts'
import type { World } from './world.ts'

const ROOT = join(import.meta.dirname, '..', '..')
/** Another build can be measured: then nothing is built. */
const DIST = process.env.BENCH_DIST
const MAIN = resolve(ROOT, DIST ?? 'dist', 'main.js')

/** The gateway as it is built, in a process of its own, with production's settings but for what a bench changes. */
export interface Gateway extends AsyncDisposable {
  readonly child: ServerChild
  readonly url: string
  /** Texts in turn to `chats`, from each of `devices` in turn, `inFlight` requests at once. @throws on anything but 200 */
  send(request: GatewaySend): Promise<void>
  /** Answers when the request was answered with 2xx. */
  call<T = unknown>(method: 'GET' | 'POST' | 'PATCH', path: string, headers: Headers, body?: unknown): Promise<T>
  memory(collected: boolean): Promise<NodeJS.MemoryUsage>
}

type Headers = Readonly<Record<string, string>>

export interface GatewaySend {
  readonly devices: readonly HomeDevice[]
  readonly chats: readonly string[]
  readonly count: number
  readonly inFlight: number
  readonly text: string
}

let built = DIST !== undefined

/** Once per run, so that what is measured is what is there. */
export const buildGateway = (): void => {
  if (built) return
  const { status } = spawnSync(process.execPath, [join(ROOT, 'scripts', 'build.ts')], { cwd: ROOT, stdio: 'inherit' })
  if (status !== 0) throw new Error('the build failed')
  built = true
}

export const startGateway = async (
  home: Home,
  world: Pick<World, 'ws' | 'noiseRoot'> & { readonly tlsInsecure?: boolean },
  env: Readonly<Record<string, string>> = {},
): Promise<Gateway> => {
  buildGateway()
  const child = fork(MAIN, {
    cwd: home.folder,
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    ...ADVANCED,
    execArgv: [
      '--expose-gc',
      ...START_FLAGS,
      '--import',
      new URL('./probe.mjs', import.meta.url).href,
      ...(process.env.BENCH_NODE_OPTIONS?.split(' ') ?? []),
    ],
    env: {
      PATH: process.env.PATH,
      NODE_ENV: 'production',
      ADMIN_SECRET_KEY: SECRET,
      JWT_SECRET_KEY: SECRET,
      WHATSAPP_DATASTORE_URI: `sqlite:${home.databasePath}`,
      SERVER_ADDRESS: '127.0.0.1',
      SERVER_PORT: '0',
      LOG_FORMAT: 'json',
      WEBHOOK_ALLOW_HTTP: 'true',
      WEBHOOK_ALLOWED_NETWORKS: '127.0.0.0/8',
      WHATSAPP_AUTO_PRESENCE_ENABLED: 'false',
      WHATSAPP_STARTUP_RECONNECT_JITTER_MAX: '0ms',
      WHATSAPP_WEB_URL: world.ws,
      WHATSAPP_NOISE_ROOT: world.noiseRoot,
      ...(world.tlsInsecure ? { WHATSAPP_TLS_INSECURE: 'true', WHATSAPP_MEDIA_ORIGIN: 'https://127.0.0.1' } : {}),
      ...env,
    },
  })
  const url = await new Promise<string>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the gateway ended with ${code}`)))
    createInterface({ input: child.stdout! }).on('line', (line) => {
      if (process.env.BENCH_LOG) process.stderr.write(`${line}\n`)
      const [, found] = / listens on (\S+)$/.exec(line) ?? []
      if (found !== undefined) resolve(found)
    })
  })
  const server = attach(child, {})
  const pool = new Pool(url, { connections: 64, pipelining: 1, headersTimeout: 60_000, bodyTimeout: 60_000 })
  const request = async (method: 'GET' | 'POST' | 'PATCH', path: string, headers: Headers, body?: unknown) => {
    const response = await pool.request({
      method,
      path,
      headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.body.text()
    if (response.statusCode >= 300) throw new Error(`${method} ${path} answered ${response.statusCode}: ${text}`)
    return text
  }
  return {
    child: server,
    url,
    call: async (method, path, headers, body) => JSON.parse(await request(method, path, headers, body)),
    send: async ({ devices, chats, count, inFlight, text }) => {
      let next = 0
      const worker = async () => {
        while (next < count) {
          const at = next++
          const { token } = devices[at % devices.length]!
          const chat = chats[Math.floor(at / devices.length) % chats.length]!
          await request('POST', `/chats/${chat}/messages`, { authorization: `Bearer ${token}` }, { text })
        }
      }
      await Promise.all(Array.from({ length: inFlight }, worker))
    },
    memory: (collected) => server.ask('memory', collected),
    [Symbol.asyncDispose]: async () => {
      await pool.destroy()
      await server[Symbol.asyncDispose]()
    },
  }
}

export const asAdmin = { 'x-admin-secret': SECRET }
export const asDevice = ({ token }: HomeDevice): Headers => ({ authorization: `Bearer ${token}` })
