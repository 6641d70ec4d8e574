import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../kernel/clock.ts'
import { isParleyError } from '../kernel/errors.ts'
import { Keyring, rewrapDataKeys, wrappingKeys } from './keyring.ts'
import { rowIdentity } from './seal.ts'
import { SqliteDatabase } from './sqlite/database.ts'
import { migrateSqlite } from './sqlite/migrate.ts'

const bytes = Buffer.alloc(32, 0xfb)

test('a wrapping key is taken as hex and as base64, either alphabet; anything else is refused by name', () => {
  for (const text of [
    bytes.toString('hex'),
    bytes.toString('base64'),
    bytes.toString('base64url'),
    ` ${bytes.toString('hex').toUpperCase()}\n`,
  ]) {
    const { key } = wrappingKeys({ jwtSecretKey: 'x', dataEncryptionKey: text })
    assert.deepEqual(Buffer.from(key.key), bytes)
    assert.equal(key.variable, 'DATA_ENCRYPTION_KEY')
  }
  for (const text of ['short', 'zz'.repeat(32), bytes.subarray(1).toString('base64'), 'a'.repeat(63)])
    assert.throws(
      () => wrappingKeys({ jwtSecretKey: 'x', dataEncryptionKey: text }),
      (error) => isParleyError(error, 'bad_request') && error.field === 'DATA_ENCRYPTION_KEY',
    )
})

test('without one, the key is derived from JWT_SECRET_KEY', () => {
  const one = wrappingKeys({ jwtSecretKey: 'one' })
  assert.equal(one.key.variable, 'JWT_SECRET_KEY')
  assert.equal(one.key.key.length, 32)
  assert.notDeepEqual(one.key.key, wrappingKeys({ jwtSecretKey: 'two' }).key.key)
})

test('re-wrapping needs the old key once; a fresh data key seals from then on, old rows stay readable', async () => {
  await using database = new SqliteDatabase(':memory:')
  await migrateSqlite(database, systemClock)
  const identity = rowIdentity('t', 'd', 'x', '1')
  const before = wrappingKeys({ jwtSecretKey: 'before' })
  const after = wrappingKeys({ jwtSecretKey: 'after', dataEncryptionKeyPrevious: 'before' })
  const sealed = (await Keyring.load(database, before, systemClock)).sealText('old', identity)

  assert.deepEqual(await rewrapDataKeys(database, after, systemClock, true), { rewrapped: 1, newest: 2 })
  assert.deepEqual(await rewrapDataKeys(database, after, systemClock, false), { rewrapped: 0, newest: 2 })
  await assert.rejects(Keyring.load(database, before, systemClock), /JWT_SECRET_KEY/)
  const keyring = await Keyring.load(database, wrappingKeys({ jwtSecretKey: 'after' }), systemClock)
  assert.equal(keyring.openText(sealed, identity), 'old')
  const newer = keyring.sealText('new', identity)
  assert.deepEqual([sealed.readUInt32BE(1), newer.readUInt32BE(1)], [1, 2])
  assert.equal(keyring.openText(newer, identity), 'new')
})
