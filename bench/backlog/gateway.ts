import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { messageReceived } from '../../src/events/catalogue/messages.ts'
import { draft } from '../../src/events/draft.ts'
import { Events } from '../../src/events/events.ts'
import { newUuid } from '../../src/kernel/ids.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import { wrappingKeys } from '../../src/storage/keyring.ts'
import { openStorage } from '../../src/storage/open.ts'
import { AddressGuard } from '../../src/webhooks/address-guard.ts'
import { HttpWebhookClient } from '../../src/webhooks/client.ts'
import { Dispatcher } from '../../src/webhooks/dispatcher.ts'
import { Subscriptions } from '../../src/webhooks/subscriptions.ts'
import { FakeClock } from '../../test/support/fake-clock.ts'
import { serveParent } from '../lib/child-side.ts'

/**
 * Log, queue, dispatcher and sockets as in the gateway, on a file, with a clock that is moved by hand. One device has two
 * webhooks: one whose receiver answers, one whose receiver can be switched off.
 */
const folder = mkdtempSync(join(tmpdir(), 'parley-backlog-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const clock = new FakeClock()
const storage = await openStorage({
  uri: `sqlite:${join(folder, 'parley.sqlite')}`,
  secret: wrappingKeys({ jwtSecretKey: 'a secret of the bench' }),
  clock,
  logger: silentLogger,
  own: true,
})

/** By the text of an event, who waits for its arrival. */
const awaited = new Map<string, () => void>()
let isUp = true
let attempts = 0
const receiver = createServer((request, response) => {
  let text = ''
  request.setEncoding('utf8')
  request.on('data', (chunk: string) => {
    text += chunk
  })
  request.on('end', () => {
    if (request.url === '/sick') {
      attempts += 1
      // As a receiver behind a proxy that is down: no answer that counts.
      return void response.writeHead(isUp ? 204 : 503).end()
    }
    const { data } = JSON.parse(text) as { data: { text: string } }
    response.writeHead(204).end()
    awaited.get(data.text)?.()
    awaited.delete(data.text)
  })
})
await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`

const key = await storage.apiKeys.create(
  {
    keyHash: newUuid(),
    maskedKey: 'wam_',
    customerName: '',
    customerEmail: '',
    customerPhone: '',
    maxDevices: 1,
    rateLimitPerHour: 1,
  },
  clock.now(),
)
const deviceId = newUuid()
await storage.devices.create({ deviceId, apiKeyId: key.id, deviceName: '', secretHash: 'x' }, clock.now())
const subscriptions = new Subscriptions({ enabled: true })
for (const [path, events] of [
  ['/well', ['message.received']],
  ['/sick', ['message.*']],
] as const) {
  const row = await storage.webhooks.create(
    { deviceId, url: url + path, events, active: true, secret: 'a secret of the bench', headers: {} },
    5,
    clock.now(),
  )
  if (row === 'limit_reached') throw new Error(row)
  subscriptions.set(row)
}
const [well, sick] = subscriptions.webhookIdsFor(deviceId, 'message.received')
const guard = new AddressGuard({ allowHttp: true, allowedNetworks: ['127.0.0.0/8'] })
const dispatcher = new Dispatcher({
  deliveries: storage.deliveries,
  subscriptions,
  client: new HttpWebhookClient({ guard, clock }),
  clock,
  logger: silentLogger,
  enabled: true,
  workers: 4,
  retryLimit: 3,
  maxAgeMs: 86_400_000,
  version: '0.0.0',
})
await dispatcher.start()
let wanted: readonly number[] = []
const events = new Events({
  log: storage.events,
  receivers: { webhookIdsFor: () => wanted },
  waker: dispatcher,
  feed: { announce: () => undefined },
})
const append = (texts: readonly string[], chat: (text: string) => string) =>
  events.append(
    deviceId,
    texts.map((text) =>
      draft(messageReceived, { ...messageReceived.example, text }, { occurredAt: clock.now(), orderKey: chat(text) }),
    ),
  )

/** Milliseconds from an event until it has arrived at the receiver that is well. */
const timeOne = async (text: string): Promise<number> => {
  const { promise, resolve } = Promise.withResolvers<void>()
  awaited.set(text, resolve)
  const startedAt = performance.now()
  await append([text], () => `chat of ${text}`)
  await promise
  return performance.now() - startedAt
}

let samples = 0
const sample = async (count: number, simulatedMs: number): Promise<{ ms: number[]; held: number }> => {
  wanted = [well!, sick!]
  const ms: number[] = []
  let held = 0
  for (let n = 0; n < count; n++) {
    await clock.advance(simulatedMs)
    samples += 1
    ms.push(await timeOne(`sample ${samples}`))
    held = Math.max(held, dispatcher.snapshot().held)
  }
  return { ms, held }
}

serveParent(
  { pid: process.pid },
  {
    fill: async ({ count, chats }: { count: number; chats: number }) => {
      wanted = [sick!]
      for (let at = 0; at < count; at += 500)
        await append(
          Array.from({ length: Math.min(500, count - at) }, (_, n) => String(at + n)),
          (text) => `chat ${Number(text) % chats}`,
        )
    },
    sample: ({ count, simulatedMs }: { count: number; simulatedMs: number }) => sample(count, simulatedMs),
    setUp: (up: boolean) => {
      isUp = up
    },
    attempts: () => attempts,
    pending: async () => (await storage.deliveries.statsOf(sick!, 1)).pending,
    heap: () => {
      globalThis.gc?.()
      const { heapUsed, external, rss } = process.memoryUsage()
      return { heapUsed: heapUsed + external, rss }
    },
  },
)
