import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NIL_UUID, newUuid } from '../../../src/kernel/ids.ts'
import type { LogPosition, NewEvent } from '../../../src/storage/index.ts'
import { useServerOfOwn } from '../../support/postgres.ts'
import { onEachDatabase } from '../../support/postgres-and-sqlite.ts'

// a reader of all devices is shown nothing newer than the oldest transaction on the whole server
useServerOfOwn()

const eventOf = (message: string): NewEvent => ({
  eventId: newUuid(),
  type: 'test.ping',
  orderKey: undefined,
  payload: { message },
  occurredAt: 5,
  webhookIds: [],
})

onEachDatabase((database) => {
  const readFrom = async (after: LogPosition) => {
    const found = []
    // a page of two, so that pages end between both kinds
    for (let place = after; ; ) {
      const page = await database.storage.events.readAll(place, 2)
      found.push(...page)
      if (page.length < 2) return found
      place = page.at(-1)!
    }
  }

  test('what belongs to no device stands among the events of devices, in the order of all of them', async () => {
    const device = await database.addDevice()
    const { events } = database.storage
    const { floor, newest } = await events.boundsOfAll()
    await events.append(device, [eventOf('device 1')])
    const [first] = await events.appendToAll([eventOf('gateway 1')])
    await events.append(device, [eventOf('device 2'), eventOf('device 3')])
    await events.appendToAll([eventOf('gateway 2')])
    const mine = (await readFrom(floor)).filter(({ position }) => position > newest)
    assert.deepEqual(
      mine.map(({ payload }) => payload.message),
      ['device 1', 'gateway 1', 'device 2', 'device 3', 'gateway 2'],
    )
    assert.deepEqual([mine[1]!.deviceId, mine[1]!.eventId, mine[1]!.type], [NIL_UUID, first!.eventId, 'test.ping'])
    assert.equal(mine[4]!.sequence, mine[1]!.sequence + 1)
    assert.deepEqual(
      (await events.read(device, 0, 10)).map(({ payload }) => payload.message),
      ['device 1', 'device 2', 'device 3'],
    )
    assert.ok((await events.boundsOfAll()).newest >= mine.at(-1)!.position)
    await database.restart()
    assert.equal((await readFrom(mine[0]!)).length, 4)
  })

  test('retention lets go of it too, and remembers up to where', async () => {
    const { events } = database.storage
    await events.appendToAll([eventOf('old')])
    const [old] = (await readFrom((await events.boundsOfAll()).floor)).slice(-1)
    await database.clock.advance(10_000)
    await events.appendToAll([eventOf('new')])
    assert.ok((await events.prune(database.clock.now() - 5_000)) >= 1)
    const { floor } = await events.boundsOfAll()
    assert.deepEqual(floor, { position: old!.position, sequence: old!.sequence })
    assert.deepEqual(
      (await readFrom(floor)).map(({ payload }) => payload.message),
      ['new'],
    )
  })
})
