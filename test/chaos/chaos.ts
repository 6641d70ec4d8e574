import { createWriteStream, mkdirSync } from 'node:fs'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type RunningSandbox, startSandboxProcess } from '../../scripts/lib/sandbox.ts'
import { createTestDatabase, stopTestServer } from '../support/postgres.ts'
import { Campaign } from './campaign.ts'
import { type Cast, castAll } from './cast.ts'
import { Dice } from './dice.ts'
import { Ledger } from './ledger.ts'
import { Life } from './life.ts'
import type { Options } from './options.ts'
import { KILLS_FOR_FULL_COVER, LEAST_HITS, planKills, WINDOWS, type Window } from './plan.ts'
import { ChaosReceiver } from './receiver.ts'
import { followPhones, Wire } from './sandbox-feeds.ts'
import { settle } from './settle.ts'
import { talk } from './traffic.ts'
import { type Findings, judge } from './verdict.ts'
import { Weather, type WeatherCounts } from './weather.ts'

const root = join(import.meta.dirname, '..', '..')
/** With durability taken out: how late a commit becomes what it says it is. */
const LIE_MS = 400
const ADMIN_SECRET = 'chaos-admin-secret-chaos-admin-secret'

export interface Report {
  readonly findings: Findings
  readonly kills: number
  readonly windows: Readonly<Record<Window, number>>
  readonly weather: WeatherCounts
  /** Problems that the service logged, by kind. */
  readonly problems: Readonly<Record<string, number>>
  readonly seconds: number
  /** Windows that were hit too seldom for the run to mean anything. */
  readonly uncovered: readonly Window[]
}

/** The whole run: `say` hears of its progress. */
export const runChaos = async (options: Options, say: (line: string) => void): Promise<Report> => {
  const started = performance.now()
  const dice = new Dice(options.seed)
  const home = await mkdtemp(join(tmpdir(), 'parley-chaos-'))
  // a copy: a build that comes along must not change what is tested between two of its lives
  const program = join(root, `dist.chaos-${process.pid}`)
  const stack = new AsyncDisposableStack()
  stack.defer(async () => {
    await rm(program, { recursive: true, force: true })
    if (options.keep) say(`kept: ${home}`)
    else await rm(home, { recursive: true, force: true })
  })
  try {
    await cp(join(root, 'dist'), program, { recursive: true })
    mkdirSync(join(home, 'data'))
    const log = createWriteStream(join(home, 'gateway.log'))
    stack.defer(() => new Promise<void>((resolve) => log.end(() => resolve())))
    const env = { ...(await settings(options, stack)) }
    const sandbox = stack.use(await startSandboxProcess(['--port', '0']))
    Object.assign(env, { WHATSAPP_WEB_URL: sandbox.ws, WHATSAPP_NOISE_ROOT: sandbox.noiseRoot })
    const gatewayUrl = `http://127.0.0.1:${env.SERVER_PORT}`

    const ledger = new Ledger()
    const receiver = stack.use(new ChaosReceiver(ledger))
    await receiver.start()
    let current: Life | undefined
    const startLife = (trap?: ConstructorParameters<typeof Life>[0]['trap']): Life => {
      current = new Life({ main: join(program, 'main.js'), home, env, trap, log })
      return current
    }
    stack.defer(async () => current?.kill())

    const first = startLife()
    await first.ready
    const receiverUrl = (device: string) => receiver.urlOf(device)
    const cast = await castAll({ sandbox, gatewayUrl, adminSecret: ADMIN_SECRET, receiverUrl })
    say(`seed ${options.seed}: ${cast.people.size} people, ${cast.devices.length} devices, ${cast.lanes.length} lanes`)

    const watching = new AbortController()
    const talking = new AbortController()
    const wire = new Wire(sandbox)
    await wire.start(watching.signal)
    const phones = followPhones(sandbox, cast, ledger, watching.signal)
    const feeds = Promise.all([phones, wire.stopped])
    stack.defer(async () => {
      talking.abort()
      watching.abort()
      await feeds
    })
    const weather = new Weather({ sandbox, cast, receiver, dice })
    const traffic = { cast, ledger, sandbox, gatewayUrl, dice, pauseMs: { least: 300, most: 1_500 } }
    const talk$ = talk(traffic, talking.signal)
    // every pair has talked once before anything goes wrong
    await untilTalked(ledger, cast)

    const campaign = new Campaign({ sandbox, cast, wire, receiver, weather, dice, startLife, say })
    await Promise.race([campaign.run(planKills(options.kills, dice), first), feeds.then(() => undefined)])
    say(`the last life begins: what is under way must arrive`)
    const last = startLife()
    await last.ready
    const thorough = options.kills >= KILLS_FOR_FULL_COVER
    await settle({ cast, ledger, wire, weather, talking, talk: talk$, thorough, say })
    const repaired = await findRepaired(cast, sandbox)
    const problems = await readProblems(sandbox)
    const how = await last.stop()
    if (how !== '0') throw new Error(`the gateway did not stop cleanly (${how})`)

    const result = campaign.result
    const unopened = problems.filter(({ kind }) => kind === 'undecryptable').map(({ text }) => text)
    const findings = judge({ cast, ledger, receiver, wire, unopened, repaired })
    const least = options.kills >= KILLS_FOR_FULL_COVER ? LEAST_HITS : 1
    return {
      findings,
      kills: result.kills,
      windows: result.windows,
      weather: weather.counts,
      problems: Object.fromEntries(
        Array.from(
          Map.groupBy(problems, ({ kind }) => kind),
          ([kind, list]) => [kind, list.length],
        ),
      ),
      seconds: Math.round((performance.now() - started) / 100) / 10,
      uncovered: options.kills < WINDOWS.length ? [] : WINDOWS.filter((window) => result.windows[window] < least),
    }
  } finally {
    await stack.disposeAsync()
  }
}

const settings = async (options: Options, stack: AsyncDisposableStack): Promise<Record<string, string>> => {
  const env: Record<string, string> = {
    SERVER_ADDRESS: '127.0.0.1',
    SERVER_PORT: String(await freePort()),
    ADMIN_SECRET_KEY: ADMIN_SECRET,
    JWT_SECRET_KEY: 'chaos-jwt-secret-chaos-jwt-secret-chaos',
    WHATSAPP_DATASTORE_URI: 'sqlite:data/parley.db',
    WEBHOOK_ALLOW_HTTP: 'true',
    WEBHOOK_ALLOWED_NETWORKS: '127.0.0.0/8',
    WHATSAPP_AUTO_PRESENCE_ENABLED: 'false',
    WHATSAPP_STARTUP_RECONNECT_JITTER_MAX: '0ms',
    WHATSAPP_STARTUP_RECONNECT_BACKOFF_BASE: '200ms',
    WHATSAPP_STARTUP_RECONNECT_BACKOFF_MAX: '2s',
    ...(options.durability ? {} : { CHAOS_LIE_MS: String(LIE_MS) }),
  }
  if (options.database === 'postgres') {
    const database = await createTestDatabase()
    stack.defer(stopTestServer)
    stack.defer(() => database.drop())
    env.WHATSAPP_DATASTORE_URI = database.url
  }
  return env
}

const freePort = async (): Promise<number> => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

const untilTalked = async (ledger: Ledger, cast: Cast): Promise<void> => {
  const until = performance.now() + 30_000
  const done = () => cast.lanes.every((lane) => ledger.said.get(`${lane.name} 1`)?.fate === 'accepted')
  while (!done()) {
    if (performance.now() > until) throw new Error('not everybody got a word out in 30 s')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Devices that are not linked any more, or under another address. */
const findRepaired = async ({ devices }: Cast, sandbox: RunningSandbox): Promise<string[]> => {
  const { devices: companions } = await sandbox.call<{ devices: { jid: string }[] }>('GET', '/sandbox/devices')
  const known = new Set(companions.map(({ jid }) => jid))
  const gone = devices.filter(({ jid }) => !known.has(jid)).map(({ name, jid }) => `${name} (${jid})`)
  const extra = companions.length - devices.length + gone.length
  return [...gone, ...Array.from({ length: Math.max(0, extra) }, () => 'a device more than was linked')]
}

const readProblems = async (sandbox: RunningSandbox): Promise<readonly { kind: string; text: string }[]> =>
  (await sandbox.call<{ problems: { kind: string; text: string }[] }>('GET', '/sandbox/problems')).problems
