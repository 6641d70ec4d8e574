import { type Bench, busyness, median, round } from './lib/bench.ts'
import { asDevice, startGateway } from './lib/gateway.ts'
import { makeHome } from './lib/home.ts'
import { cpuOf, idleCpu } from './lib/measure.ts'
import { startReceiverProcess } from './lib/receiver.ts'
import { startStock } from './lib/stock.ts'
import { startWorld } from './lib/world.ts'

const SESSIONS = 10
const CONTACTS = 20
const WINDOW = 50
const WARM_UP = 2_000
const MESSAGES = 2_000
const ROUNDS = 5

/**
 * Texts that come in: stanza, ratchet and journal committed, message, event and delivery row committed, receipt. Each
 * contact has had a message of ours, so the sessions are past their first messages. One webhook per device; what it
 * costs to post to it is measured by `webhook`, so the posts are switched off.
 */
export const bench: Bench = {
  budget: { cpu_ratio_to_stock: { atMost: 1.5 } },
  async run(say) {
    say(`${SESSIONS} sessions, ${CONTACTS} people writing to each, at most ${WINDOW} texts unconfirmed`)
    say(`${ROUNDS} rounds of ${MESSAGES} after ${WARM_UP} to warm up; ${busyness()}`)
    await using world = await startWorld()
    const accounts = await world.link(2 * SESSIONS)
    const phones = (await world.contacts(CONTACTS)).map(({ phone }) => phone)
    await using home = await makeHome()
    const { devices } = await home.addDevices(accounts.slice(0, SESSIONS))
    await using receiver = await startReceiverProcess()
    await using gateway = await startGateway(home, world, { WEBHOOKS_ENABLED: 'true' })
    await using stock = await startStock(world)
    await world.untilActive(SESSIONS)
    await stock.open(accounts.slice(SESSIONS))
    // an address where nobody answers: deliveries are written and wait
    for (const device of devices)
      await gateway.call('POST', '/webhooks', asDevice(device), { url: receiver.deadUrl, events: ['message.received'] })

    const text = 'Hello'
    const begun = SESSIONS * CONTACTS
    await gateway.send({ devices, chats: phones, count: begun, inFlight: 10, text })
    await stock.send({
      jids: phones.map((phone) => `${phone}@s.whatsapp.net`),
      count: begun,
      inFlight: 10,
      sessions: SESSIONS,
      text,
    })
    await world.untilReceived(2 * begun)

    const numbers = (from: number, count: number) => Array.from({ length: count }, (_, at) => from + at)
    const measure = async (sessions: number, window: number, messages: number) => {
      const each = messages / (sessions * CONTACTS)
      const run = async (from: number) => {
        await world.prepare({ owners: numbers(from, sessions), contacts: CONTACTS, each })
        return async () => void (await world.flow({ count: messages, window }))
      }
      const idle = { gateway: await idleCpu(gateway.child), stock: await idleCpu(stock.child) }
      const rounds: { ours: number; theirs: number; sandbox: number }[] = []
      for (let i = 0; i <= ROUNDS; i++) {
        const ourFlow = await run(0)
        const sandboxBefore = await world.child.cpu()
        const ours = (await cpuOf(gateway.child, idle.gateway, ourFlow)) / messages
        const sandbox = ((await world.child.cpu()) - sandboxBefore) / messages
        const theirs = (await cpuOf(stock.child, idle.stock, await run(SESSIONS))) / messages
        // the first is the warm-up
        if (i > 0) rounds.push({ ours, theirs, sandbox })
        say(`round ${i}: gateway ${ours.toFixed(0)} us, stock ${theirs.toFixed(0)} us of CPU per message`)
      }
      return {
        ratio: round(median(rounds.map(({ ours, theirs }) => ours / theirs))),
        ours: round(median(rounds.map(({ ours }) => ours))),
        theirs: round(median(rounds.map(({ theirs }) => theirs))),
        sandbox: round(median(rounds.map(({ sandbox }) => sandbox))),
      }
    }
    const many = await measure(SESSIONS, WINDOW, MESSAGES)
    say('the same on one session, where every message waits for the one before it')
    const one = await measure(1, WINDOW, MESSAGES / 4)
    await world.assertNoProblems()
    return {
      cpu_ratio_to_stock: many.ratio,
      cpu_us_per_message: many.ours,
      stock_cpu_us_per_message: many.theirs,
      sandbox_cpu_us_per_message: many.sandbox,
      cpu_ratio_to_stock_one_session: one.ratio,
      cpu_us_per_message_one_session: one.ours,
    }
  },
}
