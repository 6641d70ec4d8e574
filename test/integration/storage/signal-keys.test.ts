import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isParleyError } from '../../../src/kernel/errors.ts'
import { newUuid } from '../../../src/kernel/ids.ts'
import { silentLogger } from '../../../src/kernel/logger.ts'
import { wrappingKeys } from '../../../src/storage/keyring.ts'
import { rewrapStorage } from '../../../src/storage/open.ts'
import { onEachDatabase } from '../../support/postgres-and-sqlite.ts'

const bytes = (text: string) => Buffer.from(text)
const textOf = (value: Uint8Array | undefined) => value && Buffer.from(value).toString()

onEachDatabase((database) => {
  test('keys are put, replaced and deleted together with credentials and journal, and survive a restart', async () => {
    const deviceId = newUuid()
    await database.storage.signalKeys.commit(deviceId, {
      writes: [
        { type: 'session', id: 'a.0', value: bytes('one') },
        { type: 'session', id: 'b.0', value: bytes('two') },
        { type: 'pre-key', id: '1', value: bytes('pre') },
        { type: 'session', id: 'a.0', value: bytes('newer') },
      ],
      credentials: bytes('creds'),
      journal: { hash: 'h', plaintext: bytes('plain') },
    })
    await database.storage.signalKeys.commit(deviceId, {
      writes: [
        { type: 'pre-key', id: '1', value: undefined },
        { type: 'session', id: 'b.0', value: new Uint8Array() },
      ],
      journal: { hash: 'h', plaintext: bytes('never replaces the first') },
    })
    await database.restart()
    const { signalKeys } = database.storage
    const found = await signalKeys.get(deviceId, 'session', ['a.0', 'b.0', 'c.0'])
    assert.deepEqual([...found].map(([id, value]) => [id, textOf(value)]).sort(), [
      ['a.0', 'newer'],
      ['b.0', ''],
    ])
    assert.equal((await signalKeys.get(deviceId, 'pre-key', ['1'])).size, 0)
    assert.equal((await signalKeys.get(newUuid(), 'session', ['a.0'])).size, 0)
    assert.equal((await signalKeys.get(deviceId, 'session', [])).size, 0)
    assert.equal(textOf(await signalKeys.credentials(deviceId)), 'creds')
    assert.equal(textOf(await signalKeys.journal(deviceId, 'h')), 'plain')
    assert.ok((await signalKeys.devicesWithCredentials()).includes(deviceId))

    await signalKeys.forget(deviceId)
    assert.equal((await signalKeys.get(deviceId, 'session', ['a.0'])).size, 0)
    assert.equal(await signalKeys.credentials(deviceId), undefined)
    assert.equal(await signalKeys.journal(deviceId, 'h'), undefined)
    assert.ok(!(await signalKeys.devicesWithCredentials()).includes(deviceId))
  })

  test('large records and many at once', async () => {
    const deviceId = newUuid()
    const { signalKeys } = database.storage
    const ids = Array.from({ length: 300 }, (_, index) => `${index}.0`)
    const writes = ids.map((id) => ({ type: 'session', id, value: Buffer.alloc(3000, id) }))
    await signalKeys.commit(deviceId, {
      writes: [...writes, { type: 'x', id: 'big', value: Buffer.alloc(500_000, 1) }],
    })
    const found = await signalKeys.get(deviceId, 'session', ids)
    assert.equal(found.size, 300)
    assert.deepEqual(Buffer.from(found.get('299.0')!), writes[299]!.value)
    assert.equal((await signalKeys.get(deviceId, 'x', ['big'])).get('big')?.length, 500_000)
  })

  test('nothing is readable in the files, and a value moved to another row does not open', async () => {
    const { signalKeys, devices } = database.storage
    const deviceId = await database.addDevice()
    await signalKeys.commit(deviceId, {
      writes: [
        // of a type that is read from the database every time
        { type: 'pre-key', id: 'a', value: bytes('sesame sesame') },
        { type: 'pre-key', id: 'b', value: bytes('other') },
      ],
      credentials: bytes('sesame credentials'),
      journal: { hash: 'h', plaintext: bytes('sesame journal') },
    })
    await devices.update(deviceId, { proxyUrl: 'http://sesame@host' })
    const stored = [
      ...(await database.execute('select value as sealed from signal_keys')),
      ...(await database.execute('select value as sealed from credentials')),
      ...(await database.execute('select plaintext as sealed from journal')),
      ...(await database.execute('select proxy_url as sealed from devices where proxy_url is not null')),
    ]
    assert.ok(stored.length >= 5)
    for (const { sealed } of stored) assert.equal(Buffer.from(sealed as Buffer).includes('sesame'), false)

    await database.execute(
      `update signal_keys set value = (select value from signal_keys where device_id = '${deviceId}' and id = 'b')
       where device_id = '${deviceId}' and id = 'a'`,
    )
    await assert.rejects(signalKeys.get(deviceId, 'pre-key', ['a']), (error) => isParleyError(error, 'data_damaged'))
    assert.equal(textOf((await signalKeys.get(deviceId, 'pre-key', ['b'])).get('b')), 'other')
  })

  test('another wrapping key stops the start and names its variable; the previous one is accepted and re-wrapped', async () => {
    const { storage } = database
    const deviceId = newUuid()
    await storage.signalKeys.commit(deviceId, { writes: [], credentials: bytes('creds') })
    await storage[Symbol.asyncDispose]()

    const wrong = wrappingKeys({ jwtSecretKey: 'another secret' })
    await assert.rejects(database.open({ secret: wrong }), (error) => {
      assert.ok(isParleyError(error, 'bad_request'))
      assert.match(error.message, /^JWT_SECRET_KEY does not open/)
      assert.equal(error.message.includes('\n'), false)
      return true
    })
    const hex = 'ab'.repeat(32)
    const rotated = wrappingKeys({
      jwtSecretKey: 'another secret',
      dataEncryptionKey: hex,
      dataEncryptionKeyPrevious: 'a secret of the tests',
    })
    await using first = await database.open({ secret: rotated })
    assert.equal(textOf(await first.signalKeys.credentials(deviceId)), 'creds')
    await first[Symbol.asyncDispose]()

    // Re-wrapped at that start: the old one is not needed any more, and does not open it any more.
    await using second = await database.open({
      secret: wrappingKeys({ jwtSecretKey: 'third', dataEncryptionKey: hex }),
    })
    assert.equal(textOf(await second.signalKeys.credentials(deviceId)), 'creds')
    await second[Symbol.asyncDispose]()
    await assert.rejects(database.open(), /JWT_SECRET_KEY/)
    await assert.rejects(
      database.open({ secret: wrappingKeys({ jwtSecretKey: 'x', dataEncryptionKey: 'cd'.repeat(32) }) }),
      /^ParleyError: DATA_ENCRYPTION_KEY does not open/,
    )
    database.storage = await database.open({
      secret: wrappingKeys({ jwtSecretKey: 'a secret of the tests', dataEncryptionKeyPrevious: hex }),
    })
  })

  test('a rotation beside the running gateway disturbs nothing and holds from the next start', async () => {
    const { storage } = database
    const deviceId = newUuid()
    await storage.signalKeys.commit(deviceId, { writes: [], credentials: bytes('before') })
    const secret = wrappingKeys({ jwtSecretKey: 'rotated', dataEncryptionKeyPrevious: 'a secret of the tests' })
    const [done, ...others] = await rewrapStorage({
      uri: database.uri,
      keysUri: database.uri,
      secret,
      clock: database.clock,
      logger: silentLogger,
      fresh: true,
    })
    assert.deepEqual([done?.rewrapped, done?.newest, others.length], [1, 2, 0])
    await storage.signalKeys.commit(deviceId, {
      writes: [{ type: 'session', id: 'a', value: bytes('during') }],
    })
    await database.restart({ secret: wrappingKeys({ jwtSecretKey: 'rotated' }) })
    const { signalKeys } = database.storage
    assert.equal(textOf(await signalKeys.credentials(deviceId)), 'before')
    assert.equal(textOf((await signalKeys.get(deviceId, 'session', ['a'])).get('a')), 'during')
    await database.restart({
      secret: wrappingKeys({ jwtSecretKey: 'a secret of the tests', dataEncryptionKeyPrevious: 'rotated' }),
    })
  })

  test('writes stop when the epoch is no longer ours', async () => {
    const deviceId = newUuid()
    const { signalKeys } = database.storage
    await signalKeys.commit(deviceId, { writes: [{ type: 'session', id: 'a', value: bytes('ours') }] })
    await database.execute('update owner set epoch = epoch + 1')
    const isConflict = (error: unknown) => isParleyError(error, 'conflict')
    const write = { writes: [{ type: 'session', id: 'a', value: bytes('stale') }], credentials: bytes('stale') }
    await assert.rejects(signalKeys.commit(deviceId, write), isConflict)
    assert.equal(textOf((await signalKeys.get(deviceId, 'session', ['a'])).get('a')), 'ours')
    assert.equal(await signalKeys.credentials(deviceId), undefined)
    const stolen = database.storage.ownerEpoch
    await database.restart()
    assert.equal(database.storage.ownerEpoch, stolen + 2)

    await using tool = await database.open({ own: false })
    assert.equal(textOf((await tool.signalKeys.get(deviceId, 'session', ['a'])).get('a')), 'ours')
    await assert.rejects(tool.signalKeys.commit(deviceId, write), isConflict)
  })

  test('a second owner is refused in one line without credentials, and may come when the first is gone', async () => {
    await assert.rejects(database.open(), (error) => {
      assert.ok(isParleyError(error, 'conflict'))
      assert.match(error.message, /^another Parley process is using the database .+parley/)
      assert.equal(/parley@|\n/.test(error.message), false)
      return true
    })
    const epoch = database.storage.ownerEpoch
    await database.restart()
    assert.equal(database.storage.ownerEpoch, epoch + 1)
  })
})
