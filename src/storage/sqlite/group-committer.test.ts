import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import BetterSqlite3 from 'better-sqlite3'
import { isParleyError } from '../../kernel/errors.ts'
import { query, sql } from '../database.ts'
import { SqliteDatabase } from './database.ts'

const folder = mkdtempSync(join(tmpdir(), 'parley-group-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const insert = sql('insert', 'insert into t (id, value) values (?, ?)')
const count = sql('count', 'select count(*) as n from t')

const open = (name: string) => {
  const database = new SqliteDatabase(join(folder, `${name}.sqlite`))
  database.connection.exec('create table t (id integer primary key, value blob) strict')
  const put = (id: number, size = 1) => database.write(() => query(insert, id, Buffer.alloc(size)))
  const stored = async () => (await database.read<{ n: number }>(count))[0]?.n
  return { database, put, stored }
}

test('units that arrive together share one transaction; a failing one is undone alone', async () => {
  await using of = open('shared').database
  const { connection } = of
  let commits = 0
  const observer = new BetterSqlite3(of.path)
  const version = () => observer.pragma('data_version', { simple: true })
  const seen = new Set([version()])
  const results = await Promise.allSettled(
    [1, 2, 2, 3].map(async (id) => {
      await of.write(() => query(insert, id, Buffer.alloc(1)))
      commits += 1
      seen.add(version())
      return id
    }),
  )
  assert.deepEqual(
    results.map((one) => (one.status === 'rejected' ? one.reason.code : one.value)),
    [1, 2, 'conflict', 3],
  )
  assert.equal(commits, 3)
  assert.equal(seen.size, 2, 'another connection saw one change')
  assert.equal(observer.prepare('select count(*) from t').pluck().get(), 3)
  assert.equal(connection.inTransaction, false)
  observer.close()
})

test('a promise resolves only when another connection can see what it wrote', async () => {
  const { database, put } = open('visible')
  await using _ = database
  const observer = new BetterSqlite3(database.path)
  const seen = observer.prepare('select count(*) from t where id = ?').pluck()
  for (let id = 0; id < 50; id++) {
    await put(id)
    assert.equal(seen.get(id), 1)
  }
  observer.close()
})

test('an idle write is committed in the next turn of the event loop', async () => {
  const { database, put } = open('idle')
  await using _ = database
  let done = false
  void put(1).then(() => {
    done = true
  })
  await new Promise(setImmediate)
  await Promise.resolve()
  assert.equal(done, true)
})

test('when the disk is full the whole group fails as unavailable, nothing is kept, and later writes work', async () => {
  const { database, put, stored } = open('full')
  await using _ = database
  await put(1)
  const pages = database.connection.pragma('page_count', { simple: true }) as number
  database.connection.pragma(`max_page_count = ${pages + 4}`)
  const results = await Promise.allSettled([put(2), put(3, 100_000), put(4)])
  for (const result of results)
    assert.ok(result.status === 'rejected' && isParleyError(result.reason, 'storage_unavailable'))
  assert.equal(await stored(), 1)
  database.connection.pragma('max_page_count = 1000000')
  await put(5, 100_000)
  assert.equal(await stored(), 2)
})

test('a file that another process has locked is unavailable, and works again afterwards', async () => {
  const { database, put, stored } = open('locked')
  await using _ = database
  database.connection.pragma('busy_timeout = 50')
  const other = new BetterSqlite3(database.path)
  other.exec('begin immediate')
  await assert.rejects(put(1), (error) => isParleyError(error, 'storage_unavailable') && error.retryAfterSeconds === 5)
  other.exec('rollback')
  other.close()
  await put(1)
  assert.equal(await stored(), 1)
})
