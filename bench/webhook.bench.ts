import { messageReceived } from '../src/events/catalogue/messages.ts'
import { draft } from '../src/events/draft.ts'
import { Events } from '../src/events/events.ts'
import type { Storage } from '../src/storage/index.ts'
import { type Bench, busyness, median, round } from './lib/bench.ts'
import { asDevice, startGateway } from './lib/gateway.ts'
import { makeHome } from './lib/home.ts'
import { pause } from './lib/measure.ts'
import { type ReceiverProcess, startReceiverProcess } from './lib/receiver.ts'
import { startWorld, type World } from './lib/world.ts'

const RATE = 100
const SECONDS = 20
const CONTACTS = 50
const CHATS = 1_000
const PER_CHAT = 10
const ONE_CHAT = 1_000
const ROUNDS = 3

/**
 * How soon and how many: from the moment a stanza leaves the simulated service until the POST about it has arrived at its
 * receiver, at a steady rate; and how fast a full queue empties into one fast receiver.
 */
export const bench: Bench = {
  budget: { p99_ms: { atMost: 50 }, per_second: { atLeast: 2_000 } },
  async run(say) {
    await using world = await startWorld()
    await using receiver = await startReceiverProcess()
    const latency = await measureLatency(world, receiver, say)
    const many = await measureRate(world, receiver, CHATS, CHATS * PER_CHAT, say)
    const one = await measureRate(world, receiver, 1, ONE_CHAT, say)
    return { ...latency, per_second: round(many), per_second_one_chat: round(one) }
  },
}

const measureLatency = async (world: World, receiver: ReceiverProcess, say: (line: string) => void) => {
  say(`${RATE} texts a second for ${SECONDS} s from ${CONTACTS} people, one webhook, 16 workers; ${busyness()}`)
  const accounts = await world.link(1)
  const chats = (await world.contacts(CONTACTS)).map(({ phone }) => phone)
  await using home = await makeHome()
  const { devices } = await home.addDevices(accounts)
  await using gateway = await startGateway(home, world, { WEBHOOK_WORKERS: '16' })
  await world.untilActive(1)
  await gateway.send({ devices, chats, count: CONTACTS, inFlight: 10, text: 'Hello' })
  await world.untilReceived(CONTACTS)
  await gateway.call('POST', '/webhooks', asDevice(devices[0]!), { url: receiver.url, events: ['message.received'] })
  const count = RATE * SECONDS
  const texts = await world.prepare({ owners: [0], contacts: CONTACTS, each: (count + 10 * CONTACTS) / CONTACTS })
  await world.flow({ count: texts - count, perSecond: RATE })
  await untilCount(receiver, texts - count)
  const { sentAt } = await world.flow({ count, perSecond: RATE })
  await untilCount(receiver, texts)
  const arrived = new Map(await receiver.arrivals())
  const delays = sentAt.map(([id, at]) => arrived.get(id)! - at).sort((a, b) => a - b)
  await world.assertNoProblems()
  const at = (share: number) => delays[Math.min(delays.length - 1, Math.floor(share * delays.length))]!
  say(`median ${at(0.5).toFixed(1)} ms, p99 ${at(0.99).toFixed(1)} ms, longest ${delays.at(-1)!.toFixed(1)} ms`)
  return { p99_ms: round(at(0.99)), p50_ms: round(at(0.5)) }
}

const untilCount = async (receiver: ReceiverProcess, count: number) => {
  const deadline = performance.now() + 30_000
  while ((await receiver.count()) < count) {
    if (performance.now() > deadline) throw new Error(`only ${await receiver.count()} of ${count} webhooks arrived`)
    await pause(20)
  }
}

/** Deliveries a second, median: the queue is full before the gateway starts. */
const measureRate = async (
  world: World,
  receiver: ReceiverProcess,
  chats: number,
  deliveries: number,
  say: (line: string) => void,
): Promise<number> => {
  say(`${deliveries} deliveries in ${chats} chats, one receiver, 16 workers, SQLite; ${ROUNDS} rounds; ${busyness()}`)
  const rates: number[] = []
  for (let i = 1; i <= ROUNDS; i++) {
    await using home = await makeHome()
    const { devices } = await home.addDevices(await world.link(1))
    await home.withStorage((storage) => fill(storage, devices[0]!.deviceId, receiver.url, chats, deliveries))
    await receiver.forget()
    await using _gateway = await startGateway(home, world, { WEBHOOK_WORKERS: '16' })
    await untilCount(receiver, deliveries)
    const { first, last } = await receiver.span()
    rates.push((deliveries / (last - first)) * 1_000)
    say(`round ${i}: ${rates.at(-1)!.toFixed(0)} a second`)
  }
  return median(rates)
}

const fill = async (storage: Storage, deviceId: string, url: string, chats: number, deliveries: number) => {
  const made = await storage.webhooks.create(
    { deviceId, url, events: ['message.received'], active: true, secret: 'whsec_bench', headers: {} },
    5,
    Date.now(),
  )
  if (made === 'limit_reached') throw new Error(made)
  const events = new Events({
    log: storage.events,
    receivers: { webhookIdsFor: () => [made.id] },
    waker: { wake: () => undefined },
    feed: { announce: () => undefined },
  })
  const payload = messageReceived.example
  for (let at = 0; at < deliveries; at += 500)
    await events.append(
      deviceId,
      Array.from({ length: Math.min(500, deliveries - at) }, (_, i) =>
        draft(messageReceived, payload, { occurredAt: Date.now(), orderKey: `chat ${(at + i) % chats}` }),
      ),
    )
}
