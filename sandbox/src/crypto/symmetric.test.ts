import assert from 'node:assert/strict'
import { pbkdf2Sync, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { hkdf as foreignHkdf } from 'whatsapp-rust-bridge'
import {
  applyCtr,
  decryptCbc,
  decryptGcm,
  encryptCbc,
  encryptGcm,
  equalBytes,
  hkdf,
  hmacSha256,
  sha256,
  stretchLinkCode,
} from './symmetric.ts'

test('HKDF gives the known answer of RFC 5869, A.1, and agrees with another implementation', () => {
  const input = Buffer.alloc(22, 0x0b)
  const salt = Buffer.from('000102030405060708090a0b0c', 'hex')
  const info = Buffer.from('f0f1f2f3f4f5f6f7f8f9', 'hex')
  const answer = '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865'
  assert.equal(hkdf(input, 42, { salt, info }).toString('hex'), answer)
  assert.deepEqual(hkdf(input, 64), Buffer.from(foreignHkdf(input, 64, {})))
  const named = { salt: Buffer.from(salt), info: 'adv_secret' }
  assert.deepEqual(hkdf(input, 32, named), Buffer.from(foreignHkdf(input, 32, named)))
})

test('what GCM seals, it opens, and only unchanged and with the same associated data', () => {
  const [key, iv] = [randomBytes(32), randomBytes(12)]
  const sealed = encryptGcm(key, iv, Buffer.from('hello'), Buffer.from('aad'))
  assert.equal(decryptGcm(key, iv, sealed, Buffer.from('aad')).toString(), 'hello')
  assert.throws(() => decryptGcm(key, iv, sealed, Buffer.from('other')))
  sealed[0]! ^= 1
  assert.throws(() => decryptGcm(key, iv, sealed, Buffer.from('aad')))
  assert.throws(() => decryptGcm(key, iv, Buffer.alloc(15)), /at least 16 bytes/)
})

test('CBC and CTR are undone by their reverse', () => {
  const [key, iv] = [randomBytes(32), randomBytes(16)]
  assert.equal(decryptCbc(key, iv, encryptCbc(key, iv, Buffer.from('hello'))).toString(), 'hello')
  assert.equal(applyCtr(key, iv, applyCtr(key, iv, Buffer.from('hello'))).toString(), 'hello')
})

test('a link code is stretched with 131072 rounds', async () => {
  const salt = randomBytes(32)
  assert.deepEqual(await stretchLinkCode('ABCD1234', salt), pbkdf2Sync('ABCD1234', salt, 131072, 32, 'sha256'))
})

test('hashes of several parts are hashes of their concatenation', () => {
  const [a, b] = [Buffer.from('a'), Buffer.from('b')]
  assert.deepEqual(sha256(a, b), sha256(Buffer.from('ab')))
  assert.deepEqual(hmacSha256(a, a, b), hmacSha256(a, Buffer.from('ab')))
  assert.ok(equalBytes(a, Buffer.from('a')))
  assert.ok(!equalBytes(a, b) && !equalBytes(a, Buffer.from('ab')))
})
