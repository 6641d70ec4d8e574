import { type Bench, busyness, round } from './lib/bench.ts'
import { startGateway } from './lib/gateway.ts'
import { makeHome } from './lib/home.ts'
import { cpuOf, idleCpu } from './lib/measure.ts'
import { startStock } from './lib/stock.ts'
import { startWorld } from './lib/world.ts'

const MEMBERS = 256
const BEFORE = 2_000
const MESSAGES = 200
const SLICE = 500
const TEXT = 'Hello from the bench, with a text of an ordinary length.'

/**
 * A text to a large group, late in the life of its sender key: what Baileys keeps of the key grows with each message.
 * Nobody's key is rotated, so every message is one ciphertext for all.
 */
export const bench: Bench = {
  budget: { cpu_ratio_to_stock: { atMost: 0.1 } },
  async run(say) {
    say(`a group of ${MEMBERS}, messages ${BEFORE} to ${BEFORE + MESSAGES}, one at a time; ${busyness()}`)
    await using world = await startWorld()
    const [ours, theirs] = await world.link(2)
    await world.contacts(MEMBERS - 1)
    await using home = await makeHome()
    const { devices } = await home.addDevices([ours!])
    await using gateway = await startGateway(home, world)
    await using stock = await startStock(world)
    await world.untilActive(1)
    await stock.open([theirs!])
    const [ourGroup, theirGroup] = [await world.group(0, MEMBERS), await world.group(1, MEMBERS)]

    let sent = 0
    const arrived = async (count: number) => {
      sent += count * (MEMBERS - 1)
      await world.untilReceived(sent)
    }
    const throughGateway = async (count: number) => {
      await gateway.send({ devices, chats: [ourGroup], count, inFlight: 1, text: TEXT })
      await arrived(count)
    }
    const throughStock = async (count: number) => {
      await stock.send({ jids: [theirGroup], count, inFlight: 1, text: TEXT })
      await arrived(count)
    }
    for (let done = 0; done < BEFORE; done += SLICE) {
      const ours = (await cpuOf(gateway.child, 0, () => throughGateway(SLICE))) / SLICE
      const theirs = (await cpuOf(stock.child, 0, () => throughStock(SLICE))) / SLICE
      say(`to ${done + SLICE}: gateway ${ours.toFixed(0)} us, stock ${theirs.toFixed(0)} us of CPU per message`)
    }
    const idle = { gateway: await idleCpu(gateway.child), stock: await idleCpu(stock.child) }
    const sandboxBefore = await world.child.cpu()
    const ourCost = (await cpuOf(gateway.child, idle.gateway, () => throughGateway(MESSAGES))) / MESSAGES
    const theirCost = (await cpuOf(stock.child, idle.stock, () => throughStock(MESSAGES))) / MESSAGES
    const sandbox = ((await world.child.cpu()) - sandboxBefore) / (2 * MESSAGES)
    await world.assertNoProblems()
    return {
      cpu_ratio_to_stock: round(ourCost / theirCost),
      cpu_us_per_message: round(ourCost),
      stock_cpu_us_per_message: round(theirCost),
      stock_sender_key_bytes: await stock.child.ask<number>('senderKeyBytes'),
      sandbox_cpu_us_per_message: round(sandbox),
    }
  },
}
