import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import fc from 'fast-check'
import type { Envelope } from '../../src/events/envelope.ts'
import { until } from '../support/e2e/until.ts'
import { type EventGateway, openEventGateway } from '../support/event-gateway.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { openSocket, StreamReader } from '../support/live-readers.ts'
import { createTestDatabase, stopTestServer } from '../support/postgres.ts'

/** How a receiver ends a request; `late`: it has the event, and its answer is lost. */
type Answer = 'ok' | 'late' | 'lost' | 500 | 400 | 410

interface Story {
  /** Events of each commit, by chat. */
  readonly commits: readonly { readonly chat: string; readonly count: number }[]
  /** After so many events a reader of a stream goes away; then it comes back. */
  readonly cuts: readonly number[]
  readonly pages: readonly { readonly limit: number; readonly lost: boolean }[]
  readonly answers: readonly Answer[]
}

const story: fc.Arbitrary<Story> = fc.record({
  commits: fc.array(fc.record({ chat: fc.constantFrom('a', 'b', 'c'), count: fc.integer({ min: 1, max: 60 }) }), {
    minLength: 1,
    maxLength: 12,
  }),
  cuts: fc.array(fc.nat(30), { maxLength: 6 }),
  pages: fc.array(fc.record({ limit: fc.integer({ min: 1, max: 20 }), lost: fc.boolean() }), {
    minLength: 1,
    maxLength: 10,
  }),
  answers: fc.array(fc.constantFrom<Answer>('ok', 'ok', 'late', 'lost', 500, 400, 410), { maxLength: 25 }),
})

/** Reads one stream after another, each for as long as the story says, and goes on where the last one ended. */
const readInPieces = async (
  cuts: readonly number[],
  isDone: (got: readonly Envelope[]) => boolean,
  open: (after: number) => Promise<{
    readonly seen: () => readonly Envelope[]
    readonly close: () => void
  }>,
): Promise<readonly Envelope[]> => {
  const got: Envelope[] = []
  for (let piece = 0; !isDone(got); piece++) {
    const cut = cuts[piece]
    const reader = await open(got.at(-1)?.sequence ?? 0)
    await until('the reader gets on', () => {
      const seen = reader.seen()
      return (cut !== undefined && seen.length >= cut) || isDone([...got, ...seen])
    })
    // What arrived after the cut was not processed: it counts as lost.
    got.push(...reader.seen().slice(0, cut))
    reader.close()
  }
  return got
}

/** A receiver that treats requests as told, one after another, and all well after that. */
const startFickleReceiver = async (answers: readonly Answer[]) => {
  const accepted: Envelope[] = []
  const left = [...answers]
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    const answer = left.shift() ?? 'ok'
    const envelope = JSON.parse(text) as Envelope
    if (answer === 'ok' || answer === 'late') accepted.push(envelope)
    if (answer === 'late' || answer === 'lost') request.socket.destroy()
    else response.writeHead(answer === 'ok' ? 204 : answer).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    accepted,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

interface Page {
  readonly events: readonly Envelope[]
  readonly next_after: number | string
  readonly more: boolean
}

/** The cursor over all devices behind which the next event will be. */
const findEndOfAll = async (gateway: EventGateway): Promise<string> => {
  let cursor = ''
  for (;;) {
    const { data } = await gateway.asAdmin('GET', `/admin/events?limit=200${cursor && `&after=${cursor}`}`)
    cursor = data.next_after
    if (!data.more) return cursor
  }
}

const idsOf = (envelopes: readonly Envelope[]) => envelopes.map(({ id }) => id)

const play = async (gateway: EventGateway, clock: FakeClock, { commits, cuts, pages, answers }: Story) => {
  await using receiver = await startFickleReceiver(answers)
  const { deviceId, token } = await gateway.newDevice()
  const headers = { authorization: `Bearer ${token}` }
  const { data: webhook } = await gateway.as(token, 'POST', '/webhooks', { url: receiver.url })
  const total = commits.reduce((sum, { count }) => sum + count, 0)
  const isDone = (got: readonly Envelope[]) => got.length >= total

  const write = async () => {
    let n = 0
    for (const { chat, count } of commits) {
      await gateway.ping(
        deviceId,
        Array.from({ length: count }, () => String(n++)),
        chat,
      )
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  const readPages = async (
    start: string | undefined,
    ask: (query: string) => Promise<{ readonly data: Page }>,
  ): Promise<readonly Envelope[]> => {
    const got: Envelope[] = []
    let cursor: Page['next_after'] | undefined = start
    for (let turn = 0; !isDone(got); turn++) {
      const { limit, lost } = pages[turn % pages.length]!
      const { data } = await ask(`limit=${limit}${cursor === undefined ? '' : `&after=${cursor}`}`)
      // A reply that does not arrive: the same is asked again.
      if (lost && turn < pages.length) continue
      got.push(...data.events)
      cursor = data.next_after
    }
    return got
  }
  const readStream = () =>
    readInPieces(cuts, isDone, async (after) => {
      const reader =
        after === 0
          ? await StreamReader.open(gateway.port, '/events/stream?after=0', headers)
          : await StreamReader.open(gateway.port, '/events/stream', { ...headers, 'last-event-id': String(after) })
      return { seen: () => reader.items.map(({ envelope }) => envelope), close: () => reader[Symbol.dispose]() }
    })
  const readSocket = () =>
    readInPieces(cuts.toReversed(), isDone, async (after) => {
      const reader = await openSocket(gateway.port, `/events/ws?after=${after}`, headers)
      return { seen: () => reader.envelopes, close: () => reader[Symbol.dispose]() }
    })
  const receive = async (): Promise<readonly Envelope[]> => {
    await until(
      'the receiver has everything',
      async () => {
        await clock.advance(1_000)
        await gateway.as(token, 'POST', `/webhooks/${webhook.webhook_id}/redrive`, { all: true })
        return new Set(idsOf(receiver.accepted)).size === total
      },
      25_000,
    )
    return [...new Map(receiver.accepted.map((envelope) => [envelope.id, envelope])).values()]
  }

  const endOfAll = await findEndOfAll(gateway)
  const [, paged, ofAll, streamed, sent, received] = await Promise.all([
    write(),
    readPages(undefined, (query) => gateway.as(token, 'GET', `/events?${query}`)),
    readPages(endOfAll, (query) => gateway.asAdmin('GET', `/admin/events?${query}`)),
    readStream(),
    readSocket(),
    receive(),
  ])
  const log: Envelope[] = []
  for (let after = 0; ; ) {
    const { data } = await gateway.as(token, 'GET', `/events?limit=200&after=${after}`)
    log.push(...data.events)
    if (!data.more) break
    after = data.next_after
  }
  assert.equal(log.length, total)
  const whole = idsOf(log)
  assert.deepEqual(idsOf(paged), whole, 'by cursor')
  assert.deepEqual(idsOf(ofAll), whole, 'by cursor over all devices')
  assert.deepEqual(idsOf(streamed), whole, 'server-sent events')
  assert.deepEqual(idsOf(sent), whole, 'WebSocket')
  // Chats side by side, so only as a set; in order within a chat unless something was given up and sent again.
  assert.deepEqual(idsOf(received).toSorted(), whole.toSorted(), 'webhook')
  if (!answers.includes(410) && answers.filter((answer) => answer === 400).length < 3)
    for (const chat of ['a', 'b', 'c']) {
      const labels: string[] = []
      let n = 0
      for (const commit of commits)
        for (let i = 0; i < commit.count; i++, n++) if (commit.chat === chat) labels.push(String(n))
      const arrived = received.map(({ data }) => String(data.message)).filter((label) => labels.includes(label))
      assert.deepEqual(arrived, labels, `chat ${chat}`)
    }
}

for (const kind of ['sqlite', 'postgres'] as const)
  test(`whoever is disconnected, anywhere: what it got, put together, is the log (${kind})`, async () => {
    const database = kind === 'postgres' ? await createTestDatabase() : undefined
    const clock = new FakeClock()
    const gateway = await openEventGateway({ clock, ...(database ? { uri: database.url } : {}) })
    try {
      await fc.assert(
        fc.asyncProperty(story, (one) => play(gateway, clock, one)),
        { numRuns: kind === 'sqlite' ? 12 : 6 },
      )
    } finally {
      await gateway[Symbol.asyncDispose]()
      await database?.drop()
    }
  })

after(stopTestServer)
