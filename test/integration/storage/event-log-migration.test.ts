import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import BetterSqlite3 from 'better-sqlite3'
import pg from 'pg'
import { silentLogger } from '../../../src/kernel/logger.ts'
import { wrappingKeys } from '../../../src/storage/keyring.ts'
import { loadMigrations } from '../../../src/storage/migrations.ts'
import { openStorage } from '../../../src/storage/open.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { createTestDatabase, stopTestServer, useServerOfOwn } from '../../support/postgres.ts'

// a reader of all devices is shown nothing newer than the oldest transaction on the whole server
useServerOfOwn()

const folder = mkdtempSync(join(tmpdir(), 'parley-migration-'))
after(async () => {
  rmSync(folder, { recursive: true, force: true })
  await stopTestServer()
})

const DEVICE = '2d1f3b0c-51f8-4b7e-8f38-7f0e5b8f1a2b'

/** A database as version 4 left it: three events of a log whose first two are gone, a webhook, four deliveries, one gone. */
const ROWS = (bytes: string, yes: string) => `
  insert into api_keys (id, key_hash, masked_key, customer_name, customer_email, customer_phone, max_devices, rate_limit_per_hour, created_at)
    values (1, 'h', 'm', 'c', 'e', 'p', 5, 5, 1);
  insert into devices (id, device_id, api_key_id, device_name, secret_hash, event_sequence, created_at)
    values (1, '${DEVICE}', 1, 'd', 's', 5, 1);
  insert into events (device_id, sequence, event_id, type, payload, occurred_at, created_at) values
    ('${DEVICE}', 3, 'e3', 'test.ping', '{"message": "3"}', 1, 1),
    ('${DEVICE}', 4, 'e4', 'test.ping', '{"message": "4"}', 1, 2),
    ('${DEVICE}', 5, 'e5', 'test.ping', '{"message": "5"}', 1, 3);
  insert into webhooks (id, device_id, url, events, active, secret, headers, created_at, updated_at)
    values (7, '${DEVICE}', 'https://example.org/', '[]', ${yes}, ${bytes}, ${bytes}, 1, 1);
  insert into deliveries (id, webhook_id, device_id, sequence, event_type, order_key, state, next_attempt_at, last_error, created_at, updated_at) values
    (21, 7, '${DEVICE}', 3, 'test.ping', 'a', 'success', 1, '', 1, 1),
    (22, 7, '${DEVICE}', 4, 'test.ping', 'a', 'failed', 1, 'HTTP 400', 1, 1),
    (23, 7, '${DEVICE}', 5, 'test.ping', 'b', 'pending', 1, '', 1, 1);`

const prepareSqlite = async (): Promise<string> => {
  const path = join(folder, 'old.sqlite')
  const connection = new BetterSqlite3(path)
  connection.exec(
    'create table schema_migrations (version integer primary key, name text not null, applied_at integer not null) strict',
  )
  for (const { version, name, text } of (await loadMigrations('sqlite')).slice(0, 4)) {
    connection.exec(text)
    connection.prepare('insert into schema_migrations values (?, ?, 1)').run(version, name)
  }
  connection.exec(ROWS("x'00'", '1'))
  // ids up to 9 and 30 have been given out
  connection.exec(`insert into webhooks (id, device_id, url, events, active, secret, headers, created_at, updated_at)
    values (9, '${DEVICE}', 'u', '[]', 1, x'00', x'00', 1, 1); delete from webhooks where id = 9`)
  connection.close()
  return `sqlite:${path}`
}

const preparePostgres = async (): Promise<{ readonly url: string; drop(): Promise<void> }> => {
  const database = await createTestDatabase()
  const client = new pg.Client(database.url)
  await client.connect()
  await client.query(
    'create table schema_migrations (version integer primary key, name text not null, applied_at bigint not null)',
  )
  for (const { version, name, text } of (await loadMigrations('postgres')).slice(0, 4)) {
    await client.query(text)
    await client.query('insert into schema_migrations values ($1, $2, 1)', [version, name])
  }
  await client.query(
    ROWS("'\\x00'", 'true').replaceAll(
      /(insert into (?:api_keys|devices|webhooks|deliveries) \([^)]*\))/g,
      '$1 overriding system value',
    ),
  )
  await client.end()
  return database
}

for (const kind of ['sqlite', 'postgres'] as const)
  test(`what a version without the log of all devices left is taken over (${kind})`, async () => {
    const { url, drop } =
      kind === 'sqlite' ? { url: await prepareSqlite(), drop: async () => undefined } : await preparePostgres()
    try {
      const clock = new FakeClock(10)
      const secret = wrappingKeys({ jwtSecretKey: 'a secret of the tests' })
      await using storage = await openStorage({ uri: url, secret, clock, logger: silentLogger, own: true })
      assert.deepEqual(await storage.events.bounds(DEVICE), { floor: 2, newest: 5 })
      const all = await storage.events.readAll({ position: 0, sequence: 0 }, 10)
      assert.deepEqual(
        all.map(({ sequence }) => sequence),
        [3, 4, 5],
      )
      assert.deepEqual(
        (await storage.deliveries.due(7, clock.now(), 10, new Set())).map(({ delivery }) => delivery.id),
        [23],
      )
      assert.deepEqual(
        (await storage.deliveries.deadLetters(7, undefined, 10)).map(({ delivery }) => [
          delivery.id,
          delivery.redelivered,
        ]),
        [[22, false]],
      )
      assert.deepEqual(await storage.deliveries.redrive(7, undefined, clock.now(), 10), [22])
      // a webhook that is deleted still takes its deliveries with it, and ids go on
      const made = await storage.webhooks.create(
        { deviceId: undefined, url: 'https://example.org/', events: [], active: true, secret: 's', headers: {} },
        5,
        1,
      )
      assert.ok(made !== 'limit_reached' && (kind === 'postgres' || made.id > 9))
      await storage.events.append(DEVICE, [
        { eventId: 'e6', type: 'test.ping', orderKey: undefined, payload: {}, occurredAt: 1, webhookIds: [7, made.id] },
      ])
      assert.deepEqual(
        (await storage.events.readAll({ position: all[2]!.position, sequence: 5 }, 10)).map(({ sequence }) => sequence),
        [6],
      )
      assert.equal(await storage.webhooks.delete(DEVICE, 7), true)
      assert.equal((await storage.deliveries.stats()).totalDeliveries, 1)
    } finally {
      await drop()
    }
  })
