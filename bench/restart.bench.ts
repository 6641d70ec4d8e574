import { type Bench, busyness, median, round } from './lib/bench.ts'
import { buildGateway, startGateway } from './lib/gateway.ts'
import { type Home, makeHome } from './lib/home.ts'
import { startStock } from './lib/stock.ts'
import { startWorld, type World } from './lib/world.ts'
import type { LinkedAccount } from './world/questions.ts'

const SESSIONS = 1_000
const CONCURRENCY = 50
const ROUNDS = 3

/**
 * A thousand paired devices come back: from the start of the process to its first HTTP answer, and until the last device
 * is logged in, against unmodified Baileys opening a thousand sockets at the same concurrency.
 */
export const bench: Bench = {
  budget: { http_ms: { atMost: 2_000 }, ratio_to_stock: { atMost: 1.5 } },
  async run(say) {
    say(`${SESSIONS} paired devices, concurrency ${CONCURRENCY}, no jitter; ${ROUNDS} rounds; ${busyness()}`)
    buildGateway()
    await using world = await startWorld()
    const accounts = await world.link(2 * SESSIONS)
    await using home = await makeHome()
    await home.addDevices(accounts.slice(0, SESSIONS))
    const clock = () => world.child.ask<number>('now')
    const rounds: Awaited<ReturnType<typeof oneRound>>[] = []
    const oneRound = async () => {
      const sandboxBefore = await world.child.cpu()
      const ours = await startOurs(home, world, clock)
      const sandboxMs = ((await world.child.cpu()) - sandboxBefore) / 1_000
      await world.untilNoneActive()
      const theirs = await startTheirs(world, accounts.slice(SESSIONS), clock)
      await world.untilNoneActive()
      return { ours, theirs, sandboxMs }
    }
    for (let i = 1; i <= ROUNDS; i++) {
      const { ours, theirs, sandboxMs } = await oneRound()
      rounds.push({ ours, theirs, sandboxMs })
      say(
        `round ${i}: HTTP after ${ours.httpMs.toFixed(0)} ms, all back after ${ours.allMs.toFixed(0)} ms (CPU ${ours.cpuMs.toFixed(0)}); stock ${theirs.allMs.toFixed(0)} ms (CPU ${theirs.cpuMs.toFixed(0)})`,
      )
    }
    await world.assertNoProblems()
    return {
      http_ms: round(median(rounds.map(({ ours }) => ours.httpMs))),
      ratio_to_stock: round(median(rounds.map(({ ours, theirs }) => ours.allMs / theirs.allMs))),
      all_back_ms: round(median(rounds.map(({ ours }) => ours.allMs))),
      stock_all_back_ms: round(median(rounds.map(({ theirs }) => theirs.allMs))),
      cpu_ratio_to_stock: round(median(rounds.map(({ ours, theirs }) => ours.cpuMs / theirs.cpuMs))),
      sandbox_cpu_ms: round(median(rounds.map(({ sandboxMs }) => sandboxMs))),
    }
  },
}

const startOurs = async (home: Home, world: World, clock: () => Promise<number>) => {
  const started = await clock()
  await using gateway = await startGateway(home, world, { WHATSAPP_STARTUP_RECONNECT_CONCURRENCY: String(CONCURRENCY) })
  // the line that says where it listens comes when it does; the first answer follows at once
  await gateway.call('GET', '/', {})
  const httpMs = (await clock()) - started
  const allMs = (await world.untilActive(SESSIONS)) - started
  return { httpMs, allMs, cpuMs: (await gateway.child.cpu()) / 1_000 }
}

const startTheirs = async (world: World, accounts: readonly LinkedAccount[], clock: () => Promise<number>) => {
  const started = await clock()
  await using stock = await startStock(world)
  const [allMs] = await Promise.all([
    world.untilActive(SESSIONS).then((at) => at - started),
    stock.open(accounts, CONCURRENCY),
  ])
  return { allMs, cpuMs: (await stock.child.cpu()) / 1_000 }
}
