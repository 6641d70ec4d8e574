import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newUuid } from '../../../src/kernel/ids.ts'
import type { DeliveryState, NewEvent } from '../../../src/storage/index.ts'
import { onEachDatabase } from '../../support/postgres-and-sqlite.ts'

const NOTHING_BUSY: ReadonlySet<string> = new Set()

onEachDatabase((database) => {
  const addWebhook = async (deviceId: string | undefined): Promise<number> => {
    const row = await database.storage.webhooks.create(
      { deviceId, url: 'https://example.org/', events: [], active: true, secret: 'a secret', headers: { a: 'b' } },
      20,
      database.clock.now(),
    )
    assert.notEqual(row, 'limit_reached')
    return (row as { id: number }).id
  }
  const eventFor = (webhookIds: readonly number[], label: string, orderKey?: string): NewEvent => ({
    eventId: newUuid(),
    type: 'test.ping',
    orderKey,
    payload: { message: label },
    occurredAt: 5,
    webhookIds,
  })
  const due = async (webhookId: number, now = database.clock.now()) =>
    (await database.storage.deliveries.due(webhookId, now, 100, NOTHING_BUSY)).toSorted(
      (a, b) => a.delivery.id - b.delivery.id,
    )
  const settle = async (id: number, state: DeliveryState, latencyMs = 3) => {
    await database.storage.deliveries.settle(
      [
        {
          id,
          state,
          attemptCount: 3,
          refusalCount: 3,
          lastError: state === 'failed' ? 'HTTP 400' : '',
          lastStatusCode: state === 'failed' ? 400 : 200,
          lastLatencyMs: latencyMs,
          nextAttemptAt: undefined,
        },
      ],
      database.clock.now(),
    )
  }

  test('what was given up is listed newest first, and comes back marked, as the head of its chat', async () => {
    const { deliveries, events } = database.storage
    const device = await database.addDevice()
    const webhook = await addWebhook(device)
    await events.append(
      device,
      ['a', 'b', 'c'].map((chat) => eventFor([webhook], chat, chat)),
    )
    for (const { delivery } of await due(webhook)) await settle(delivery.id, 'failed')
    const dead = await deliveries.deadLetters(webhook, undefined, 10)
    assert.deepEqual(
      dead.map(({ event }) => event?.payload.message),
      ['c', 'b', 'a'],
    )
    const rest = await deliveries.deadLetters(webhook, dead[0]!.delivery.id, 1)
    assert.deepEqual(
      rest.map(({ event }) => event?.payload.message),
      ['b'],
    )
    await events.append(device, [eventFor([webhook], 'a later', 'a')])

    const [c, , a] = dead.map(({ delivery }) => delivery.id)
    await database.clock.advance(50)
    const now = database.clock.now()
    assert.deepEqual(await deliveries.redrive(webhook, [a!, a! + 1_000_000], now, 10), [a])
    const heads = await due(webhook)
    assert.deepEqual(
      heads.map(({ delivery, event }) => [event.payload.message, delivery.redelivered, delivery.refusalCount]),
      [['a', true, 0]],
    )
    assert.equal(heads[0]!.delivery.createdAt, now)
    assert.equal(heads[0]!.delivery.attemptCount, 3)
    await settle(a!, 'success')
    assert.deepEqual(
      (await due(webhook)).map(({ event, delivery }) => [event.payload.message, delivery.redelivered]),
      [['a later', false]],
    )
    // not twice, not of somebody else's webhook
    assert.deepEqual(await deliveries.redrive(webhook, [a!], now, 10), [])
    assert.deepEqual(await deliveries.redrive(webhook + 1_000, [c!], now, 10), [])
    assert.equal((await deliveries.redrive(webhook, undefined, now, 1)).length, 1)
    assert.equal((await deliveries.redrive(webhook, undefined, now, 10)).length, 1)
    assert.deepEqual(await deliveries.redrive(webhook, undefined, now, 10), [])
  })

  test('what waits for a time can be made due at once', async () => {
    const { deliveries, events } = database.storage
    const device = await database.addDevice()
    const webhook = await addWebhook(device)
    await events.append(device, [eventFor([webhook], 'one')])
    const [one] = await due(webhook)
    const later = database.clock.now() + 60_000
    await deliveries.settle(
      [
        {
          id: one!.delivery.id,
          state: 'pending',
          attemptCount: 1,
          refusalCount: 0,
          lastError: 'no answer',
          lastStatusCode: undefined,
          lastLatencyMs: undefined,
          nextAttemptAt: later,
        },
      ],
      database.clock.now(),
    )
    assert.deepEqual([await due(webhook), await deliveries.nextDue(webhook, database.clock.now())], [[], later])
    await deliveries.hasten(webhook, database.clock.now())
    assert.equal((await due(webhook)).length, 1)
  })

  test('a dead letter whose event is gone is shown without it and stays', async () => {
    const { deliveries, events } = database.storage
    const device = await database.addDevice()
    const webhook = await addWebhook(device)
    await events.append(device, [eventFor([webhook], 'old')])
    const [{ delivery }] = (await due(webhook)) as [Awaited<ReturnType<typeof due>>[number]]
    await settle(delivery.id, 'failed')
    await database.clock.advance(1_000)
    await events.prune(database.clock.now())
    const [letter] = await deliveries.deadLetters(webhook, undefined, 10)
    assert.deepEqual([letter?.delivery.id, letter?.event], [delivery.id, undefined])
    assert.deepEqual(await deliveries.redrive(webhook, undefined, database.clock.now(), 10), [])
    assert.deepEqual(await deliveries.redrive(webhook, [delivery.id], database.clock.now(), 10), [])
  })

  test('statistics: what waits, what was given up, how the newest went', async () => {
    const { deliveries, events } = database.storage
    const device = await database.addDevice()
    const webhook = await addWebhook(device)
    const startedAt = database.clock.now()
    await events.append(
      device,
      Array.from({ length: 6 }, (_, n) => eventFor([webhook], String(n), `chat ${n}`)),
    )
    await database.clock.advance(40)
    const all = await due(webhook)
    for (const [n, { delivery }] of all.slice(0, 4).entries()) {
      await database.clock.advance(1)
      await settle(delivery.id, n === 3 ? 'failed' : 'success', 10 * (n + 1))
    }
    const stats = await deliveries.statsOf(webhook, 3)
    assert.deepEqual([stats.pending, stats.oldestPendingAt, stats.deadLetters], [2, startedAt, 1])
    assert.deepEqual(stats.finished, [
      { state: 'failed', latencyMs: 40, totalMs: 44 },
      { state: 'success', latencyMs: 30, totalMs: 43 },
      { state: 'success', latencyMs: 20, totalMs: 42 },
    ])
    assert.deepEqual(await deliveries.statsOf(await addWebhook(device), 3), {
      pending: 0,
      oldestPendingAt: undefined,
      deadLetters: 0,
      finished: [],
    })
  })

  test('a webhook without a device gets the events of all, in order per device and chat', async () => {
    const { deliveries, events, webhooks } = database.storage
    const [a, b] = [await database.addDevice(), await database.addDevice()]
    const everywhere = await addWebhook(undefined)
    const own = await addWebhook(a)
    for (const device of [a, b])
      await events.append(device, [
        eventFor([everywhere, own], 'first'),
        eventFor([everywhere, own], 'second'),
        eventFor([everywhere], 'in a chat', `chat of ${device}`),
      ])
    // somebody else's own webhook is not for b, whatever the writer says
    assert.equal((await due(own)).length, 1)
    const heads = await due(everywhere)
    assert.deepEqual(
      heads.map(({ delivery, event }) => [delivery.deviceId, event.payload.message]).toSorted(),
      [
        [a, 'first'],
        [a, 'in a chat'],
        [b, 'first'],
        [b, 'in a chat'],
      ].toSorted(),
    )
    for (const { delivery } of heads) await settle(delivery.id, 'success')
    assert.deepEqual(
      (await due(everywhere)).map(({ event }) => event.payload.message),
      ['second', 'second'],
    )

    const row = await webhooks.get(undefined, everywhere)
    assert.deepEqual([row?.secret, row?.headers, row?.deviceId], ['a secret', { a: 'b' }, undefined])
    assert.equal(await webhooks.get(a, everywhere), undefined)
    assert.equal(await webhooks.get(undefined, own), undefined)
    assert.deepEqual(
      (await webhooks.list(undefined)).map(({ id }) => id),
      [everywhere],
    )
    assert.equal((await webhooks.update(undefined, everywhere, { secret: 'another' }, 9))?.secret, 'another')
    assert.equal(await webhooks.update(a, everywhere, { active: false }, 9), undefined)

    // what waits of a device goes with it, the rest stays
    await database.storage.devices.delete(b)
    assert.deepEqual(
      (await due(everywhere)).map(({ delivery }) => delivery.deviceId),
      [a],
    )
    assert.equal((await deliveries.statsOf(everywhere, 10)).pending, 1)
    assert.equal(await webhooks.delete(a, everywhere), false)
    assert.equal(await webhooks.delete(undefined, everywhere), true)
    assert.deepEqual(await due(everywhere), [])
  })

  test('retention keeps an event that a webhook of every device still waits for', async () => {
    const device = await database.addDevice()
    const everywhere = await addWebhook(undefined)
    await database.storage.events.append(device, [eventFor([everywhere], 'needed'), eventFor([], 'not needed')])
    await database.clock.advance(1_000)
    await database.storage.events.prune(database.clock.now())
    assert.deepEqual(
      (await database.storage.events.read(device, 0, 10)).map(({ payload }) => payload.message),
      ['needed'],
    )
    assert.deepEqual(
      (await due(everywhere)).map(({ event }) => event.payload.message),
      ['needed'],
    )
  })

  test('the health of an endpoint is remembered through a restart; the limit of 20 holds under concurrency', async () => {
    const device = await database.addDevice()
    const webhook = await addWebhook(device)
    const { updatedAt } = (await database.storage.webhooks.get(device, webhook))!
    await database.storage.webhooks.setHealth(webhook, { failingSince: 7, pausedAt: 9 })
    await database.restart()
    const row = await database.storage.webhooks.get(device, webhook)
    assert.deepEqual([row?.failingSince, row?.pausedAt, row?.updatedAt], [7, 9, updatedAt])
    const well = await database.storage.webhooks.setHealth(webhook, { failingSince: undefined, pausedAt: undefined })
    assert.deepEqual([well?.failingSince, well?.pausedAt], [undefined, undefined])
    assert.equal(
      await database.storage.webhooks.setHealth(10 ** 9, { failingSince: 1, pausedAt: undefined }),
      undefined,
    )

    const { webhooks } = database.storage
    const taken = (await webhooks.list(undefined)).length
    const made = await Promise.all(
      Array.from({ length: 6 }, () =>
        webhooks.create(
          { deviceId: undefined, url: 'https://example.org/', events: [], active: true, secret: 's', headers: {} },
          taken + 2,
          1,
        ),
      ),
    )
    assert.equal(made.filter((one) => one !== 'limit_reached').length, 2)
  })
})
