import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import BetterSqlite3 from 'better-sqlite3'
import { isParleyError } from '../../../src/kernel/errors.ts'
import { newUuid } from '../../../src/kernel/ids.ts'
import { EventStore } from '../../../src/storage/events.ts'
import { IntakeStore } from '../../../src/storage/intake.ts'
import { MessageStore } from '../../../src/storage/messages.ts'
import { sqliteBulk } from '../../../src/storage/sqlite/bulk.ts'
import { SqliteDatabase } from '../../../src/storage/sqlite/database.ts'
import { migrateSqlite } from '../../../src/storage/sqlite/migrate.ts'
import { FakeClock } from '../../support/fake-clock.ts'

/**
 * `max_page_count` makes SQLite itself believe that the disk is full (SQLITE_FULL), at any page of any statement, as it
 * does when `write` says ENOSPC.
 */
const folder = mkdtempSync(join(tmpdir(), 'parley-full-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const ADA = '4915112345678@s.whatsapp.net'

test('a full disk: clear refusals, nothing half done, reads go on, and writes resume when there is room', async () => {
  const clock = new FakeClock()
  const path = join(folder, 'parley.sqlite')
  const database = new SqliteDatabase(path)
  await migrateSqlite(database, clock)
  const { connection } = database
  connection.exec(`insert into api_keys (key_hash, masked_key, customer_name, customer_email, customer_phone, max_devices,
    rate_limit_per_hour, created_at) values ('h', 'm', 'c', '', '', 1, 1, 0)`)
  const deviceId = newUuid()
  connection
    .prepare(
      "insert into devices (device_id, api_key_id, device_name, secret_hash, created_at) values (?, 1, 'd', 's', 0)",
    )
    .run(deviceId)
  const parts = { database, bulk: sqliteBulk, clock }
  const [intake, messages, events] = [new IntakeStore(parts), new MessageStore(parts), new EventStore(parts)]

  const take = (id: string) =>
    intake.commit(deviceId, {
      key: id,
      chat: ADA,
      chatParty: { pn: ADA, lid: undefined },
      senderParty: { pn: ADA, lid: undefined },
      message: {
        chat: ADA,
        messageId: id,
        sender: ADA,
        fromMe: false,
        type: 'text',
        text: 'x'.repeat(3_000),
        quotedMessageId: undefined,
        pushName: undefined,
        timestamp: 1,
        state: 'received',
        failureCode: undefined,
        content: Buffer.alloc(2_000, 1),
      },
      events: () => [
        { eventId: newUuid(), type: 'message.received', orderKey: 'o', payload: { id }, occurredAt: 1, webhookIds: [] },
      ],
    })
  /** Many at once, so that they share transactions; answers what was taken. */
  const takeMany = async (name: string, count: number): Promise<string[]> => {
    const ids = Array.from({ length: count }, (_, index) => `${name}${index}`)
    const outcomes = await Promise.allSettled(ids.map(take))
    for (const outcome of outcomes)
      if (outcome.status === 'rejected') {
        assert.ok(isParleyError(outcome.reason, 'storage_unavailable'), String(outcome.reason))
        assert.equal(outcome.reason.retryAfterSeconds, 5)
        assert.match(outcome.reason.message, /SQLITE_FULL/)
      }
    return ids.filter((_, index) => outcomes[index]!.status === 'fulfilled')
  }
  const isWhole = async (taken: readonly string[]) => {
    const log = await events.read(deviceId, 0, 10_000)
    assert.deepEqual(
      log.map(({ sequence, payload }) => [sequence, payload.id]),
      taken.map((id, index) => [index + 1, id]),
    )
    for (const id of taken) assert.equal((await messages.find(deviceId, id))?.text?.length, 3_000)
    assert.deepEqual(connection.pragma('integrity_check'), [{ integrity_check: 'ok' }])
    assert.deepEqual(connection.pragma('foreign_key_check'), [])
  }

  const taken = await takeMany('before', 20)
  assert.equal(taken.length, 20)

  // with every size the room runs out at another statement
  const pages = connection.pragma('page_count', { simple: true }) as number
  for (let room = 0; room < 24; room++) {
    const before = connection.pragma('page_count', { simple: true }) as number
    connection.pragma(`max_page_count = ${before + (room % 12)}`)
    const some = await takeMany(`room${room}.`, room % 3 === 0 ? 1 : 30)
    assert.ok(some.length < 30)
    taken.push(...some)
    await isWhole(taken)
  }
  assert.ok((connection.pragma('page_count', { simple: true }) as number) >= pages)

  connection.pragma('max_page_count = 1000000')
  taken.push(...(await takeMany('after', 20)))
  assert.ok(taken.includes('after19'))
  // the same stanza comes again, since it was never acknowledged
  for (const id of ['room0.0', 'room1.0', 'room1.29']) {
    if (taken.includes(id)) continue
    await take(id)
    taken.push(id)
  }
  await isWhole(taken)
  await database[Symbol.asyncDispose]()

  const reopened = new BetterSqlite3(path, { readonly: true })
  assert.deepEqual(reopened.pragma('integrity_check'), [{ integrity_check: 'ok' }])
  assert.equal(reopened.prepare('select count(*) as n from messages').pluck().get(), taken.length)
  reopened.close()
})
