import { type Bench, busyness, median, round } from './lib/bench.ts'
import { buildGateway, startGateway } from './lib/gateway.ts'
import { type Home, makeHome } from './lib/home.ts'
import { now, pause } from './lib/measure.ts'
import { freePort } from './lib/ports.ts'
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
    say(
      `${SESSIONS} paired devices, concurrency ${CONCURRENCY}, no jitter; the median of ${ROUNDS} starts; ${busyness()}`,
    )
    buildGateway()
    await using world = await startWorld()
    const accounts = await world.link(2 * SESSIONS)
    await using home = await makeHome()
    await home.addDevices(accounts.slice(0, SESSIONS))
    const rounds: Awaited<ReturnType<typeof startOurs>>[] = []
    for (let i = 1; i <= ROUNDS; i++) {
      rounds.push(await startOurs(home, world))
      await world.untilNoneActive()
      const { httpMs, allMs, cpuMs } = rounds.at(-1)!
      say(
        `start ${i}: HTTP after ${httpMs.toFixed(0)} ms, all back after ${allMs.toFixed(0)} ms, ${cpuMs.toFixed(0)} ms of CPU`,
      )
    }
    const stock = await startTheirs(world, accounts.slice(SESSIONS))
    say(`stock: all back after ${stock.allMs.toFixed(0)} ms, ${stock.cpuMs.toFixed(0)} ms of CPU`)
    await world.assertNoProblems()
    return {
      http_ms: round(median(rounds.map(({ httpMs }) => httpMs))),
      ratio_to_stock: round(median(rounds.map(({ allMs }) => allMs)) / stock.allMs),
      all_back_ms: round(median(rounds.map(({ allMs }) => allMs))),
      stock_all_back_ms: round(stock.allMs),
      cpu_ratio_to_stock: round(median(rounds.map(({ cpuMs }) => cpuMs)) / stock.cpuMs),
      sandbox_cpu_ms: round(median(rounds.map(({ sandboxMs }) => sandboxMs))),
    }
  },
}

const startOurs = async (home: Home, world: World) => {
  const port = await freePort()
  const sandboxBefore = await world.child.cpu()
  const started = now()
  const answered = untilAnswers(port)
  await using gateway = await startGateway(home, world, {
    WHATSAPP_STARTUP_RECONNECT_CONCURRENCY: String(CONCURRENCY),
    SERVER_PORT: String(port),
  })
  const httpMs = (await answered) - started
  const allMs = (await world.untilActive(SESSIONS)) - started
  const sandboxMs = ((await world.child.cpu()) - sandboxBefore) / 1_000
  return { httpMs, allMs, cpuMs: (await gateway.child.cpu()) / 1_000, sandboxMs }
}

/** Resolves with the time of the first answer. */
const untilAnswers = async (port: number): Promise<number> => {
  for (;;) {
    const answered = await fetch(`http://127.0.0.1:${port}/`).then(
      ({ ok }) => ok,
      () => false, // refused: it does not listen yet
    )
    if (answered) return now()
    await pause(2)
  }
}

const startTheirs = async (world: World, accounts: readonly LinkedAccount[]) => {
  const started = now()
  await using stock = await startStock(world)
  const [allMs] = await Promise.all([
    world.untilActive(SESSIONS).then((at) => at - started),
    stock.open(accounts, CONCURRENCY),
  ])
  return { allMs, cpuMs: (await stock.child.cpu()) / 1_000 }
}
