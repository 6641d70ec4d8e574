import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import pg from 'pg'
import { systemClock } from '../../../src/kernel/clock.ts'
import { isParleyError } from '../../../src/kernel/errors.ts'
import { newUuid } from '../../../src/kernel/ids.ts'
import { LOCK_CLASS, OWNER_LOCK } from '../../../src/storage/owner.ts'
import { onEachDatabase } from '../../support/postgres-and-sqlite.ts'

const isAway = (error: unknown): boolean => {
  assert.ok(isParleyError(error, 'storage_unavailable'), String(error))
  assert.equal(error.retryAfterSeconds, 5)
  return true
}

const until = async (holds: () => Promise<boolean> | boolean): Promise<void> => {
  for (let waited = 0; !(await holds()); waited += 20) {
    assert.ok(waited < 10_000, 'it did not come true')
    await setTimeout(20)
  }
}

onEachDatabase((database) => {
  test('after closing, everything says that the database is away', async () => {
    const { storage } = database
    const deviceId = await database.addDevice()
    await storage[Symbol.asyncDispose]()
    await storage[Symbol.asyncDispose]()
    await assert.rejects(storage.ping(), isAway)
    await assert.rejects(storage.devices.get(deviceId), isAway)
    await assert.rejects(storage.signalKeys.commit(deviceId, { writes: [], credentials: Buffer.from('x') }), isAway)
    database.storage = await database.open()
  })

  test('closing waits for what was already asked for', async () => {
    const deviceId = newUuid()
    const writes = Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        database.storage.signalKeys.commit(deviceId, {
          writes: [{ type: 'session', id: String(index), value: Buffer.from('x') }],
        }),
      ),
    )
    await database.restart()
    await writes
    const ids = Array.from({ length: 20 }, (_, index) => String(index))
    assert.equal((await database.storage.signalKeys.get(deviceId, 'session', ids)).size, 20)
  })

  if (database.kind === 'sqlite') {
    test('a file that cannot be opened is away, in one line', async () => {
      await assert.rejects(database.open({ uri: 'sqlite:/etc/passwd/parley.sqlite' }), isAway)
    })
    return
  }

  test('an unreachable server is away', async () => {
    await assert.rejects(database.open({ uri: 'postgres://x:secret@127.0.0.1:1/x' }), (error) => {
      assert.ok(isAway(error))
      assert.equal(/secret/.test((error as Error).message), false)
      return true
    })
    const missing = new URL(database.uri)
    missing.pathname = '/no_such_database'
    await assert.rejects(database.open({ uri: missing.href }), isAway)
  })

  test('sslmode=prefer does without TLS where there is none, require does not', async () => {
    const uri = (mode: string) => `${database.uri}?sslmode=${mode}`
    await using tool = await database.open({ uri: uri('prefer'), own: false })
    await tool.ping()
    await assert.rejects(database.open({ uri: uri('require'), own: false }), /does not support SSL/)
  })

  const cutConnections = (where: string) =>
    database.execute(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and pid <> pg_backend_pid() and ${where}`,
    )

  test('cut connections fail what was under way at most, and everything works again by itself', async () => {
    const deviceId = await database.addDevice()
    const { storage } = database
    let failed = 0
    const write = async (index: number) => {
      try {
        await storage.signalKeys.commit(deviceId, {
          writes: [{ type: 'session', id: String(index), value: Buffer.from('x') }],
        })
      } catch (error) {
        isAway(error)
        failed += 1
      }
    }
    const writes = Promise.all(Array.from({ length: 100 }, (_, index) => write(index)))
    await cutConnections("application_name = 'parley'")
    await writes
    assert.ok(failed <= 10, `${failed} failed`)
    await storage.signalKeys.commit(deviceId, { writes: [], credentials: Buffer.from('after') })
    assert.ok(await storage.signalKeys.credentials(deviceId))
  })

  test('a cut owner connection is taken again, and we stay the owner', async () => {
    let lost = false
    await database.restart({ clock: systemClock, onOwnerLost: () => (lost = true) })
    const held = async () => {
      const locks = await database.execute(
        `select 1 from pg_locks where locktype = 'advisory' and classid = ${LOCK_CLASS} and objid = ${OWNER_LOCK}
           and database = (select oid from pg_database where datname = current_database())`,
      )
      return locks.length === 1
    }
    assert.ok(await held())
    await cutConnections("application_name like 'parley owner%'")
    await until(held)
    await database.storage.signalKeys.commit(newUuid(), { writes: [], credentials: Buffer.from('still ours') })
    await assert.rejects(database.open(), (error) => isParleyError(error, 'conflict'))
    assert.equal(lost, false)
  })

  test('when another process took over meanwhile, we are told, and our key writes are refused', async () => {
    const told = Promise.withResolvers<Error>()
    await database.restart({ clock: systemClock, onOwnerLost: told.resolve })
    const thief = new pg.Client(database.uri)
    await thief.connect()
    try {
      const locked = thief.query(`select pg_advisory_lock(${LOCK_CLASS}, ${OWNER_LOCK})`)
      await cutConnections("application_name like 'parley owner%'")
      await locked
      await thief.query('update owner set epoch = epoch + 1')
      assert.ok(isParleyError(await told.promise, 'conflict'))
      await assert.rejects(
        database.storage.signalKeys.commit(newUuid(), { writes: [], credentials: Buffer.from('stale') }),
        (error) => isParleyError(error, 'conflict'),
      )
    } finally {
      await thief.end()
    }
    await database.restart()
  })
})
