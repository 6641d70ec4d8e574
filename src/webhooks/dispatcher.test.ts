import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { answered, makeDispatching, turns, unreachable, webhookRow } from '../../test/support/dispatching.ts'
import type { Answer } from './client.ts'

describe('the dispatcher', { timeout: 20_000 }, () => {
  test('delivers what is there at the start and what it is woken for, and sleeps in between', async () => {
    const world = makeDispatching(() => answered(200))
    world.subscriptions.set(webhookRow(1))
    const first = world.deliveries.add(1, 'a', 'one', world.clock.now())
    await using dispatcher = await world.start()
    await turns()
    assert.equal(world.deliveries.get(first).state, 'success')
    const sweepOnly = world.clock.pending

    const second = world.deliveries.add(1, 'a', 'two', world.clock.now())
    await world.pass(3_000)
    assert.deepEqual(world.labels(), ['one'])
    dispatcher.wake([1])
    await turns()
    assert.deepEqual(world.labels(), ['one', 'two'])
    assert.deepEqual(
      { ...world.deliveries.get(second), createdAt: 0, updatedAt: 0, sequence: 0, id: 0 },
      {
        id: 0,
        webhookId: 1,
        deviceId: 'device',
        sequence: 0,
        eventType: 'test.ping',
        state: 'success',
        redelivered: false,
        attemptCount: 1,
        refusalCount: 0,
        lastError: '',
        lastStatusCode: 200,
        lastLatencyMs: 1,
        createdAt: 0,
        updatedAt: 0,
      },
    )
    assert.equal(world.clock.pending, sweepOnly)
    assert.deepEqual(dispatcher.snapshot(), { lanes: 1, failing: 0, underWay: 0, held: 0 })
  })

  test('sends a chat one after another and chats side by side, up to the workers', async () => {
    const open: (() => void)[] = []
    const world = makeDispatching(() => new Promise<Answer>((resolve) => open.push(() => resolve(answered(204)))))
    world.subscriptions.set(webhookRow(1))
    for (const chat of ['a', 'b', 'c', 'd', 'e', 'f'])
      for (const n of [1, 2]) world.deliveries.add(1, chat, `${chat}${n}`, world.clock.now())
    await using _dispatcher = await world.start()
    await turns()
    // Before the first success the endpoint may be dead: one at a time.
    assert.deepEqual(world.labels(), ['a1'])
    open.shift()!()
    await turns()
    assert.deepEqual(world.labels(), ['a1', 'b1', 'c1', 'd1', 'e1'])
    while (open.length > 0) {
      open.shift()!()
      await turns()
      assert.ok(open.length <= 4)
    }
    assert.equal(world.deliveries.count('success'), 12)
    for (const chat of ['a', 'b', 'c', 'd', 'e', 'f'])
      assert.deepEqual(
        world.labels().filter((label) => label.startsWith(chat)),
        [`${chat}1`, `${chat}2`],
      )
  })

  test('gives up a delivery that is refused as often as the limit says; its chat goes on', async () => {
    const world = makeDispatching(({ label }) =>
      label === 'bad' ? answered(404, { excerpt: 'no such hook' }) : answered(200),
    )
    world.subscriptions.set(webhookRow(1))
    const bad = world.deliveries.add(1, 'a', 'bad', world.clock.now())
    world.deliveries.add(1, 'a', 'after', world.clock.now())
    world.deliveries.add(1, 'b', 'other', world.clock.now())
    await using _dispatcher = await world.start()
    await turns()
    assert.deepEqual(world.labels(), ['bad', 'other'])
    assert.equal(world.deliveries.get(bad).state, 'pending')
    await world.pass(1_999)
    assert.deepEqual(world.labels(), ['bad', 'other'])
    await world.pass(1)
    assert.deepEqual(world.labels(), ['bad', 'other', 'bad'])
    await world.pass(4_000)
    assert.deepEqual(world.labels(), ['bad', 'other', 'bad', 'bad', 'after'])
    const row = world.deliveries.get(bad)
    assert.deepEqual(
      [row.state, row.attemptCount, row.refusalCount, row.lastStatusCode, row.lastError],
      ['failed', 3, 3, 404, 'HTTP 404: no such hook'],
    )
    assert.deepEqual(
      world.seen.filter(({ label }) => label === 'bad').map(({ attempt }) => attempt),
      [1, 2, 3],
    )
    assert.equal(new Set(world.seen.filter(({ label }) => label === 'bad').map(({ id }) => id)).size, 1)
  })

  test('does not try again after 410', async () => {
    const world = makeDispatching(({ label }) => answered(label === 'gone' ? 410 : 200))
    world.subscriptions.set(webhookRow(1))
    const gone = world.deliveries.add(1, 'a', 'gone', world.clock.now())
    world.deliveries.add(1, 'a', 'next', world.clock.now())
    await using _dispatcher = await world.start()
    await turns()
    assert.equal(world.deliveries.get(gone).state, 'failed')
    assert.deepEqual(world.labels(), ['gone', 'next'])
  })

  for (const [name, failing] of [
    ['no answer', unreachable],
    ['408', answered(408)],
    ['425', answered(425)],
    ['429', answered(429)],
    ['500', answered(500)],
    ['503', answered(503)],
  ] as const)
    test(`leaves an endpoint alone that fails (${name}), tries with one, and uses up no attempt`, async () => {
      let down = true
      const world = makeDispatching(() => (down ? failing : answered(200)))
      world.subscriptions.set(webhookRow(1))
      for (const chat of ['a', 'b', 'c', 'd', 'e']) world.deliveries.add(1, chat, chat, world.clock.now())
      await using dispatcher = await world.start()
      await turns()
      assert.equal(world.seen.length, 1)
      assert.equal(dispatcher.snapshot().failing, 1)
      // With the random part at its most: 1, 2, 4, ... 256, then 300 s.
      for (const [wait, attempts] of [
        [999, 1],
        [1, 2],
        [2_000, 3],
        [4_000, 4],
        [8_000, 5],
        [16_000, 6],
        [32_000, 7],
        [64_000, 8],
        [128_000, 9],
        [256_000, 10],
        [299_999, 10],
        [1, 11],
        [300_000, 12],
      ] as const) {
        await world.pass(wait)
        assert.equal(world.seen.length, attempts)
      }
      assert.equal(dispatcher.snapshot().held, 0)
      down = false
      await world.pass(300_000)
      assert.equal(world.deliveries.count('success'), 5)
      assert.equal(dispatcher.snapshot().failing, 0)
    })

  test('counts refusals only, whatever failed before', async () => {
    const script = [unreachable, answered(404), unreachable, answered(404), answered(200)]
    const world = makeDispatching(() => script.shift()!)
    world.subscriptions.set(webhookRow(1))
    const id = world.deliveries.add(1, 'a', 'x', world.clock.now())
    await using _dispatcher = await world.start()
    for (let i = 0; i < 6; i++) await world.pass(10_000)
    const row = world.deliveries.get(id)
    assert.deepEqual([row.state, row.attemptCount, row.refusalCount], ['success', 5, 2])
  })

  test('honours Retry-After, in seconds and as a date', async () => {
    const answers: Answer[] = [answered(429, { retryAfter: '120' }), answered(200)]
    const world = makeDispatching(() => answers.shift()!)
    world.subscriptions.set(webhookRow(1))
    world.deliveries.add(1, 'a', 'x', world.clock.now())
    await using dispatcher = await world.start()
    await world.pass(119_999)
    assert.equal(world.seen.length, 1)
    await world.pass(1)
    assert.equal(world.seen.length, 2)

    answers.push(answered(503, { retryAfter: new Date(world.clock.now() + 60_000).toUTCString() }), answered(200))
    world.deliveries.add(1, 'a', 'y', world.clock.now())
    dispatcher.wake([1])
    await world.pass(58_000)
    assert.equal(world.seen.length, 3)
    await world.pass(2_000)
    assert.equal(world.seen.length, 4)
  })

  test('gives up what is too old, also where nothing was ever tried', async () => {
    const world = makeDispatching(() => unreachable, { maxAgeMs: 3_600_000 })
    world.subscriptions.set(webhookRow(1))
    world.subscriptions.set(webhookRow(2, { active: false }))
    const tried = world.deliveries.add(1, 'a', 'x', world.clock.now())
    const behind = world.deliveries.add(1, 'a', 'y', world.clock.now())
    const idle = world.deliveries.add(2, 'a', 'z', world.clock.now())
    await using _dispatcher = await world.start()
    await world.pass(3_600_000 + 3_600_000 / 8 + 300_000)
    assert.deepEqual(
      [tried, behind, idle].map((id) => world.deliveries.get(id).state),
      ['failed', 'failed', 'failed'],
    )
    assert.equal(world.deliveries.get(tried).lastError, 'gave up: connect ECONNREFUSED')
    assert.equal(world.deliveries.get(idle).lastError, 'gave up: too old')
    assert.equal(world.labels('2').length, 0)
  })

  test('an event that the endpoint cannot take does not hold up the others', async () => {
    const world = makeDispatching(({ label }) => answered(label === 'poison' ? 500 : 200))
    world.subscriptions.set(webhookRow(1))
    world.deliveries.add(1, 'p', 'poison', world.clock.now())
    for (let i = 0; i < 20; i++) world.deliveries.add(1, `c${i}`, `m${i}`, world.clock.now())
    await using dispatcher = await world.start()
    await world.pass(2_000)
    assert.equal(world.deliveries.count('success'), 20)
    const before = world.seen.length
    for (let i = 0; i < 10; i++) {
      world.deliveries.add(1, 'live', `live${i}`, world.clock.now())
      dispatcher.wake([1])
      await world.pass(30_000)
      assert.equal(world.deliveries.count('success'), 21 + i)
    }
    const poisoned = world.seen.slice(before).filter(({ label }) => label === 'poison').length
    assert.ok(poisoned >= 2 && poisoned <= 9, `tried ${poisoned} times in 5 minutes`)
    assert.equal(dispatcher.snapshot().failing, 0)
  })

  test('a receiver that never answers delays nobody else, and holds one slot once it is known', async () => {
    const world = makeDispatching(({ webhook }) =>
      webhook === '1'
        ? world.clock
            .sleep(10_000)
            .then(() => ({ kind: 'failed', latencyMs: 10_000, error: 'no answer within 10 s' }) as const)
        : answered(200),
    )
    world.subscriptions.set(webhookRow(1))
    world.subscriptions.set(webhookRow(2))
    for (let i = 0; i < 50; i++) {
      world.deliveries.add(1, `c${i}`, `dead${i}`, world.clock.now())
      world.deliveries.add(2, `c${i}`, `live${i}`, world.clock.now())
    }
    await using dispatcher = await world.start()
    await turns(200)
    assert.equal(world.labels('2').length, 50)
    assert.equal(dispatcher.snapshot().underWay, 1)
    await world.pass(60_000)
    assert.ok(dispatcher.snapshot().underWay <= 1)
  })

  test('however many are dead, the others go through', async () => {
    const world = makeDispatching(
      ({ webhook }) =>
        Number(webhook) <= 30
          ? world.clock.sleep(10_000).then(() => ({ kind: 'failed', latencyMs: 10_000, error: 'no answer' }) as const)
          : answered(200),
      { capacity: { fast: 4, slow: 40 } },
    )
    for (let id = 1; id <= 31; id++) {
      world.subscriptions.set(webhookRow(id))
      world.deliveries.add(id, 'c', `m${id}`, world.clock.now())
    }
    await using dispatcher = await world.start()
    await turns()
    assert.equal(dispatcher.snapshot().underWay, 4)
    // Each second what hangs moves over to the slow slots.
    for (let second = 0; second < 9; second++) await world.pass(1_000)
    assert.equal(world.labels('31').length, 1)
    await world.pass(20_000)
    for (let i = 0; i < 5; i++) {
      world.deliveries.add(31, 'c', `again${i}`, world.clock.now())
      dispatcher.wake([31])
      await turns()
      assert.equal(world.labels('31').length, i + 2)
    }
  })

  test('delivers nothing when switched off, and nothing for a webhook that is', async () => {
    const world = makeDispatching(() => answered(200), { enabled: false })
    world.subscriptions.set(webhookRow(1))
    world.deliveries.add(1, 'a', 'x', world.clock.now())
    const off = await world.start()
    off.wake([1])
    await world.pass(10_000)
    assert.equal(world.seen.length, 0)
    assert.equal(world.clock.pending, 0)

    const other = makeDispatching(() => answered(200))
    other.subscriptions.set(webhookRow(1, { active: false }))
    other.deliveries.add(1, 'a', 'x', other.clock.now())
    await using dispatcher = await other.start()
    await other.pass(10_000)
    assert.equal(other.seen.length, 0)
    other.subscriptions.set(webhookRow(1))
    dispatcher.changed(1, { moved: false })
    await turns()
    assert.equal(other.seen.length, 1)
  })

  test('a webhook that is deleted is forgotten; one that moves is tried at once', async () => {
    const world = makeDispatching(({ webhook }) => (webhook === '1' ? unreachable : answered(200)))
    world.subscriptions.set(webhookRow(1))
    world.deliveries.add(1, 'a', 'x', world.clock.now())
    world.deliveries.add(1, 'b', 'y', world.clock.now())
    await using dispatcher = await world.start()
    await world.pass(20_000)
    world.subscriptions.set(webhookRow(1, { url: 'https://example.org/elsewhere' }))
    dispatcher.changed(1, { moved: true })
    // Each still waits for the time it was given when it failed.
    await world.pass(16_000)
    assert.equal(world.deliveries.count('success'), 2)
    world.subscriptions.delete(1)
    dispatcher.changed(1, { moved: false })
    assert.equal(dispatcher.snapshot().lanes, 0)
  })

  test('a stop lets attempts under way end, records them, and starts nothing', async () => {
    let release: (() => void) | undefined
    const world = makeDispatching(() => new Promise<Answer>((resolve) => (release = () => resolve(answered(200)))))
    world.subscriptions.set(webhookRow(1))
    const first = world.deliveries.add(1, 'a', 'x', world.clock.now())
    const second = world.deliveries.add(1, 'b', 'y', world.clock.now())
    const dispatcher = await world.start('plain')
    await turns()
    const stopped = dispatcher[Symbol.asyncDispose]()
    await turns()
    release!()
    await stopped
    assert.equal(world.deliveries.get(first).state, 'success')
    assert.equal(world.deliveries.get(second).state, 'pending')
    assert.equal(world.seen.length, 1)
    assert.equal(world.clock.pending, 0)
  })

  test('a stop does not wait longer than its grace; what was cut is sent again after the next start', async () => {
    const world = makeDispatching(({ attempt }) =>
      world.seen.length === 1 ? new Promise<Answer>(() => undefined) : answered(attempt === 1 ? 200 : 500),
    )
    world.subscriptions.set(webhookRow(1))
    const id = world.deliveries.add(1, 'a', 'x', world.clock.now())
    const dispatcher = await world.start('plain')
    await turns()
    const stopped = dispatcher[Symbol.asyncDispose]()
    await world.pass(5_000)
    await stopped
    assert.equal(world.deliveries.get(id).attemptCount, 0)
    await using _next = await world.start()
    await turns()
    assert.equal(world.deliveries.get(id).state, 'success')
    assert.deepEqual(
      world.seen.map(({ id, attempt }) => [id, attempt]),
      [
        ['event-1', 1],
        ['event-1', 1],
      ],
    )
  })

  test('while the database is away results wait, nothing of their chat is sent, and all is recorded later', async () => {
    const world = makeDispatching(() => {
      world.deliveries.away = new Error('away')
      return answered(200)
    })
    world.subscriptions.set(webhookRow(1))
    const first = world.deliveries.add(1, 'a', 'x', world.clock.now())
    const second = world.deliveries.add(1, 'a', 'y', world.clock.now())
    await using _dispatcher = await world.start()
    await world.pass(20_000)
    assert.deepEqual(world.labels(), ['x'])
    world.deliveries.away = undefined
    await world.pass(10_000)
    assert.equal(world.deliveries.get(first).state, 'success')
    assert.deepEqual(world.labels(), ['x', 'y'])
    world.deliveries.away = undefined
    await world.pass(10_000)
    assert.equal(world.deliveries.get(second).state, 'success')
  })

  test('records results that come together in one transaction', async () => {
    const open: (() => void)[] = []
    const world = makeDispatching(({ label }) =>
      label === 'first' ? answered(200) : new Promise<Answer>((resolve) => open.push(() => resolve(answered(200)))),
    )
    world.subscriptions.set(webhookRow(1))
    world.deliveries.add(1, 'first', 'first', world.clock.now())
    for (const chat of ['a', 'b', 'c', 'd']) world.deliveries.add(1, chat, chat, world.clock.now())
    await using _dispatcher = await world.start()
    await turns()
    assert.equal(open.length, 4)
    for (const release of open) release()
    await turns()
    assert.deepEqual(world.deliveries.settledBatches, [1, 4])
  })
})
