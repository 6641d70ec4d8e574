import assert from 'node:assert/strict'
import { createSecretKey, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { isParleyError } from '../kernel/errors.ts'
import { openBytes, rowIdentity, SEAL_OVERHEAD, sealBytes, sealedWith } from './seal.ts'

const key = { id: 0xfffffffe, key: createSecretKey(randomBytes(32)) }
const identity = rowIdentity('signal_keys', 'device', 'session', 'a|b')
const isDamaged = (error: unknown) => isParleyError(error, 'data_damaged')

test('what is sealed opens again, whatever it is, and says which key sealed it', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5000 }), (plain) => {
      const sealed = sealBytes(key, plain, identity)
      assert.equal(sealed.length, plain.length + SEAL_OVERHEAD)
      assert.equal(sealed[0], 1)
      assert.equal(sealedWith(sealed), key.id)
      assert.deepEqual(new Uint8Array(openBytes(key, sealed, identity)), plain)
    }),
  )
})

test('any changed byte, another row and another key are refused', () => {
  const sealed = sealBytes(key, Buffer.from('secret'), identity)
  for (let at = 5; at < sealed.length; at++) {
    const altered = Buffer.from(sealed)
    altered[at]! ^= 1
    assert.throws(() => openBytes(key, altered, identity), isDamaged)
  }
  assert.throws(() => openBytes(key, sealed, rowIdentity('signal_keys', 'device', 'session', 'b')), isDamaged)
  assert.throws(() => openBytes({ id: key.id, key: createSecretKey(randomBytes(32)) }, sealed, identity), isDamaged)
  assert.throws(() => sealedWith(sealed.subarray(0, SEAL_OVERHEAD - 1)), isDamaged)
  assert.throws(() => sealedWith(Buffer.from([2, ...sealed.subarray(1)])), isDamaged)
})

test('no two seals share an initialisation vector', () => {
  const seen = new Set<string>()
  for (let count = 0; count < 2000; count++)
    seen.add(sealBytes(key, new Uint8Array(), identity).subarray(5, 17).toString('hex'))
  assert.equal(seen.size, 2000)
})
