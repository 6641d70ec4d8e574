import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import BetterSqlite3 from 'better-sqlite3'
import pg from 'pg'
import type { Phone } from '../support/e2e/phone.ts'
import { type DatabaseKind, type Linked, Stage } from '../support/e2e/stage.ts'
import { until } from '../support/e2e/until.ts'
import { stopTestServer } from '../support/postgres.ts'

/** Holds what the gateway wants to commit, from outside. */
interface Hold {
  /** No event can be stored until it is let go; resolves when it holds. */
  take(): Promise<void>
  /** Whether the gateway waits for it. */
  isFelt(): Promise<boolean>
  letGo(): Promise<void>
  close(): Promise<void>
}

const holdSqlite = (uri: string): Hold => {
  const other = new BetterSqlite3(uri.slice('sqlite:'.length))
  return {
    take: async () => void other.exec('begin immediate'),
    // long enough for a notification, a question to the service, and its answer
    isFelt: () => setTimeout(1_000, true),
    letGo: async () => void other.exec('rollback'),
    close: async () => void other.close(),
  }
}

/** Keys can be written as ever, so that only the order of our own commits is between an event and its loss. */
const holdPostgres = async (uri: string): Promise<Hold> => {
  const [locker, watcher] = [new pg.Client(uri), new pg.Client(uri)]
  await Promise.all([locker.connect(), watcher.connect()])
  return {
    take: async () => void (await locker.query('begin; lock table events in access exclusive mode')),
    isFelt: async () => {
      const waiting = `select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`
      return ((await watcher.query(waiting)).rowCount ?? 0) > 0
    },
    letGo: async () => void (await locker.query('rollback')),
    close: async () => {
      await Promise.all([locker.end(), watcher.end()])
    },
  }
}

for (const database of ['sqlite', 'postgres'] as const satisfies readonly DatabaseKind[])
  describe(`what notifications tell is stored before they are acknowledged, ${database}`, () => {
    let stage: Stage
    let hold: Hold
    let ada: Linked
    let cleo: Phone

    before(async () => {
      stage = await Stage.open({ database })
      cleo = await stage.whatsapp.person('Cleo')
      await stage.stop()
      await stage.startProcess()
      ada = await stage.linked('Ada')
      await ada.device.send(cleo, 'hello')
      hold = database === 'sqlite' ? holdSqlite(stage.databaseUri) : await holdPostgres(stage.databaseUri)
      await until('nothing waits', async () => (await waiting()) === 0)
    })
    after(async () => {
      await hold?.close()
      await stage?.[Symbol.asyncDispose]()
      if (database === 'postgres') await stopTestServer()
    })

    const waiting = async () => (await ada.phone.companions()).find(({ jid }) => jid === ada.jid)!.queue_length
    const archive = (on: boolean) => ada.phone.call('POST', '/chat', { chat: cleo.number, action: 'archive', on })
    const told = (archived: boolean) =>
      ada.device.events('chat.archive').filter(({ data }) => data.archived === archived)

    test('a change of a chat: unacknowledged while its event waits, and not lost when the process dies then', async () => {
      await hold.take()
      try {
        await archive(true)
        await until('the gateway is at it', () => hold.isFelt())
        await setTimeout(300)
        assert.equal(await waiting(), 1, 'not acknowledged')
        await stage.kill()
      } finally {
        await hold.letGo()
      }
      assert.equal(await waiting(), 1, 'kept for the next connection')
      await stage.startProcess()
      await ada.device.event('chat.archive', { archived: true })
      await until('it is acknowledged', async () => (await waiting()) === 0)
      assert.equal(told(true).length, 1)
    })

    test('and when nobody dies it is told once, too', async () => {
      await hold.take()
      try {
        await archive(false)
        await until('the gateway is at it', () => hold.isFelt())
        assert.equal(await waiting(), 1, 'not acknowledged')
      } finally {
        await hold.letGo()
      }
      await ada.device.event('chat.archive', { archived: false })
      await until('it is acknowledged', async () => (await waiting()) === 0)
      // the same again, in order
      await archive(true)
      await until('told', () => told(true).length === 2)
      assert.deepEqual(
        ada.device.events('chat.archive').map(({ data }) => data.archived),
        [true, false, true],
      )
    })

    if (database === 'sqlite')
      test('a request to send again that breaks us comes again, and is answered when it no longer does', async () => {
        const change = (sql: string) => {
          const connection = new BetterSqlite3(stage.databaseUri.slice('sqlite:'.length), { timeout: 5_000 })
          connection.exec(sql)
          connection.close()
        }
        const failures = async () => {
          const { data } = await stage.admin.ok('GET', '/admin/stanza-failures')
          return data.failures.filter((one: { tag: string }) => one.tag === 'receipt')
        }
        // what was sent cannot be encrypted anew: its recipient's session is refused by the database
        await cleo.setOnline(false)
        await ada.device.send(cleo, 'please repeat')
        change(`create trigger broken before insert on signal_keys when new.type = 'session'
          begin select json('not even JSON'); end`)
        await stage.whatsapp.fault({ kind: 'tamper', target: 'enc', phone: cleo.number })
        await cleo.setOnline(true)
        const [failure] = await until('it is counted', async () => {
          const found = await failures()
          return found.length > 0 && found
        })
        assert.deepEqual([failure.attempts, failure.given_up], [1, false])
        change('drop trigger broken')
        await ada.device.ok('POST', '/devices/me/reconnect')
        assert.equal((await cleo.message('please repeat')).copies, 1)
        await until('it is acknowledged', async () => (await waiting()) === 0)
      })

    test('nothing that the service saw was wrong, but for what was asked for', async () => {
      await stage.whatsapp.assertNoProblems(({ kind }) => kind === 'undecryptable')
      stage.inbox.assertSchemas()
    })
  })
