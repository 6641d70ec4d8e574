import { type Bench, busyness, median, round } from './lib/bench.ts'
import { type ServerChild, startChild } from './lib/child.ts'

const WAITING = 100_000
const CHATS = 1_000
const SAMPLES = 200
/** The simulated hour in that many steps. */
const STEP_MS = 3_600_000 / SAMPLES

interface Sampled {
  readonly ms: readonly number[]
  readonly held: number
}

/**
 * A receiver that is down for an hour (the clock is simulated, sockets and database are real) with 100 000 events waiting
 * for it: what that costs in memory, and what it costs another receiver of the same device, while it is down and while
 * the queue empties.
 */
export const bench: Bench = {
  budget: {
    heap_growth_mb: { atMost: 4 },
    held_rows: { atMost: 8 },
    others_ratio_down: { atMost: 1.5 },
  },
  async run(say) {
    await using child = await startChild(new URL('./backlog/gateway.ts', import.meta.url), [], {
      execArgv: ['--expose-gc'],
    })
    await child.ask<Sampled>('sample', { count: 50, simulatedMs: 1_000 })
    say(`${SAMPLES} events with nobody down; ${busyness()}`)
    const healthy = await child.ask<Sampled>('sample', { count: SAMPLES, simulatedMs: STEP_MS })

    await child.ask('setUp', false)
    say(`${WAITING} events in ${CHATS} chats for a receiver that is down`)
    await child.ask('fill', { count: WAITING, chats: CHATS })
    // Once round, so that what the process keeps for good is there.
    await child.ask<Sampled>('sample', { count: 20, simulatedMs: 1_000 })
    const before = await memoryOf(child)
    const tried = await child.ask<number>('attempts')
    say(`an hour goes by in ${SAMPLES} steps, an event for both in each; ${busyness()}`)
    const down = await child.ask<Sampled>('sample', { count: SAMPLES, simulatedMs: STEP_MS })
    const after = await memoryOf(child)
    const attempts = (await child.ask<number>('attempts')) - tried
    say(`${await child.ask<number>('pending')} wait; ${attempts} attempts in the hour`)

    await child.ask('setUp', true)
    say(`it is up again and the queue empties; ${busyness()}`)
    const emptying = await child.ask<Sampled>('sample', { count: SAMPLES, simulatedMs: STEP_MS })
    return {
      heap_growth_mb: round((after.heapUsed - before.heapUsed) / 1e6),
      rss_growth_mb: round((after.rss - before.rss) / 1e6),
      held_rows: down.held,
      attempts_in_the_hour: attempts,
      others_ms_healthy: round(median(healthy.ms)),
      others_ms_down: round(median(down.ms)),
      others_ms_emptying: round(median(emptying.ms)),
      others_ratio_down: round(median(down.ms) / median(healthy.ms)),
      others_p99_ms_down: round(p99(down.ms)),
      others_p99_ms_healthy: round(p99(healthy.ms)),
    }
  },
}

const memoryOf = (child: ServerChild) => child.ask<{ heapUsed: number; rss: number }>('heap')

const p99 = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.99)]!
