import { type Bench, busyness, median, round } from './lib/bench.ts'
import { asAdmin, startGateway } from './lib/gateway.ts'
import { makeHome } from './lib/home.ts'
import { cpuOf, idleCpu, pause } from './lib/measure.ts'
import { startWorld } from './lib/world.ts'

const OTHERS = 999
const CONTACTS = 100
const IN_FLIGHT = 10
const WARM_UP = 1_500
const MESSAGES = 1_000
const ROUNDS = 3
const TEXT = 'Hello from the bench, with a text of an ordinary length.'

/** The same session sends the same, alone in the process and then among a thousand open ones. */
export const bench: Bench = {
  budget: { ratio: { atMost: 1.2 } },
  async run(say) {
    say(`one session sends, ${CONTACTS} people in turn, ${IN_FLIGHT} at once; alone, then with ${OTHERS} others open`)
    say(`${ROUNDS} rounds of ${MESSAGES} each after ${WARM_UP} to warm up; ${busyness()}`)
    await using world = await startWorld()
    const accounts = await world.link(1 + OTHERS)
    const chats = (await world.contacts(CONTACTS)).map(({ phone }) => phone)
    await using home = await makeHome()
    const { devices } = await home.addDevices(accounts.slice(0, 1))
    const { keyId } = await home.addDevices(accounts.slice(1), { active: false })
    await using gateway = await startGateway(home, world, { WHATSAPP_STARTUP_RECONNECT_CONCURRENCY: '50' })
    await world.untilActive(1)
    let sent = 0
    const send = async (count: number) => {
      await gateway.send({ devices, chats, count, inFlight: IN_FLIGHT, text: TEXT })
      sent += count
      await world.untilReceived(sent)
    }
    const measure = async (what: string) => {
      await send(WARM_UP)
      // long enough for every session to have sent its keep-alive once
      const idle = await idleCpu(gateway.child, 31_000)
      const rounds: number[] = []
      for (let i = 1; i <= ROUNDS; i++) {
        rounds.push((await cpuOf(gateway.child, idle, () => send(MESSAGES))) / MESSAGES)
        say(`${what}, round ${i}: ${rounds.at(-1)!.toFixed(0)} us of CPU per message`)
      }
      return { cost: median(rounds), idle }
    }
    const alone = await measure('alone')
    await gateway.call('PATCH', `/admin/api-keys/${keyId}`, asAdmin, { is_active: true })
    await world.untilActive(1 + OTHERS)
    await pause(2_000)
    const among = await measure(`among ${1 + OTHERS}`)
    await world.assertNoProblems()
    return {
      ratio: round(among.cost / alone.cost),
      cpu_us_per_message_alone: round(alone.cost),
      cpu_us_per_message_among_1000: round(among.cost),
      idle_cpu_ms_per_s_among_1000: round(among.idle / 1_000),
    }
  },
}
