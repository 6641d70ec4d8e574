import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withKeyType } from '../crypto/curve.ts'
import { readIdentityKey } from './prekey-message.ts'
import { SignalEndpoint } from './signal-endpoint.ts'

test('the identity in a pkmsg of another implementation is read', async () => {
  const [ann, ben] = [new SignalEndpoint({ registrationId: 1 }), new SignalEndpoint({ registrationId: 2 })]
  const address = { user: '1', device: 0 }
  const preKey = ben.makePreKeys(1)[0]
  const { identity, signedPreKey } = ben
  await ann.startSession(address, { registrationId: 2, identityKey: identity.public, signedPreKey, preKey })
  const { body } = await ann.encrypt(address, Buffer.from('hello'))
  assert.deepEqual(readIdentityKey(body), withKeyType(ann.identity.public))
})

test('bytes that are no pkmsg have none', () => {
  for (const hex of [
    '',
    '33',
    '33ff',
    '331a',
    '331a21',
    '331a210011',
    '33080a',
    '331d00000000',
    `33${'ff'.repeat(20)}`,
  ]) {
    assert.equal(readIdentityKey(Buffer.from(hex, 'hex')), undefined, hex)
  }
})
