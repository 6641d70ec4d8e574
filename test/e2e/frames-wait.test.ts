import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import pg from 'pg'
import type { Phone } from '../support/e2e/phone.ts'
import { type Linked, Stage } from '../support/e2e/stage.ts'
import { until } from '../support/e2e/until.ts'
import { stopTestServer } from '../support/postgres.ts'

const MESSAGES = 5

describe('no ciphertext leaves before the ratchet that made it is stored (ADR 012)', () => {
  let stage: Stage
  let ada: Linked
  let friends: readonly Phone[]
  let locker: pg.Client
  let watcher: pg.Client

  before(async () => {
    stage = await Stage.open({ database: 'postgres' })
    ada = await stage.linked('Ada')
    friends = await Promise.all(Array.from({ length: MESSAGES }, (_, i) => stage.whatsapp.person(`Friend ${i}`)))
    for (const friend of friends) await ada.device.send(friend, 'hello')
    for (const friend of friends) await friend.message('hello')
    locker = new pg.Client(stage.databaseUri)
    watcher = new pg.Client(stage.databaseUri)
    await Promise.all([locker.connect(), watcher.connect()])
  })
  after(async () => {
    await Promise.all([locker?.end(), watcher?.end()])
    await stage?.[Symbol.asyncDispose]()
    await stopTestServer()
  })

  const blocked = async (): Promise<number> => {
    const { rowCount } = await watcher.query(
      `select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
    )
    return rowCount ?? 0
  }

  test('keys that cannot be written hold back what was made with them; then all of it leaves', async () => {
    const { messages } = await stage.whatsapp.metrics()
    // keys can be read, everything else can be written
    await locker.query('begin; lock table signal_keys in exclusive mode')
    const sent = friends.map((friend, i) => ada.device.send(friend, `text ${i}`))
    await until('a commit of keys waits', async () => (await blocked()) > 0)
    for (const friend of friends) assert.equal((await friend.messages()).length, 1)
    assert.equal((await stage.whatsapp.metrics()).messages, messages)
    await locker.query('rollback')
    for (const [i, friend] of friends.entries()) {
      const { message_id: id } = await sent[i]!
      const { copies, message_id: seen } = await friend.message(`text ${i}`)
      assert.deepEqual([seen, copies], [id, 1])
    }
    assert.equal((await stage.whatsapp.metrics()).messages, messages + MESSAGES)
    await stage.whatsapp.assertNoProblems()
  })
})
