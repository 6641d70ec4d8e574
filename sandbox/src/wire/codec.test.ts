import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deflateSync } from 'node:zlib'
import { decodeStanza, encodeStanza } from './codec.ts'
import { bytesOf, describe, node, textOf, uintBytes, uintOf } from './node.ts'

const stanza = node('iq', { id: '12.34-5', type: 'set', to: '@s.whatsapp.net', from: '123:4@lid' }, [
  node('registration', {}, uintBytes(9_000, 4)),
  node('text', {}, Buffer.from('12345')),
])

test('a stanza is decoded as it was encoded, deflated or not', () => {
  const plain = encodeStanza(stanza)
  assert.deepEqual(decodeStanza(plain), stanza)
  const deflated = Buffer.concat([Buffer.of(2), deflateSync(plain.subarray(1))])
  assert.deepEqual(decodeStanza(deflated), stanza)
})

test('malformed stanzas are refused', () => {
  const plain = encodeStanza(stanza)
  assert.throws(() => decodeStanza(Buffer.of(0)), /empty/)
  assert.throws(() => decodeStanza(plain.subarray(0, plain.length - 2)))
  assert.throws(() => decodeStanza(Buffer.concat([plain, Buffer.of(1)])), /after the stanza/)
  assert.throws(() => decodeStanza(Buffer.concat([Buffer.of(2), Buffer.from('no zlib')])))
})

test('content is read the same whether it came as text or as bytes', () => {
  assert.equal(textOf(node('a', {}, 'text')), 'text')
  assert.deepEqual(bytesOf(node('a', {}, 'text')), Buffer.from('text'))
  assert.equal(bytesOf(node('a', {}, [])), undefined)
  assert.equal(uintOf(node('a', {}, uintBytes(513, 3))), 513)
  assert.equal(uintOf(node('a', {}, Buffer.alloc(5))), undefined)
  assert.match(describe(stanza), /<registration>\[4 bytes\]<\/registration>/)
})
