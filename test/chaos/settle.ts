import type { Cast } from './cast.ts'
import type { Ledger } from './ledger.ts'
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
/** After the last arrival: time for a second copy to show up. */
const QUIET_MS = 3_000

export interface Settling {
  readonly cast: Cast
  readonly ledger: Ledger
  readonly wire: Wire
  readonly weather: Weather
  readonly traffic: Traffic
  /** Lets a half-open connection be noticed, while everybody talks on. */
  readonly thorough: boolean
  /** Losses are expected: it is enough to have seen that they are there. */
  readonly lossy: boolean
  readonly say: (line: string) => void
}

/** The gateway lives on: waits until everything has arrived, or what is missing does not come any more. */
export const settle = async ({
  cast,
  ledger,
  wire,
  weather,
  traffic,
  thorough,
  lossy,
  say,
}: Settling): Promise<void> => {
  // one that does not come back is told of by the verdict
  await Promise.allSettled(cast.devices.map(({ api }) => api.untilConnected(30_000)))
  if (thorough) {
    say('a connection falls silent for good; the gateway has to notice')
    await weather.disconnect(cast.devices[0]!.jid, 'half_open')
    weather.counts.half_open += 1
    await sleep(2_000)
  }
  await traffic.stop()
  say(`nobody talks any more; ${findMissing({ cast, ledger }).length} arrivals are still to come`)
  let missing = findMissing({ cast, ledger }).length
  let progressAt = performance.now()
  const patience = lossy ? LOSSY_STUCK_MS : thorough ? HALF_OPEN_MS + STUCK_MS : STUCK_MS
  while (missing > 0 && performance.now() - progressAt < patience) {
    await sleep(200)
    const left = findMissing({ cast, ledger }).length
    if (left !== missing) progressAt = performance.now()
    missing = left
  }
  let seen = wire.entries.length
  for (let quiet = false; !quiet; ) {
    await sleep(QUIET_MS)
    quiet = wire.entries.length === seen
    seen = wire.entries.length
  }
}
