import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pad, unpad } from './padding.ts'

test('what is padded grows by 1 to 16 bytes and comes back whole', () => {
  for (let length = 0; length < 200; length += 1) {
    const plaintext = Buffer.alloc(length, length)
    const padded = pad(plaintext)
    assert.ok(padded.length > length && padded.length <= length + 16)
    assert.deepEqual(Buffer.from(unpad(padded)!), plaintext)
  }
})

test('bad padding is told apart', () => {
  for (const hex of ['', '00', '61620011', '6102', '02', '616203ff03', '11'.repeat(17)]) {
    assert.equal(unpad(Buffer.from(hex, 'hex')), undefined, hex)
  }
})
