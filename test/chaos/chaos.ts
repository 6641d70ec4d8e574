import type { RunningSandbox } from '../../scripts/lib/sandbox.ts'
import { Accounts } from './accounts.ts'
import { Campaign } from './campaign.ts'
import { addNewcomer, type Cast, castAll } from './cast.ts'
import { Dice } from './dice.ts'
import { Ledger } from './ledger.ts'
import { LiveConsumer, TRANSPORTS, type Transport } from './live-consumer.ts'
import type { Options } from './options.ts'
import { KILLS_FOR_FULL_COVER, leastHits, planKills, WINDOWS, type Window } from './plan.ts'
import { ChaosReceiver } from './receiver.ts'
import { RECEIVER_FAULTS, type ReceiverFault } from './receiver-faults.ts'
import { PhoneFeeds, Wire } from './sandbox-feeds.ts'
import { settle } from './settle.ts'
import { sleep } from './sleep.ts'
import { ADMIN_SECRET, openStage, type Stage } from './stage.ts'
import { Traffic } from './traffic.ts'
import { type Findings, judge } from './verdict.ts'
import { Weather, type WeatherCounts } from './weather.ts'

export interface Report {
  readonly findings: Findings
  readonly kills: number
  readonly windows: Readonly<Record<Window, number>>
  /** Verified by the receiver: see `receiver-faults.ts`. */
  readonly faults: Readonly<Record<ReceiverFault, number>>
  readonly readers: Readonly<Record<Transport, ReaderCounts>>
  readonly weather: WeatherCounts
  /** Problems that the service logged, by kind. */
  readonly problems: Readonly<Record<string, number>>
  readonly seconds: number
  /** Windows and faults that were hit too seldom for the run to mean anything. */
  readonly uncovered: readonly (Window | ReceiverFault)[]
}

/** Over all consumers of one transport: each reads the log of one device. */
export interface ReaderCounts {
  readonly events: number
  readonly connections: number
}

/** So often there is somebody new to talk to. */
const KILLS_PER_GUEST = 5

/** A kill takes some 3 s; a run that takes longer than this has stopped for a reason that waiting does not mend. */
const limitOf = (kills: number): number => 300_000 + kills * 12_000

/**
 * The whole run. `say` hears of its progress; `signal` ends it early.
 * @throws when the gateway does not start, ends by itself or does not stop, or when time is up
 */
export const runChaos = async (
  options: Options,
  say: (line: string) => void,
  signal?: AbortSignal,
): Promise<Report> => {
  const limit = AbortSignal.timeout(limitOf(options.kills))
  const end = signal ? AbortSignal.any([signal, limit]) : limit
  const ended = Promise.withResolvers<never>()
  ended.promise.catch(() => undefined)
  end.addEventListener('abort', () => ended.reject(end.reason), { once: true })
  const started = performance.now()
  await using stage = await openStage(options, say)
  await using stack = new AsyncDisposableStack()
  const report = await Promise.race([perform(options, stage, stack, say), ended.promise])
  return { ...report, seconds: Math.round((performance.now() - started) / 100) / 10 }
}

const perform = async (
  options: Options,
  stage: Stage,
  stack: AsyncDisposableStack,
  say: (line: string) => void,
): Promise<Omit<Report, 'seconds'>> => {
  const { sandbox, gatewayUrl } = stage
  const dice = new Dice(options.seed)
  const ledger = new Ledger()
  const receiver = stack.use(new ChaosReceiver(ledger))
  await receiver.start()
  const first = stage.startLife()
  await first.ready
  const receiverUrl = (device: string) => receiver.urlOf(device)
  const cast = await castAll({ sandbox, gatewayUrl, adminSecret: ADMIN_SECRET, receiverUrl })
  say(`seed ${options.seed}: ${cast.people.size} people, ${cast.devices.length} devices, ${cast.lanes.length} lanes`)

  const watching = new AbortController()
  const wire = new Wire(sandbox)
  await wire.start(watching.signal)
  const phones = new PhoneFeeds(sandbox, ledger, watching.signal)
  const traffic = new Traffic({ cast, ledger, sandbox, gatewayUrl, dice, pauseMs: { least: 500, most: 2_500 } })
  stack.defer(async () => {
    watching.abort()
    await Promise.allSettled([traffic.stop(), phones.stopped(), wire.stopped])
  })
  for (const person of cast.people.values()) phones.follow(person)
  for (const lane of cast.lanes) traffic.start(lane)
  await untilTalked(ledger, cast)

  const consumers = cast.devices.flatMap((device) =>
    TRANSPORTS.map((transport) => new LiveConsumer({ transport, device, port: stage.port })),
  )
  const reading = new AbortController()
  const read = consumers.map((consumer) => consumer.follow(reading.signal))
  stack.defer(async () => {
    reading.abort()
    await Promise.all(read)
  })

  const broken = Promise.race([
    phones.failure,
    wire.stopped.then(() => Promise.reject(new Error('the wire log ended'))),
  ])
  broken.catch(() => undefined)
  let guests = new AbortController()
  const beforeLife = async (kills: number) => {
    if (kills % KILLS_PER_GUEST !== 0) return
    guests.abort()
    guests = new AbortController()
    const lanes = await addNewcomer(sandbox, cast, kills / KILLS_PER_GUEST + 1)
    phones.follow([...cast.people.values()].at(-1)!)
    for (const lane of lanes) traffic.start(lane, guests.signal)
  }
  const weather = new Weather({ sandbox, cast, receiver, consumers, dice })
  const { startLife } = stage
  const campaign = new Campaign({ sandbox, cast, wire, receiver, weather, dice, startLife, beforeLife, say })
  await Promise.race([campaign.run(planKills(options.kills, dice), first), broken])
  say('the last life begins: what is under way must arrive')
  const last = startLife()
  await last.ready
  const thorough = options.kills >= KILLS_FOR_FULL_COVER
  const least = leastHits(options.kills)
  const accounts = new Accounts({ cast, receiver, consumers })
  const lossy = !options.durability
  await Promise.race([
    settle({
      cast,
      ledger,
      wire,
      weather,
      traffic,
      receiver,
      accounts,
      thorough,
      lossy,
      leastFaults: least.faults,
      say,
    }),
    broken,
  ])
  const deadLetters = await readDeadLetters(cast)
  const repaired = await findRepaired(cast, sandbox)
  const problems = await readProblems(sandbox)
  const how = await last.stop()
  if (how !== '0') throw new Error(`the gateway did not stop cleanly (${how})`)

  const { kills, windows } = campaign.result
  const unopened = problems.filter(({ kind }) => kind === 'undecryptable').map(({ text }) => text)
  const byKind = Map.groupBy(problems, ({ kind }) => kind)
  return {
    findings: judge({
      cast,
      ledger,
      receiver,
      wire,
      unopened,
      repaired,
      deadLetters,
      differences: accounts.differences(),
    }),
    kills,
    windows,
    faults: receiver.faults.hits,
    readers: countReaders(consumers),
    weather: weather.counts,
    problems: Object.fromEntries(Array.from(byKind, ([kind, list]) => [kind, list.length])),
    uncovered: [
      ...WINDOWS.filter((window) => windows[window] < least.windows),
      ...RECEIVER_FAULTS.filter((fault) => receiver.faults.hits[fault] < least.faults),
    ],
  }
}

const countReaders = (consumers: readonly LiveConsumer[]): Record<Transport, ReaderCounts> => {
  const of = (transport: Transport): ReaderCounts => {
    const own = consumers.filter((consumer) => consumer.transport === transport)
    return {
      events: own.reduce((sum, { got }) => sum + got.length, 0),
      connections: own.reduce((sum, { connections }) => sum + connections, 0),
    }
  }
  return { sse: of('sse'), websocket: of('websocket') }
}

/** Deliveries that were given up, in words; none of the faults is a reason to. */
const readDeadLetters = async ({ devices }: Cast): Promise<string[]> => {
  const given: string[] = []
  for (const { name, api, webhookId } of devices) {
    const { data } = await api.call<{ dead_letters: { event_type: string; sequence: number; last_error: string }[] }>(
      'GET',
      `/webhooks/${webhookId}/dead-letters`,
    )
    for (const { event_type, sequence, last_error } of data.dead_letters)
      given.push(`event ${sequence} (${event_type}) of ${name}: ${last_error}`)
  }
  return given
}

/** Every lane gets its first text out before anything goes wrong. */
const untilTalked = async (ledger: Ledger, cast: Cast): Promise<void> => {
  const until = performance.now() + 30_000
  while (!cast.lanes.every((lane) => ledger.said.get(`${lane.name} 1`)?.fate === 'accepted')) {
    if (performance.now() > until) throw new Error('not everybody got a word out in 30 s')
    await sleep(50)
  }
}

/** Devices that are not connected as what they were linked as, and would have to be linked again. */
const findRepaired = async ({ devices }: Cast, sandbox: RunningSandbox): Promise<string[]> => {
  const { devices: companions } = await sandbox.call<{ devices: { jid: string }[] }>('GET', '/sandbox/devices')
  const known = new Set(companions.map(({ jid }) => jid))
  const gone: string[] = []
  for (const { name, jid, api } of devices) {
    const { data } = await api.call<{ connected: boolean; error: string }>('GET', '/devices/me/status')
    if (!known.has(jid) || !data.connected) gone.push(`${name} (${jid}): ${data.error || 'unlinked'}`)
  }
  const extra = companions.filter(({ jid }) => !devices.some((device) => device.jid === jid))
  return [...gone, ...extra.map(({ jid }) => `${jid} was linked besides`)]
}

const readProblems = async (sandbox: RunningSandbox): Promise<readonly { kind: string; text: string }[]> =>
  (await sandbox.call<{ problems: { kind: string; text: string }[] }>('GET', '/sandbox/problems')).problems
