import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { isParleyError } from '../../../src/kernel/errors.ts'
import { loadMigrations, pendingMigrations } from '../../../src/storage/migrations.ts'
import { createTestDatabase } from '../../support/postgres.ts'
import { onEachDatabase } from '../../support/postgres-and-sqlite.ts'

const fixture = join(import.meta.dirname, 'fixtures', 'open-storage.ts')
const folder = mkdtempSync(join(tmpdir(), 'parley-migrations-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const newDatabase = async (kind: 'sqlite' | 'postgres') =>
  kind === 'postgres'
    ? createTestDatabase()
    : { url: `sqlite:${join(folder, 'fresh.sqlite')}`, drop: async () => undefined }

onEachDatabase((database) => {
  test('three processes that start together on an empty database all succeed', async () => {
    const { url, drop } = await newDatabase(database.kind)
    try {
      const children = await Promise.all(
        [1, 2, 3].map(async () => {
          const child = spawn(process.execPath, [fixture, url], { stdio: ['pipe', 'pipe', 'inherit'] })
          const ended = once(child, 'exit')
          await once(child.stdout, 'data')
          return { child, ended }
        }),
      )
      for (const { child } of children) child.stdin.write('go\n')
      for (const { ended } of children) assert.deepEqual(await ended, [0, null])
    } finally {
      await drop()
    }
  })

  test('a database that is newer than this version refuses with one line', async () => {
    await database.execute("insert into schema_migrations (version, name, applied_at) values (999, 'future', 1)")
    await assert.rejects(database.restart(), (error) => {
      assert.ok(isParleyError(error, 'conflict'))
      assert.match(
        error.message,
        /was set up by a newer version of Parley \(its schema is 999, this version knows \d+\)/,
      )
      return true
    })
    await database.execute('delete from schema_migrations where version = 999')
    database.storage = await database.open()
  })

  test('migrations are numbered without gaps, the same on both kinds', async () => {
    const own = await loadMigrations(database.kind)
    assert.deepEqual(
      own.map((migration) => migration.version),
      own.map((_, index) => index + 1),
    )
    const other = await loadMigrations(database.kind === 'sqlite' ? 'postgres' : 'sqlite')
    assert.deepEqual(
      own.map((migration) => migration.name),
      other.map((migration) => migration.name),
    )
    assert.deepEqual(pendingMigrations(own, own.length, 'x'), [])
    assert.equal((await database.execute('select * from schema_migrations')).length, own.length)
  })
})
