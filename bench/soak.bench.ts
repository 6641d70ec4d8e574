import { type Bench, busyness, round } from './lib/bench.ts'
import { asDevice, startGateway } from './lib/gateway.ts'
import { makeHome } from './lib/home.ts'
import { startReceiverProcess } from './lib/receiver.ts'
import { slopeOf } from './lib/slope.ts'
import { startWorld } from './lib/world.ts'

const SESSIONS = 10
const CONTACTS = 20
const PER_ROUND = 1_000
const WARM_UP_SHARE = 0.3
const MB = 1024 * 1024
const TEXT = 'Hello from the bench, with a text of an ordinary length.'

/**
 * Messages in and out on ten sessions for as long as `--minutes` says, with a webhook each. Whether the process grows:
 * RSS against messages, a straight line through what was read after the warm-up, and its 95 % confidence interval.
 */
export const bench: Bench = {
  budget: { slope_low_mb: { atMost: 0 }, slope_high_mb: { atLeast: 0 } },
  async run(say, { minutes = 5 }) {
    say(`${minutes} minutes, ${SESSIONS} sessions, ${CONTACTS} people, ${PER_ROUND} in and ${PER_ROUND} out a round`)
    say(`the first ${WARM_UP_SHARE * 100} % are warm-up; ${busyness()}`)
    await using world = await startWorld()
    await using receiver = await startReceiverProcess()
    const accounts = await world.link(SESSIONS)
    const chats = (await world.contacts(CONTACTS, true)).map(({ phone }) => phone)
    await using home = await makeHome()
    const { devices } = await home.addDevices(accounts)
    await using gateway = await startGateway(home, world)
    await world.untilActive(SESSIONS)
    for (const device of devices) await gateway.call('POST', '/webhooks', asDevice(device), { url: receiver.url })
    await gateway.send({ devices, chats, count: SESSIONS * CONTACTS, inFlight: 10, text: TEXT })
    await world.untilReceived(SESSIONS * CONTACTS)

    const owners = devices.map((_, at) => at)
    const each = PER_ROUND / (SESSIONS * CONTACTS)
    const readings: { messages: number; rss: number; heap: number }[] = []
    let messages = 0
    const started = performance.now()
    const share = () => (performance.now() - started) / (minutes * 60_000)
    let said = 0
    while (share() < 1) {
      await world.prepare({ owners, contacts: CONTACTS, each })
      await Promise.all([
        world.flow({ count: PER_ROUND, window: 50 }),
        gateway.send({ devices, chats, count: PER_ROUND, inFlight: 10, text: TEXT }),
      ])
      await receiver.forget()
      messages += 2 * PER_ROUND
      const { rss } = await gateway.memory(false)
      const { heapUsed } = await gateway.memory(false)
      if (share() > WARM_UP_SHARE) readings.push({ messages, rss, heap: heapUsed })
      if (Math.floor(share() * 10) > said) {
        said = Math.floor(share() * 10)
        say(`${messages} messages: RSS ${(rss / MB).toFixed(0)} MB, heap ${(heapUsed / MB).toFixed(0)} MB`)
      }
    }
    await world.assertNoProblems()
    const perMessages = (value: (reading: (typeof readings)[number]) => number) =>
      slopeOf(readings.map((reading) => [reading.messages / 100_000, value(reading) / MB] as const))
    const { slope, low, high } = perMessages(({ rss }) => rss)
    return {
      slope_mb_per_100k: round(slope),
      slope_low_mb: round(low),
      slope_high_mb: round(high),
      messages,
      rss_mb: round(readings.at(-1)!.rss / MB),
    }
  },
}
