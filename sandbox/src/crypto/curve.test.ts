import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import {
  calculateAgreement,
  calculateSignature,
  generateKeyPair as generateForeignPair,
  verifySignature,
} from 'whatsapp-rust-bridge'
import { agree, derivePublicKey, generateKeyPair, sign, stripKeyType, verify, withKeyType } from './curve.ts'

test('X25519 gives the known answer of RFC 7748, 5.2 (one iteration)', () => {
  const nine = Buffer.alloc(32)
  nine[0] = 9
  const answer = '422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079'
  assert.equal(agree(nine, nine).toString('hex'), answer)
  assert.equal(derivePublicKey(nine).toString('hex'), answer)
})

test('a seed always gives the same pair, and its public key fits its private key', () => {
  const seed = Buffer.alloc(32, 7)
  const pair = generateKeyPair(seed)
  assert.deepEqual(generateKeyPair(seed), pair)
  assert.deepEqual(derivePublicKey(pair.private), pair.public)
  assert.notDeepEqual(generateKeyPair().public, generateKeyPair().public)
})

test('agreement is the same from both ends and from another implementation', () => {
  const mine = generateKeyPair()
  const foreign = generateForeignPair()
  const secret = agree(mine.private, foreign.pubKey)
  assert.deepEqual(secret, Buffer.from(calculateAgreement(foreign.pubKey, mine.private)))
  assert.deepEqual(secret, Buffer.from(calculateAgreement(withKeyType(mine.public), foreign.privKey)))
})

test('agreement with the all-zero point is refused', () => {
  assert.throws(() => agree(generateKeyPair().private, Buffer.alloc(32)))
})

test('our signatures are accepted here and by another implementation; no tampered one is, by either', () => {
  for (let round = 0; round < 60; round += 1) {
    const pair = generateKeyPair()
    const message = randomBytes(round)
    const signature = sign(pair, message)
    assert.ok(verify(pair.public, message, signature))
    assert.ok(verifySignature(withKeyType(pair.public), message, signature))
    const forged = flipBit(signature, round * 8 + (round % 8))
    assert.ok(!verify(pair.public, message, forged), `bit of byte ${round} flipped`)
    assert.ok(!verify(pair.public, Buffer.concat([message, Buffer.of(0)]), signature))
    assert.ok(!verify(generateKeyPair().public, message, signature))
  }
})

test('foreign signatures are accepted, and none of their 512 bits may change', () => {
  const pair = generateForeignPair()
  const message = randomBytes(40)
  for (let round = 0; round < 40; round += 1) {
    const signature = calculateSignature(pair.privKey, message)
    assert.ok(verify(pair.pubKey, message, signature))
    assert.ok(verify(stripKeyType(pair.pubKey), message, signature))
  }
  const signature = Buffer.from(calculateSignature(pair.privKey, message))
  for (let bit = 0; bit < 512; bit += 1) assert.ok(!verify(pair.pubKey, message, flipBit(signature, bit)), `bit ${bit}`)
})

test('malformed keys and signatures are simply invalid', () => {
  const pair = generateKeyPair()
  const signature = sign(pair, Buffer.from('x'))
  assert.ok(!verify(pair.public, Buffer.from('x'), signature.subarray(1)))
  assert.ok(!verify(pair.public.subarray(1), Buffer.from('x'), signature))
  assert.ok(!verify(Buffer.concat([Buffer.of(6), pair.public]), Buffer.from('x'), signature))
  assert.ok(!verify(Buffer.from(`ec${'ff'.repeat(30)}7f`, 'hex'), Buffer.from('x'), signature), 'u = -1')
  assert.throws(() => stripKeyType(Buffer.alloc(31)), RangeError)
})

function flipBit(bytes: Buffer, bit: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[bit >> 3]! ^= 1 << (bit & 7)
  return copy
}
