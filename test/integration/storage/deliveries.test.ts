import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { newUuid } from '../../../src/kernel/ids.ts'
import { silentLogger } from '../../../src/kernel/logger.ts'
import type { DeliveryResult, DeliveryRow, NewEvent } from '../../../src/storage/index.ts'
import type { WebhookClient } from '../../../src/webhooks/client.ts'
import { Dispatcher } from '../../../src/webhooks/dispatcher.ts'
import { Subscriptions } from '../../../src/webhooks/subscriptions.ts'
import { answered, turns, unreachable } from '../../support/dispatching.ts'
import { MemoryDeliveries } from '../../support/memory-deliveries.ts'
import { onEachDatabase, type TestDatabase } from '../../support/postgres-and-sqlite.ts'

const NOTHING_BUSY: ReadonlySet<string> = new Set()

const addWebhook = async (database: TestDatabase, deviceId: string): Promise<number> => {
  const row = await database.storage.webhooks.create(
    { deviceId, url: 'https://example.org/', events: [], active: true, secret: 'secret', headers: {} },
    20,
    database.clock.now(),
  )
  if (row === 'limit_reached') throw new Error(row)
  return row.id
}

const eventFor = (webhookId: number, orderKey: string | undefined, label: string): NewEvent => ({
  eventId: newUuid(),
  type: 'test.ping',
  orderKey,
  payload: { message: label },
  occurredAt: 5,
  webhookIds: [webhookId],
})

const outcome = (row: DeliveryRow, more: Partial<DeliveryResult>): DeliveryResult => ({
  id: row.id,
  state: 'success',
  attemptCount: row.attemptCount + 1,
  refusalCount: row.refusalCount,
  lastError: '',
  lastStatusCode: 200,
  lastLatencyMs: 3,
  nextAttemptAt: undefined,
  ...more,
})

/** One step of a random history; numbers pick by remainder. */
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('add' as const),
      webhook: fc.nat(1),
      chat: fc.constantFrom('a', 'b', 'c', undefined),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      webhook: fc.nat(1),
      count: fc.integer({ min: 1, max: 3 }),
      how: fc.constantFrom('success' as const, 'failed' as const, 'later' as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(1, 50, 1_000) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('expire' as const),
      age: fc.constantFrom(10, 100, 2_000),
      limit: fc.integer({ min: 1, max: 4 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('prune' as const), age: fc.constantFrom(0, 100) }) },
)

onEachDatabase((database) => {
  test('does what the queue in memory does, whatever happens to it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (history) => {
        const { storage, clock } = database
        assert.equal((await storage.deliveries.stats()).totalDeliveries, 0)
        const deviceId = await database.addDevice()
        const webhooks = [await addWebhook(database, deviceId), await addWebhook(database, deviceId)] as const
        await using _ = { [Symbol.asyncDispose]: async () => void (await storage.devices.delete(deviceId)) }
        const model = new MemoryDeliveries()
        // Ids differ; the sequence is the same on both sides.
        const known = ({ id: _, webhookId: __, deviceId: ___, ...row }: DeliveryRow) => row
        const pick = async (webhook: number, busy: ReadonlySet<string>, limit: number) => {
          const [ours, theirs] = [
            await storage.deliveries.due(webhooks[webhook]!, clock.now(), limit, busy),
            await model.due(webhook, clock.now(), limit, busy),
          ]
          assert.deepEqual(
            ours.map((item) => [known(item.delivery), item.orderKey, item.event.payload]),
            theirs.map((item) => [known(item.delivery), item.orderKey, item.event.payload]),
          )
          return ours.map((item, index) => [item.delivery, theirs[index]!.delivery] as const)
        }
        for (const [index, one] of history.entries()) {
          const now = clock.now()
          if (one.do === 'add') {
            model.add(one.webhook, one.chat, `m${index}`, now)
            await storage.events.append(deviceId, [eventFor(webhooks[one.webhook]!, one.chat, `m${index}`)])
            await clock.advance(1)
          } else if (one.do === 'pass') await clock.advance(one.ms)
          else if (one.do === 'settle') {
            const rows = await pick(one.webhook, NOTHING_BUSY, one.count)
            const more: Partial<DeliveryResult> =
              one.how === 'later'
                ? {
                    state: 'pending',
                    nextAttemptAt: now + 40,
                    lastError: 'HTTP 404',
                    lastStatusCode: undefined,
                    refusalCount: 1,
                  }
                : { state: one.how }
            await storage.deliveries.settle(
              rows.map(([row]) => outcome(row, more)),
              now,
            )
            await model.settle(
              rows.map(([, row]) => outcome(row, more)),
              now,
            )
          } else if (one.do === 'expire')
            assert.equal(
              await storage.deliveries.expire(now - one.age, now, one.limit),
              await model.expire(now - one.age, now, one.limit),
            )
          else assert.equal(await storage.deliveries.prune(now - one.age), await model.prune(now - one.age))

          for (const webhook of [0, 1]) {
            await pick(webhook, NOTHING_BUSY, 10)
            await pick(webhook, new Set(['a', '']), 1)
            assert.equal(
              await storage.deliveries.nextDue(webhooks[webhook]!, clock.now()),
              await model.nextDue(webhook, clock.now()),
            )
            const bySequence = (a: { readonly updatedAt: number; readonly sequence: number }, b: typeof a) =>
              b.updatedAt - a.updatedAt || b.sequence - a.sequence
            assert.deepEqual(
              (await storage.deliveries.logs(webhooks[webhook]!, 100)).map(known).toSorted(bySequence),
              (await model.logs(webhook, 100)).map(known).toSorted(bySequence),
            )
          }
          assert.deepEqual(
            (await storage.deliveries.waiting())
              .map(({ webhookId, dueAt }) => [webhooks.indexOf(webhookId), dueAt])
              .toSorted(),
            (await model.waiting()).map(({ webhookId, dueAt }) => [webhookId, dueAt]).toSorted(),
          )
          assert.deepEqual(await storage.deliveries.stats(), await model.stats())
        }
      }),
      { numRuns: 15 },
    )
  })

  test('finds the heads behind a chat whose queue is longer than any window', async () => {
    const { storage, clock } = database
    const deviceId = await database.addDevice()
    const webhook = await addWebhook(database, deviceId)
    await storage.events.append(
      deviceId,
      Array.from({ length: 500 }, (_, n) => eventFor(webhook, 'long', `long ${n}`)),
    )
    await storage.events.append(
      deviceId,
      ['x', 'y', 'z'].map((chat) => eventFor(webhook, chat, chat)),
    )
    const labels = async (limit: number, busy: readonly string[]) =>
      (await storage.deliveries.due(webhook, clock.now(), limit, new Set(busy))).map(
        ({ event }) => event.payload.message,
      )
    assert.deepEqual(await labels(10, []), ['long 0', 'x', 'y', 'z'])
    assert.deepEqual(await labels(10, ['long', 'y']), ['x', 'z'])
    assert.deepEqual(await labels(2, ['long']), ['x', 'y'])
    // The head waits for its time: its chat waits with it, the others do not.
    const [head] = await storage.deliveries.due(webhook, clock.now(), 1, NOTHING_BUSY)
    await storage.deliveries.settle(
      [outcome(head!.delivery, { state: 'pending', nextAttemptAt: clock.now() + 1_000 })],
      clock.now(),
    )
    assert.deepEqual(await labels(10, []), ['x', 'y', 'z'])
    await storage.devices.delete(deviceId)
  })

  test('the newest of many attempts are the log', async () => {
    const { storage, clock } = database
    const deviceId = await database.addDevice()
    const webhook = await addWebhook(database, deviceId)
    await storage.events.append(
      deviceId,
      Array.from({ length: 130 }, (_, n) => eventFor(webhook, `c${n}`, `m${n}`)),
    )
    const due = await storage.deliveries.due(webhook, clock.now(), 120, NOTHING_BUSY)
    for (const { delivery } of due) {
      await clock.advance(1)
      await storage.deliveries.settle([outcome(delivery, {})], clock.now())
    }
    const logs = await storage.deliveries.logs(webhook, 100)
    assert.deepEqual(
      logs.map(({ sequence }) => sequence),
      due
        .map(({ delivery }) => delivery.sequence)
        .toReversed()
        .slice(0, 100),
    )
    await storage.devices.delete(deviceId)
  })

  test('what a dead process left is delivered by the next, with the same ids and the same patience', {
    timeout: 20_000,
  }, async () => {
    const deviceId = await database.addDevice()
    const webhook = await addWebhook(database, deviceId)
    const seen: { readonly id: string; readonly attempt: number; readonly at: number }[] = []
    const run = async (client: WebhookClient): Promise<Dispatcher> => {
      const subscriptions = new Subscriptions({ enabled: true })
      await subscriptions.load(database.storage.webhooks)
      const dispatcher = new Dispatcher({
        deliveries: database.storage.deliveries,
        subscriptions,
        client,
        clock: database.clock,
        logger: silentLogger,
        enabled: true,
        workers: 4,
        retryLimit: 3,
        maxAgeMs: 86_400_000,
        version: '0',
        random: () => 1,
        stopGraceMs: 0,
      })
      await dispatcher.start()
      return dispatcher
    }
    const note = (body: Uint8Array) => {
      const { id, attempt } = JSON.parse(Buffer.from(body).toString('utf8'))
      seen.push({ id, attempt, at: database.clock.now() })
    }
    const events = [eventFor(webhook, 'a', 'one'), eventFor(webhook, 'a', 'two')]
    await database.storage.events.append(deviceId, events)

    const first = await run({
      post: async ({ body }) => {
        note(body)
        return seen.length === 1 ? answered(404) : unreachable
      },
    })
    /** Time goes on in small steps, because the database answers when it likes. */
    const until = async (reached: () => Promise<boolean>) => {
      while (!(await reached())) {
        await turns(5)
        await database.clock.advance(20)
      }
    }
    const attempts = async () => (await database.storage.deliveries.logs(webhook, 10))[0]?.attemptCount
    await until(async () => (await attempts()) === 2)
    const stopped = first[Symbol.asyncDispose]()
    await database.clock.advance(0)
    await stopped
    await database.restart()

    // The row waits for the second that the endpoint was given when it did not answer.
    await using second = await run({
      post: async ({ body }) => {
        note(body)
        return answered(200)
      },
    })
    await until(async () => (await database.storage.deliveries.stats()).successDeliveries === 2)
    assert.deepEqual(
      seen.map(({ id, attempt }) => [id === events[0]!.eventId ? 'one' : 'two', attempt]),
      [
        ['one', 1],
        ['one', 2],
        ['one', 3],
        ['two', 1],
      ],
    )
    assert.ok(seen[1]!.at - seen[0]!.at >= 2_000)
    assert.ok(seen[2]!.at - seen[1]!.at >= 1_000)
    assert.equal(second.snapshot().failing, 0)
    await database.storage.devices.delete(deviceId)
  })
})
