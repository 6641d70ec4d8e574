import { type Bench, busyness, median, round } from './lib/bench.ts'
import { startGateway } from './lib/gateway.ts'
import { makeHome } from './lib/home.ts'
import { cpuOf, idleCpu } from './lib/measure.ts'
import { startStock } from './lib/stock.ts'
import { startWorld } from './lib/world.ts'

const CONTACTS = 100
const IN_FLIGHT = 10
const WARM_UP = 5_000
const MESSAGES = 500
const ROUNDS = 5
const TEXT = 'Hello from the bench, with a text of an ordinary length.'

/** One text to one person, all of it: HTTP, the outbox row, two ciphertexts, the server's word. */
export const bench: Bench = {
  budget: { cpu_ratio_to_stock: { atMost: 1.1 } },
  async run(say) {
    say(
      `one session, ${CONTACTS} people in turn, ${IN_FLIGHT} at once, POST /chats/{phone}/messages against sock.sendMessage`,
    )
    say(`${ROUNDS} rounds of ${MESSAGES} after ${WARM_UP} to warm up; ${busyness()}`)
    await using world = await startWorld()
    const [ours, theirs] = await world.link(2)
    const phones = (await world.contacts(CONTACTS)).map(({ phone }) => phone)
    const jids = phones.map((phone) => `${phone}@s.whatsapp.net`)
    await using home = await makeHome()
    const { devices } = await home.addDevices([ours!])
    await using gateway = await startGateway(home, world)
    await using stock = await startStock(world)
    await world.untilActive(1)
    await stock.open([theirs!])

    let sent = 0
    const throughGateway = async (count: number) => {
      await gateway.send({ devices, chats: phones, count, inFlight: IN_FLIGHT, text: TEXT })
      sent += count
      await world.untilReceived(sent)
    }
    const throughStock = async (count: number) => {
      await stock.send({ jids, count, inFlight: IN_FLIGHT, text: TEXT })
      sent += count
      await world.untilReceived(sent)
    }
    await throughGateway(WARM_UP)
    await throughStock(WARM_UP)
    const idle = { gateway: await idleCpu(gateway.child), stock: await idleCpu(stock.child) }

    const rounds: { ours: number; theirs: number; sandbox: number }[] = []
    const measure = async (confirms: boolean) => {
      await world.child.ask('confirm', confirms)
      rounds.length = 0
      for (let i = 1; i <= ROUNDS; i++) {
        const sandbox = await world.child.cpu()
        const ours = (await cpuOf(gateway.child, idle.gateway, () => throughGateway(MESSAGES))) / MESSAGES
        const theirs = (await cpuOf(stock.child, idle.stock, () => throughStock(MESSAGES))) / MESSAGES
        rounds.push({ ours, theirs, sandbox: ((await world.child.cpu()) - sandbox) / (2 * MESSAGES) })
        say(`round ${i}: gateway ${ours.toFixed(0)} us, stock ${theirs.toFixed(0)} us of CPU per message`)
      }
      return {
        ratio: round(median(rounds.map(({ ours, theirs }) => ours / theirs))),
        ours: round(median(rounds.map(({ ours }) => ours))),
        theirs: round(median(rounds.map(({ theirs }) => theirs))),
        sandbox: round(median(rounds.map(({ sandbox }) => sandbox))),
      }
    }
    const silent = await measure(false)
    say('the same with a delivery receipt for each message')
    const confirmed = await measure(true)
    await world.assertNoProblems()
    return {
      cpu_ratio_to_stock: silent.ratio,
      cpu_us_per_message: silent.ours,
      stock_cpu_us_per_message: silent.theirs,
      sandbox_cpu_us_per_message: silent.sandbox,
      cpu_ratio_to_stock_with_receipts: confirmed.ratio,
      cpu_us_per_message_with_receipts: confirmed.ours,
      stock_cpu_us_per_message_with_receipts: confirmed.theirs,
    }
  },
}
