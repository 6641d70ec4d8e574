import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { agree, generateKeyPair } from '../crypto/curve.ts'
import { encryptGcm, hkdf } from '../crypto/symmetric.ts'
import { answerCompanionHello, normalizeLinkCode, openKeyBundle, unwrapEphemeral, wrapEphemeral } from './link-code.ts'

const phoneIdentity = generateKeyPair()
const companionIdentity = generateKeyPair()
const companionEphemeral = generateKeyPair()

/** A companion's `companion_finish`, from what the phone sent it; written from the protocol, not from the phone's code. */
async function finish(code: string, wrappedPrimary: Buffer, primaryIdentity: Buffer) {
  const shared = agree(companionEphemeral.private, await unwrapEphemeral(code, wrappedPrimary))
  const [random, salt, iv] = [randomBytes(32), randomBytes(32), randomBytes(12)]
  const key = hkdf(shared, 32, { salt, info: 'link_code_pairing_key_bundle_encryption_key' })
  const sealed = encryptGcm(key, iv, Buffer.concat([companionIdentity.public, primaryIdentity, random]))
  const identities = agree(companionIdentity.private, primaryIdentity)
  const advSecret = hkdf(Buffer.concat([shared, identities, random]), 32, { info: 'adv_secret' })
  return { bundle: Buffer.concat([salt, iv, sealed]), advSecret }
}

test('with the same code both ends arrive at the same ADV secret; with another, or other identities, at none', async () => {
  const hello = await answerCompanionHello('ABCD1234', await wrapEphemeral('ABCD1234', companionEphemeral.public))
  assert.deepEqual(hello.companionEphemeral, companionEphemeral.public)
  const { bundle, advSecret } = await finish('ABCD1234', hello.wrappedPrimaryEphemeral, phoneIdentity.public)
  const open = (overrides = {}) =>
    openKeyBundle({
      hello,
      identity: phoneIdentity,
      companionIdentity: companionIdentity.public,
      bundle,
      ...overrides,
    })
  assert.deepEqual(open(), advSecret)
  assert.equal(open({ companionIdentity: generateKeyPair().public }), undefined, 'another companion')
  assert.equal(open({ identity: generateKeyPair() }), undefined, 'another phone')
  assert.equal(open({ bundle: bundle.subarray(1) }), undefined, 'too short')

  const wrong = await answerCompanionHello('ABCD1235', await wrapEphemeral('ABCD1234', companionEphemeral.public))
  const late = await finish('ABCD1234', wrong.wrappedPrimaryEphemeral, phoneIdentity.public)
  assert.equal(open({ hello: wrong, bundle: late.bundle }), undefined, 'wrong code')
})

test('a wrapped key of another length is refused', async () => {
  await assert.rejects(answerCompanionHello('ABCD1234', randomBytes(79)), RangeError)
})

test('codes are taken as people type them', () => {
  assert.equal(normalizeLinkCode(' abcd-1234 '), 'ABCD1234')
  for (const text of ['', 'ABCD123', 'ABCD12345', 'ABCD_234', 'ÄBCD1234'])
    assert.equal(normalizeLinkCode(text), undefined)
})
