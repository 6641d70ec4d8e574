import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { parseLinkingQr } from './qr.ts'

const [noise, identity, secret] = [randomBytes(32), randomBytes(32), randomBytes(32)]
const keys = [noise, identity, secret].map((key) => key.toString('base64')).join(',')

test('both forms of a linking code are read: with the link in front, and without', () => {
  const expected = { ref: '2@abc', noiseKey: noise, identityKey: identity, advSecret: secret }
  assert.deepEqual(parseLinkingQr(`2@abc,${keys}`), expected)
  assert.deepEqual(parseLinkingQr(`  https://wa.me/settings/linked_devices#2@abc,${keys},1\n`), expected)
  assert.deepEqual(parseLinkingQr(`2@a,b,${keys},9`)?.ref, '2@a,b')
})

test('anything else is refused', () => {
  for (const text of [
    '',
    'hello',
    keys,
    `,${keys}`,
    `ref,${keys.slice(4)}`,
    `ref,${keys.replace(/.$/, '')}x`,
    '#,,,,',
  ]) {
    assert.equal(parseLinkingQr(text), undefined, text)
  }
})
