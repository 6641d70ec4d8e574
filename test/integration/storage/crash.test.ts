import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { onEachDatabase } from '../../support/postgres-and-sqlite.ts'

const fixture = join(import.meta.dirname, 'fixtures', 'commit-for-ever.ts')

/** Lets the child commit at least `count` stanzas, then kills it in the middle of the next ones. */
const killAfter = async (child: ChildProcess, count: number): Promise<Set<number>> => {
  const acknowledged = new Set<number>()
  const lines = createInterface({ input: child.stdout! })
  for await (const line of lines) {
    acknowledged.add(Number(line))
    if (acknowledged.size === count) child.kill('SIGKILL')
  }
  return acknowledged
}

onEachDatabase((database) => {
  test('SIGKILL in the middle of commits loses nothing acknowledged, keeps nothing half, and frees the lock', async () => {
    const deviceId = await database.addDevice()
    const seen = new Set<number>()
    for (let round = 0; round < 3; round++) {
      await database.storage[Symbol.asyncDispose]()
      const child = spawn(process.execPath, [fixture, database.uri, deviceId], { stdio: ['ignore', 'pipe', 'inherit'] })
      const ended = once(child, 'exit')
      for (const index of await killAfter(child, 50 + round * 37)) seen.add(index)
      assert.deepEqual(await ended, [null, 'SIGKILL'])

      database.storage = await database.open()
      const { storage } = database
      if (database.kind === 'sqlite')
        assert.deepEqual(await database.execute('pragma integrity_check'), [{ integrity_check: 'ok' }])
      const events = await storage.events.read(deviceId, 0, 100_000)
      assert.deepEqual(
        events.map((event) => event.sequence),
        events.map((_, index) => index + 1),
      )
      const stored = new Set(events.map((event) => event.payload.index as number))
      assert.equal(stored.size, events.length)
      for (const index of seen) {
        assert.ok(stored.has(index), `stanza ${index} was acknowledged`)
        assert.ok(await storage.signalKeys.journal(deviceId, String(index)), `key ${index} was acknowledged`)
      }
      // A unit is whole or not there: every journal row has its pre-key.
      const rows = await database.execute(
        `select count(*) as n from journal j where j.device_id = '${deviceId}' and not exists
           (select 1 from signal_keys k where k.device_id = j.device_id and k.type = 'pre-key' and k.id = j.hash)`,
      )
      assert.equal(Number(rows[0]?.n), 0)
    }
  })
})
