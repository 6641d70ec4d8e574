import type { Accounts } from './accounts.ts'
import type { Cast } from './cast.ts'
import type { Ledger } from './ledger.ts'
import type { ChaosReceiver } from './receiver.ts'
import { RECEIVER_FAULTS, type ReceiverFault } from './receiver-faults.ts'
import type { Wire } from './sandbox-feeds.ts'
import { sleep } from './sleep.ts'
import type { Traffic } from './traffic.ts'
import { findMissing } from './verdict.ts'
import type { Weather } from './weather.ts'

/** Baileys notices a silent connection at the second of its pings, 30 s apart. */
const HALF_OPEN_MS = 75_000
/** What is under way and makes no progress for so long is lost: longer than the pauses of outbox and webhooks. */
const STUCK_MS = 60_000
const LOSSY_STUCK_MS = 15_000
/** A stall alone takes ten seconds; what was cut off comes again after one or two. */
const FAULTS_LIMIT_MS = 60_000
const STRIKE_AGAIN_MS = 13_000
/** After the last arrival: time for a second copy to show up. */
const QUIET_MS = 3_000

export interface Settling {
  readonly cast: Cast
  readonly ledger: Ledger
  readonly wire: Wire
  readonly weather: Weather
  readonly traffic: Traffic
  readonly receiver: ChaosReceiver
  readonly accounts: Accounts
  /** Each fault of the receiver is done until it has hit so often. */
  readonly leastFaults: number
  /** Lets a half-open connection be noticed, while everybody talks on. */
  readonly thorough: boolean
  /** Losses are expected: it is enough to have seen that they are there. */
  readonly lossy: boolean
  readonly say: (line: string) => void
}

/** The gateway lives on: waits until everything has arrived, or what is missing does not come any more. */
export const settle = async (settling: Settling): Promise<void> => {
  const { cast, ledger, wire, weather, traffic, accounts, thorough, lossy, say } = settling
  // one that does not come back is told of by the verdict
  await Promise.allSettled(cast.devices.map(({ api }) => api.untilConnected(30_000)))
  if (thorough) {
    say('a connection falls silent for good; the gateway has to notice')
    await weather.disconnect(cast.devices[0]!.jid, 'half_open')
    weather.counts.half_open += 1
    await sleep(2_000)
  }
  if (!lossy) await makeUpFaults(settling)
  await traffic.stop()
  say(`nobody talks any more; ${findMissing({ cast, ledger }).length} arrivals are still to come`)
  let missing = await countMissing(settling)
  let progressAt = performance.now()
  const patience = lossy ? LOSSY_STUCK_MS : thorough ? HALF_OPEN_MS + STUCK_MS : STUCK_MS
  while (missing > 0 && performance.now() - progressAt < patience) {
    await sleep(200)
    const left = await countMissing(settling)
    if (left !== missing) progressAt = performance.now()
    missing = left
  }
  let seen = wire.entries.length
  for (let quiet = false; !quiet; ) {
    await sleep(QUIET_MS)
    quiet = wire.entries.length === seen
    seen = wire.entries.length
  }
  await accounts.read()
}

/** Arrivals, and events that a webhook or a live reader does not have yet. */
const countMissing = async ({ cast, ledger, accounts }: Settling): Promise<number> => {
  const arrivals = findMissing({ cast, ledger }).length
  if (arrivals > 0) return arrivals
  await accounts.read()
  return accounts.differences().lost.length
}

/** Faults that the kills left too little time for, while everybody talks on. */
const makeUpFaults = async ({ weather, receiver, leastFaults, say }: Settling): Promise<void> => {
  const { faults } = receiver
  const owed = (): ReceiverFault[] => RECEIVER_FAULTS.filter((fault) => faults.hits[fault] < leastFaults)
  if (owed().length > 0) say(`faults of the receiver that are still to be done: ${owed().join(', ')}`)
  const until = performance.now() + FAULTS_LIMIT_MS
  while (owed().length > 0 && performance.now() < until) {
    // those that take a while first: they would end a stall before its time
    for (const fault of owed().toReversed()) await weather.strike(fault)
    const again = performance.now() + STRIKE_AGAIN_MS
    while (owed().length > 0 && performance.now() < again) await sleep(100)
  }
  faults.disarm()
}
