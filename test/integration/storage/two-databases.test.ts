import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { isParleyError } from '../../../src/kernel/errors.ts'
import { onEachDatabase } from '../../support/postgres-and-sqlite.ts'

onEachDatabase((database) => {
  test('with a keys database of its own, keys live there and go with their device', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'parley-keys-'))
    try {
      const keysUri = `file:${join(folder, 'keys.sqlite')}?cache=shared`
      await database.restart({ keysUri })
      const { storage } = database
      const deviceId = await database.addDevice()
      await storage.signalKeys.commit(deviceId, {
        writes: [{ type: 'session', id: 'a', value: Buffer.from('x') }],
        credentials: Buffer.from('creds'),
      })
      const count = async (table: string) =>
        Number((await database.execute(`select count(*) as n from ${table}`))[0]?.n)
      assert.equal(await count('credentials'), 0)
      assert.equal(await count('signal_keys'), 0)
      await storage.ping()
      // The keys database is owned too.
      await assert.rejects(database.open({ uri: `sqlite:${join(folder, 'b.sqlite')}`, keysUri }), (error) =>
        isParleyError(error, 'conflict'),
      )
      await database.restart({ keysUri })
      assert.ok(await database.storage.signalKeys.credentials(deviceId))
      await database.storage.devices.delete(deviceId)
      assert.equal(await database.storage.signalKeys.credentials(deviceId), undefined)
      const other = await database.addDevice()
      await database.storage.signalKeys.commit(other, { writes: [], credentials: Buffer.from('creds') })
      const device = await database.storage.devices.get(other)
      await database.storage.apiKeys.delete(device!.apiKeyId)
      assert.deepEqual(await database.storage.signalKeys.devicesWithCredentials(), [])
    } finally {
      await database.restart()
      rmSync(folder, { recursive: true, force: true })
    }
  })

  test('naming the same database twice is one database', async () => {
    await database.restart({ keysUri: database.uri })
    const deviceId = await database.addDevice()
    await database.storage.signalKeys.commit(deviceId, { writes: [], credentials: Buffer.from('creds') })
    assert.equal((await database.execute('select 1 from credentials')).length, 1)
  })
})
