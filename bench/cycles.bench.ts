import { type Bench, busyness, median, round } from './lib/bench.ts'
import { asDevice, startGateway } from './lib/gateway.ts'
import { makeHome } from './lib/home.ts'
import { cpuOf, idleCpu } from './lib/measure.ts'
import { startWorld } from './lib/world.ts'

const CYCLES = 300
const SESSIONS = 10
const CONTACTS = 50
const IN_FLIGHT = 10
const WARM_UP = 1_500
const MESSAGES = 500
const ROUNDS = 5
const MB = 1024 * 1024
const TEXT = 'Hello from the bench, with a text of an ordinary length.'

/** Sockets that were opened and closed leave nothing behind: a send costs what it did, and the heap is as it was. */
export const bench: Bench = {
  budget: { cpu_ratio: { atMost: 1.2 }, heap_growth_mb: { atMost: 2 } },
  async run(say) {
    say(`${SESSIONS} sessions closed and opened ${CYCLES} times in all, by POST /devices/me/reconnect; ${busyness()}`)
    await using world = await startWorld()
    const accounts = await world.link(SESSIONS)
    const chats = (await world.contacts(CONTACTS)).map(({ phone }) => phone)
    await using home = await makeHome()
    const { devices } = await home.addDevices(accounts)
    await using gateway = await startGateway(home, world)
    await world.untilActive(SESSIONS)
    let sent = 0
    const send = async (count: number) => {
      await gateway.send({ devices, chats, count, inFlight: IN_FLIGHT, text: TEXT })
      sent += count
      await world.untilReceived(sent)
    }
    const cycle = async (times: number) => {
      let left = times
      const worker = async (device: (typeof devices)[number]) => {
        while (left-- > 0) await gateway.call('POST', '/devices/me/reconnect', asDevice(device))
      }
      await Promise.all(devices.map(worker))
    }
    const measure = async (what: string) => {
      // also after the cycles: collecting all garbage, as the first reading does, throws compiled code away
      await send(WARM_UP)
      const idle = await idleCpu(gateway.child)
      const rounds: number[] = []
      for (let i = 0; i < ROUNDS; i++) rounds.push((await cpuOf(gateway.child, idle, () => send(MESSAGES))) / MESSAGES)
      const { heapUsed, rss } = await gateway.memory(true)
      say(`${what}: ${median(rounds).toFixed(0)} us of CPU per message, heap ${(heapUsed / MB).toFixed(1)} MB`)
      return { cost: median(rounds), heapUsed, rss }
    }
    await cycle(2 * SESSIONS)
    const before = await measure('before')
    await cycle(CYCLES)
    const after = await measure('after')
    await world.assertNoProblems()
    return {
      cpu_ratio: round(after.cost / before.cost),
      heap_growth_mb: round((after.heapUsed - before.heapUsed) / MB),
      rss_growth_mb: round((after.rss - before.rss) / MB),
      cpu_us_per_message_before: round(before.cost),
      cpu_us_per_message_after: round(after.cost),
    }
  },
}
