import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NoiseClient } from '../../test/support/noise-client.ts'
import { generateKeyPair } from '../crypto/curve.ts'
import { deriveNoiseIdentity } from './certificate-chain.ts'
import { type Handshaken, NoiseServer } from './noise-server.ts'

const identity = deriveNoiseIdentity('test', Date.now())
const payload = Buffer.from('a client payload')

function shake(options: { serverStatic?: Uint8Array; forged?: boolean } = {}) {
  const noiseKey = generateKeyPair()
  const known = options.serverStatic === undefined ? {} : { serverStatic: options.serverStatic }
  const client = new NoiseClient({ root: identity.root.public, noiseKey, payload, ...known })
  const certificate = options.forged === true ? identity.forgedCertificate : identity.certificate
  const server = new NoiseServer({ static: identity.static, certificate })
  const { reply, done } = server.receiveHello(client.hello())
  const finish = client.answer(reply)
  const handshaken: Handshaken = done ?? server.receiveFinish(finish!)
  return { client, server, handshaken, noiseKey }
}

for (const [name, serverStatic] of [
  ['XX', undefined],
  ['IK', identity.static.public],
  ['XXfallback', generateKeyPair().public],
] as const) {
  test(`${name}: both ends agree on each other's keys, the payload and the transport`, () => {
    const { client, handshaken, noiseKey } = shake(serverStatic === undefined ? {} : { serverStatic })
    assert.equal(handshaken.pattern, name)
    assert.equal(client.pattern, name)
    assert.deepEqual(handshaken.clientStatic, noiseKey.public)
    assert.deepEqual(handshaken.payload, payload)
    assert.deepEqual(client.serverStatic, identity.static.public)
    for (const text of ['one', 'two']) {
      assert.equal(handshaken.transport.decrypt(client.seal(Buffer.from(text))).toString(), text)
      assert.equal(client.open(handshaken.transport.encrypt(Buffer.from(text))).toString(), text)
    }
  })
}

test('a forged certificate is noticed by a client that looks', () => {
  assert.throws(() => shake({ forged: true }), /intermediate certificate/)
})

test('the same seed gives the same root and static key, another seed another', () => {
  assert.deepEqual(deriveNoiseIdentity('test', 0).root.public, identity.root.public)
  assert.deepEqual(deriveNoiseIdentity('test', 0).static.public, identity.static.public)
  assert.notDeepEqual(deriveNoiseIdentity('other', 0).root.public, identity.root.public)
})

test('malformed or tampered handshakes are refused', () => {
  const server = () => new NoiseServer({ static: identity.static, certificate: identity.certificate })
  assert.throws(() => server().receiveHello(Buffer.from('nonsense')))
  assert.throws(() => server().receiveHello(Buffer.alloc(0)), /ephemeral/)
  const client = new NoiseClient({ root: identity.root.public, noiseKey: generateKeyPair(), payload })
  const shaking = server()
  const finish = client.answer(shaking.receiveHello(client.hello()).reply)!
  finish[finish.length - 1]! ^= 1
  assert.throws(() => shaking.receiveFinish(finish), /does not decrypt/)
})

test('a transport frame that was changed or repeated does not decrypt', () => {
  const { client, handshaken } = shake()
  const sealed = client.seal(Buffer.from('hello'))
  handshaken.transport.decrypt(sealed)
  assert.throws(() => handshaken.transport.decrypt(sealed))
  assert.throws(() => handshaken.transport.decrypt(Buffer.alloc(3)), /at least 16/)
})
