import assert from 'node:assert/strict'
import { test } from 'node:test'
import pg from 'pg'
import { EventFeed } from '../../../src/events/feed.ts'
import { EventLog } from '../../../src/events/log.ts'
import { newUuid } from '../../../src/kernel/ids.ts'
import type { LogPosition, NewEvent } from '../../../src/storage/index.ts'
import { useServerOfOwn } from '../../support/postgres.ts'
import { onEachDatabase } from '../../support/postgres-and-sqlite.ts'

// a reader of all devices is shown nothing newer than the oldest transaction on the whole server
useServerOfOwn()

const START: LogPosition = { position: 0, sequence: 0 }

const eventOf = (label: string, more: Partial<NewEvent> = {}): NewEvent => ({
  eventId: newUuid(),
  type: 'test.ping',
  orderKey: undefined,
  payload: { message: label },
  occurredAt: 5,
  webhookIds: [],
  ...more,
})

onEachDatabase((database) => {
  const log = () => new EventLog({ log: database.storage.events, feed: new EventFeed() })
  const everything = { after: undefined, types: [], limit: 100 } as const
  const append = (deviceId: string, ...labels: readonly string[]) =>
    database.storage.events.append(
      deviceId,
      labels.map((label) => eventOf(label)),
    )
  const labelsOf = (events: readonly { readonly payload: Readonly<Record<string, unknown>> }[]) =>
    events.map(({ payload }) => payload.message)
  /** What a reader of all devices gets from here on, page by page. */
  /**
   * Reads to the end, where at least `least` events are. On PostgreSQL a transaction of anybody on the server, other test
   * files included, holds the newest events back for a while.
   */
  const readOn = async (after: LogPosition, limit: number, least = 0) => {
    const found: string[] = []
    let cursor = after
    for (const until = performance.now() + 10_000; ; ) {
      const page = await database.storage.events.readAll(cursor, limit)
      found.push(...(labelsOf(page) as string[]))
      const last = page.at(-1)
      if (!last && (found.length >= least || performance.now() > until)) return { found, cursor }
      if (!last) await new Promise((resolve) => setTimeout(resolve, 5))
      else cursor = { position: last.position, sequence: last.sequence }
    }
  }

  /** Where a reader of everything stands once it has seen this event last. */
  const cursorAfter = async (label: string): Promise<LogPosition> => {
    for (;;) {
      const { found, cursor } = await readOn(START, 500)
      if (found.at(-1) === label) return cursor
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  test('all devices are one log: complete, in one order for good, however the pages are cut', async () => {
    const [a, b] = [await database.addDevice(), await database.addDevice()]
    const { cursor: start } = await readOn(START, 100)
    await Promise.all(Array.from({ length: 20 }, (_, n) => append(n % 2 === 0 ? a : b, `${n} one`, `${n} two`)))
    const whole = await readOn(start, 100, 40)
    assert.equal(new Set(whole.found).size, 40)
    for (const size of [1, 3, 7]) assert.deepEqual((await readOn(start, size, 40)).found, whole.found)
    for (const device of [a, b]) {
      const own = labelsOf(await database.storage.events.read(device, 0, 100))
      assert.deepEqual(
        whole.found.filter((label) => own.includes(label)),
        own,
      )
    }
  })

  test('a reader who follows while twenty writers write gets each event once', async () => {
    const devices = await Promise.all(Array.from({ length: 4 }, () => database.addDevice()))
    let { cursor } = await readOn(START, 100)
    const got: string[] = []
    let writing = true
    const reader = (async () => {
      while (writing) {
        const page = await readOn(cursor, 5)
        got.push(...page.found)
        cursor = page.cursor
        await new Promise((resolve) => setImmediate(resolve))
      }
    })()
    await Promise.all(
      Array.from({ length: 20 }, async (_, writer) => {
        for (let n = 0; n < 10; n++) await append(devices[writer % 4]!, `${writer}/${n}`)
      }),
    )
    writing = false
    await reader
    got.push(...(await readOn(cursor, 5, 200 - got.length)).found)
    assert.equal(got.length, 200)
    assert.equal(new Set(got).size, 200)
  })

  if (database.kind === 'postgres')
    test('an event whose commit comes late is not passed by', async () => {
      const [slow, quick] = [await database.addDevice(), await database.addDevice()]
      const { cursor } = await readOn(START, 100)
      const client = new pg.Client(database.uri)
      await client.connect()
      try {
        await client.query('begin')
        await client.query('update devices set event_sequence = 1 where device_id = $1', [slow])
        await client.query(
          `insert into events (device_id, sequence, event_id, type, payload, occurred_at, created_at, log_position)
           select $1, 1, 'late', 'test.ping', '{"message": "late"}', 1, 1, base + txid_current() from event_log`,
          [slow],
        )
        await append(quick, 'early')
        assert.deepEqual((await readOn(cursor, 10)).found, [])
        // the device's own log is not held up
        assert.deepEqual(labelsOf(await database.storage.events.read(quick, 0, 10)), ['early'])
        await client.query('commit')
        assert.deepEqual((await readOn(cursor, 10, 2)).found, ['late', 'early'])
      } finally {
        await client.end()
      }
    })

  if (database.kind === 'postgres')
    test('on a server that counts its transactions from lower down, new events still come last', async () => {
      const device = await database.addDevice()
      await append(device, 'before')
      // as after a restore: what is stored is far ahead of the transactions of this server
      await database.execute('update events set log_position = log_position + 1000000')
      const before = await database.storage.events.readAll(START, 1_000)
      await database.restart()
      await append(device, 'after')
      const after = await database.storage.events.readAll(START, 1_000)
      assert.ok(after.length > before.length)
      assert.equal(after.at(-1)!.payload.message, 'after')
    })

  test('positions go on after a restart, also when the newest events went with their device', async () => {
    const [a, b] = [await database.addDevice(), await database.addDevice()]
    await append(a, 'kept')
    await append(b, 'gone')
    const { cursor } = await readOn(START, 100)
    await database.storage.devices.delete(b)
    await database.restart()
    await append(a, 'new')
    assert.deepEqual((await readOn(cursor, 100, 1)).found, ['new'])
  })

  test('a cursor that retention has passed is refused with the oldest there is; one ahead of the log too', async () => {
    const device = await database.addDevice()
    await append(device, 'one', 'two', 'three')
    const early = await cursorAfter('three')
    await database.clock.advance(10_000)
    await append(device, 'four', 'five')
    assert.ok((await database.storage.events.prune(database.clock.now() - 5_000)) >= 3)
    assert.deepEqual(await database.storage.events.bounds(device), { floor: 3, newest: 5 })
    await cursorAfter('five')

    for (const after of [0, 2])
      await assert.rejects(log().read(device, { ...everything, after }), { code: 'gone', data: { oldest: 3 } })
    await assert.rejects(log().follow(device, { after: 2, types: [] }), { code: 'gone' })
    for (const after of [undefined, 3])
      assert.deepEqual(labelsOf((await log().read(device, { ...everything, after })).events), ['four', 'five'])
    await assert.rejects(log().read(device, { ...everything, after: 6 }), { code: 'bad_request', field: 'after' })

    await assert.rejects(log().readAll({ ...everything, after: START }), { code: 'gone', field: 'after' })
    // exactly at the edge nothing is missing
    assert.deepEqual(labelsOf((await log().readAll({ ...everything, after: early })).events), ['four', 'five'])
    const ahead = { position: 10 ** 14, sequence: 0 }
    await assert.rejects(log().readAll({ ...everything, after: ahead }), { code: 'bad_request', field: 'after' })
  })

  test('types are filtered, and the cursor passes what was left out', async () => {
    const device = await database.addDevice()
    const types = ['message.read', 'test.ping', 'message.received', 'connection.qr', 'message.read', 'test.ping']
    await database.storage.events.append(
      device,
      types.map((type) => eventOf(type, { type })),
    )
    const read = (after: number | undefined, wanted: readonly string[], limit: number) =>
      log().read(device, { after, types: wanted, limit })
    const first = await read(undefined, ['message.*'], 2)
    assert.deepEqual([first.events.map(({ sequence }) => sequence), first.next, first.more], [[1, 3], 3, true])
    const second = await read(first.next, ['message.*'], 2)
    assert.deepEqual([second.events.map(({ sequence }) => sequence), second.next, second.more], [[5], 6, false])
    const none = await read(undefined, ['call.*'], 10)
    assert.deepEqual([none.events, none.next, none.more], [[], 6, false])
  })

  test('a follower gets what was there, then what comes, and a batch is read when the last one is taken', async () => {
    const device = await database.addDevice()
    await append(device, ...Array.from({ length: 120 }, (_, n) => String(n)))
    const feed = new EventFeed()
    const follow = await new EventLog({ log: database.storage.events, feed }).follow(device, { after: 10, types: [] })
    const stop = new AbortController()
    const got: unknown[] = []
    const batches: number[] = []
    for await (const rows of follow(stop.signal)) {
      got.push(...labelsOf(rows))
      batches.push(rows.length)
      if (got.length === 110) {
        // while the reader is busy
        await append(device, 'new 1', 'new 2')
        feed.announce(device)
        feed.announce(device)
      }
      if (got.length === 112) stop.abort()
    }
    assert.deepEqual(got, [...Array.from({ length: 110 }, (_, n) => String(n + 10)), 'new 1', 'new 2'])
    assert.ok(Math.max(...batches) <= 50)
    assert.equal(feed.readers, 0)
  })
})
