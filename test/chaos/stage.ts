import { createWriteStream, mkdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type RunningSandbox, startSandboxProcess } from '../../scripts/lib/sandbox.ts'
import { createTestDatabase, stopTestServer } from '../support/postgres.ts'
import { buildGateway } from './build.ts'
import { Life } from './life.ts'
import type { Options } from './options.ts'
import { makePatient } from './patient-sandbox.ts'
import type { TrapPlan } from './preload/trap.ts'

/** With durability taken out: how late a commit becomes what it says it is. */
const LIE_MS = 400
export const ADMIN_SECRET = 'chaos-admin-secret-chaos-admin-secret'

/** A simulated WhatsApp that runs, and a gateway that can be started against it. */
export interface Stage extends AsyncDisposable {
  readonly sandbox: RunningSandbox
  readonly gatewayUrl: string
  /** Of the gateway, the same in every life. */
  readonly port: number
  /** Begins a life of the gateway; the one before must have ended. */
  startLife(trap?: TrapPlan): Life
}

/** Builds the gateway and starts the sandbox, all of it in a temporary folder and on loopback. */
export const openStage = async (options: Options, say: (line: string) => void): Promise<Stage> => {
  await using opening = new AsyncDisposableStack()
  const home = await mkdtemp(join(tmpdir(), 'parley-chaos-'))
  opening.defer(async () => {
    if (options.keep) say(`kept: ${home}`)
    else await rm(home, { recursive: true, force: true })
  })
  mkdirSync(join(home, 'data'))
  const build = opening.use(await buildGateway())
  const log = createWriteStream(join(home, 'gateway.log'))
  opening.defer(() => new Promise<void>((resolve) => log.end(() => resolve())))
  const databaseUri = await openDatabase(options, opening)
  const sandbox = opening.use(await startSandboxProcess(['--port', '0']))
  const port = await quietPort()
  const env = {
    SERVER_ADDRESS: '127.0.0.1',
    SERVER_PORT: String(port),
    ADMIN_SECRET_KEY: ADMIN_SECRET,
    JWT_SECRET_KEY: 'chaos-jwt-secret-chaos-jwt-secret-chaos',
    WHATSAPP_DATASTORE_URI: databaseUri,
    WHATSAPP_WEB_URL: sandbox.ws,
    WHATSAPP_NOISE_ROOT: sandbox.noiseRoot,
    WHATSAPP_AUTO_PRESENCE_ENABLED: 'false',
    WHATSAPP_STARTUP_RECONNECT_JITTER_MAX: '0ms',
    WHATSAPP_STARTUP_RECONNECT_BACKOFF_BASE: '200ms',
    WHATSAPP_STARTUP_RECONNECT_BACKOFF_MAX: '2s',
    WEBHOOK_ALLOW_HTTP: 'true',
    WEBHOOK_ALLOWED_NETWORKS: '127.0.0.0/8',
    ...(options.durability ? {} : { CHAOS_LIE_MS: String(LIE_MS) }),
  }
  let current: Life | undefined
  opening.defer(async () => current?.kill())
  const opened = opening.move()
  return {
    sandbox: makePatient(sandbox),
    gatewayUrl: `http://127.0.0.1:${port}`,
    port,
    startLife: (trap) => {
      current = new Life({ main: build.main, home, env, trap, log })
      return current
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  }
}

const openDatabase = async ({ database }: Options, opening: AsyncDisposableStack): Promise<string> => {
  if (database === 'sqlite') return 'sqlite:data/parley.db'
  const created = await createTestDatabase()
  opening.defer(stopTestServer)
  opening.defer(() => created.drop())
  return created.url
}

/** The same port for every life, so that callers find the gateway again. */
/**
 * A port that is free and stays so while the gateway is dead: below those that the system gives to whoever asks for any
 * (from 32 768 on Linux, 49 152 elsewhere), of which another test beside this one may get it in between.
 */
const quietPort = async (): Promise<number> => {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000)
    const server = createServer()
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!free) continue
    await new Promise((resolve) => server.close(resolve))
    return port
  }
}
