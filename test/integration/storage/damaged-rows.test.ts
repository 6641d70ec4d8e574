import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isParleyError } from '../../../src/kernel/errors.ts'
import { onEachDatabase } from '../../support/postgres-and-sqlite.ts'

onEachDatabase((database) => {
  const damaged = database.kind === 'sqlite' ? "x'0102030405'" : "'\\x0102030405'::bytea"
  const isDamaged = (error: unknown) => isParleyError(error, 'data_damaged')

  test('damaged credentials and keys are refused for their device alone', async () => {
    const [one, two] = [await database.addDevice(), await database.addDevice()]
    const { signalKeys } = database.storage
    // of a type that is not kept in memory: what a cache holds is right whatever happens to the row
    for (const deviceId of [one, two])
      await signalKeys.commit(deviceId, {
        writes: [{ type: 'pre-key', id: 'a', value: Buffer.from('s') }],
        credentials: Buffer.from('c'),
        journal: { hash: 'h', plaintext: Buffer.from('p') },
      })
    for (const [table, column] of [
      ['credentials', 'value'],
      ['signal_keys', 'value'],
      ['journal', 'plaintext'],
    ])
      await database.execute(`update ${table} set ${column} = ${damaged} where device_id = '${one}'`)
    await assert.rejects(signalKeys.credentials(one), isDamaged)
    await assert.rejects(signalKeys.get(one, 'pre-key', ['a']), isDamaged)
    await assert.rejects(signalKeys.journal(one, 'h'), isDamaged)
    assert.equal(Buffer.from((await signalKeys.credentials(two))!).toString(), 'c')
    assert.equal((await signalKeys.get(two, 'pre-key', ['a'])).size, 1)
    assert.ok((await signalKeys.devicesWithCredentials()).includes(two))
    // linking anew replaces what is damaged
    await signalKeys.forget(one)
    await signalKeys.commit(one, { writes: [], credentials: Buffer.from('new') })
    assert.equal(Buffer.from((await signalKeys.credentials(one))!).toString(), 'new')
  })

  test('keys with ids of any length are kept apart and found again', async () => {
    const deviceId = await database.addDevice()
    const { signalKeys } = database.storage
    const ids = [
      'a'.repeat(512),
      'a'.repeat(513),
      `${'a'.repeat(100_000)}b`,
      `${'a'.repeat(100_000)}c`,
      'ü'.repeat(300),
    ]
    const bytesOf = (id: string) => Buffer.from(`${id.length} ${id.at(-1)}`)
    await signalKeys.commit(deviceId, { writes: ids.map((id) => ({ type: 'sender-key', id, value: bytesOf(id) })) })
    const found = await signalKeys.get(deviceId, 'sender-key', [...ids, 'none'])
    assert.deepEqual([...found.keys()].toSorted(), ids.toSorted())
    for (const id of ids) assert.deepEqual(Buffer.from(found.get(id)!), bytesOf(id))
    await signalKeys.commit(deviceId, { writes: [{ type: 'sender-key', id: ids[2]!, value: undefined }] })
    assert.equal((await signalKeys.get(deviceId, 'sender-key', ids)).size, ids.length - 1)
  })

  test('a damaged proxy keeps its device from going out by another way, and nobody else', async () => {
    const [one, two] = [await database.addDevice(), await database.addDevice()]
    const { devices } = database.storage
    for (const deviceId of [one, two]) await devices.update(deviceId, { proxyUrl: 'http://proxy:8080' })
    await database.execute(`update devices set proxy_url = ${damaged} where device_id = '${one}'`)
    const rows = await devices.list()
    const proxyOf = (deviceId: string) => rows.find((row) => row.deviceId === deviceId)?.proxyUrl
    assert.deepEqual([proxyOf(one), proxyOf(two)], ['damaged:', 'http://proxy:8080'])
    assert.equal((await devices.update(one, { proxyUrl: 'http://new:8080' }))?.proxyUrl, 'http://new:8080')
  })

  test('a damaged webhook is inactive until it gets a new secret, and the others go on', async () => {
    const deviceId = await database.addDevice()
    const { webhooks } = database.storage
    const make = async () => {
      const made = await webhooks.create(
        { deviceId, url: 'https://example.com/', events: [], active: true, secret: 's', headers: { a: 'b' } },
        5,
        1,
      )
      assert.ok(made !== 'limit_reached')
      return made.id
    }
    const [one, two] = [await make(), await make()]
    await database.execute(`update webhooks set secret = ${damaged} where id = ${one}`)
    const rows = await webhooks.listAll()
    const find = (id: number) => rows.find((row) => row.id === id)
    assert.deepEqual([find(one)?.active, find(one)?.secret], [false, ''])
    assert.deepEqual([find(two)?.active, find(two)?.secret], [true, 's'])
    const mended = await webhooks.update(deviceId, one, { secret: 'new', headers: {} }, 2)
    assert.deepEqual([mended?.active, mended?.secret], [true, 'new'])
  })
})
