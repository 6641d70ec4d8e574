import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { proto } from 'baileys/WAProto/index.js'
import { agree, generateKeyPair } from '../crypto/curve.ts'
import { encryptGcm, hkdf, hmacSha256, sha256 } from '../crypto/symmetric.ts'
import { encode } from '../phone/adv.ts'
import { type PasskeyPrologue, type PrimaryEphemeral, Refusal } from '../service/passkey-desk.ts'
import type { Registration } from '../service/peer.ts'
import { deriveConfirmationCode } from './handoff.ts'
import { PhoneDesk } from './phone-desk.ts'
import { SoftwareAuthenticator } from './software-authenticator.ts'

const DEVICE_TYPE = 1
const REF = 'a ref'

interface Setup {
  readonly alwaysConfirm?: boolean
}

/** A companion that follows the protocol's text, step by step, and a desk that serves it. */
function setUp({ alwaysConfirm = false }: Setup = {}) {
  let now = 1_800_000_000_000
  const refusals: string[] = []
  const [noise, identity, ephemeral] = [generateKeyPair(), generateKeyPair(), generateKeyPair()]
  const [oldSecret, newSecret, nonce] = [randomBytes(32), randomBytes(32), randomBytes(32)]
  const authenticator = new SoftwareAuthenticator()
  const registration = { noiseKey: noise.public, keys: { identity: identity.public } } as unknown as Registration
  const desk = new PhoneDesk({
    credential: authenticator.credential,
    advSecret: oldSecret,
    alwaysConfirm,
    clock: () => now,
    onRefusal: (text) => refusals.push(text),
  })
  const ident = encode(proto.CompanionEphemeralIdentity, {
    publicKey: ephemeral.public,
    deviceType: DEVICE_TYPE,
    ref: REF,
  })
  const payload = encode(proto.ProloguePayload, {
    companionEphemeralIdentity: ident,
    commitment: { hash: sha256(ident, nonce) },
  })
  const handoffKey = hkdf(oldSecret, 32, { info: 'shortcake-passkey-handoff-v1' })
  const makePrologue = (): PasskeyPrologue => {
    const assertion = authenticator.assert(JSON.parse(desk.options()))
    return {
      credentialId: Buffer.from(assertion.rawId, 'base64url'),
      webauthnAssertion: Buffer.from(JSON.stringify(assertion)),
      prologuePayload: payload,
      handoffProof: hmacSha256(handoffKey, payload),
      ref: REF,
    }
  }
  const makeRequest = (primary: PrimaryEphemeral, overrides: Partial<proto.IPairingRequest> = {}) => {
    const key = hkdf(agree(ephemeral.private, primary.publicKey), 32, {
      salt: Buffer.from(`Companion Pairing ${DEVICE_TYPE} with ref ${REF}`),
      info: 'Pairing Information Encryption Key',
    })
    const request = encode(proto.PairingRequest, {
      companionPublicKey: noise.public,
      companionIdentityKey: identity.public,
      advSecret: newSecret,
      ...overrides,
    })
    const iv = randomBytes(12)
    return encode(proto.EncryptedPairingRequest, { encryptedPayload: encryptGcm(key, iv, request), iv })
  }
  const wait = (ms: number) => {
    now += ms
  }
  return { desk, registration, makePrologue, makeRequest, nonce, newSecret, oldSecret, refusals, wait }
}

const refused = (reason: RegExp) => (error: unknown) => error instanceof Refusal && reason.test(error.message)

test('with a handoff proof the link is approved without a comparison, and the new ADV secret comes out', async () => {
  const { desk, registration, makePrologue, makeRequest, nonce, newSecret, refusals } = setUp()
  assert.equal(desk.state, 'assertion_required')
  const primary = desk.prologue(registration, makePrologue())
  assert.equal(desk.state, 'asserted')
  desk.companionNonce(registration, nonce)
  assert.equal(desk.state, 'approved')
  desk.pairingRequest(registration, makeRequest(primary))
  await desk.decision
  assert.deepEqual(Buffer.from(desk.advSecret!), newSecret)
  assert.deepEqual(refusals, [])
})

for (const how of ['always_confirm', 'no_proof'] as const) {
  test(`the person compares the code first (${how}), which is the one the companion shows`, async () => {
    const { desk, registration, makePrologue, nonce } = setUp({ alwaysConfirm: how === 'always_confirm' })
    const prologue = { ...makePrologue(), ...(how === 'no_proof' && { handoffProof: undefined }) }
    const primary = desk.prologue(registration, prologue)
    assert.equal(desk.approve(), false, 'nothing to approve yet')
    desk.companionNonce(registration, nonce)
    assert.equal(desk.state, 'confirmation_required')
    const hash = createHash('sha256').update(nonce).update(primary.publicKey).digest()
    const bits = Array.from({ length: 5 }, (_, i) => (primary.nonce[i]! ^ hash[i]!).toString(2).padStart(8, '0')).join(
      '',
    )
    const letters = bits.match(/.{5}/g)!.map((five) => '123456789ABCDEFGHJKLMNPQRSTVWXYZ'[Number.parseInt(five, 2)])
    assert.equal(desk.confirmationCode, `${letters.slice(0, 4).join('')}-${letters.slice(4).join('')}`)
    assert.equal(desk.approve(), true)
    await desk.decision
  })
}

test('the confirmation code of known nonces is this one', () => {
  const code = deriveConfirmationCode(Buffer.alloc(32), Buffer.alloc(32, 1), Buffer.alloc(32, 2))
  assert.equal(code, 'Z1DB-ZMVT')
})

test('an assertion counts once, only over a challenge that was sent, and only for five minutes', () => {
  const { desk, registration, makePrologue, wait } = setUp()
  const prologue = makePrologue()
  desk.prologue(registration, prologue)
  assert.throws(() => desk.prologue(registration, prologue), refused(/used before/), 'replay')
  const foreign = new SoftwareAuthenticator().assert({ challenge: 'a'.repeat(43), rpId: 'whatsapp.com' })
  const unasked = { ...makePrologue(), webauthnAssertion: Buffer.from(JSON.stringify(foreign)) }
  assert.throws(() => desk.prologue(registration, unasked), refused(/not one that was sent/))
  const late = makePrologue()
  wait(5 * 60_000)
  assert.throws(() => desk.prologue(registration, late), refused(/expired/))
})

test('wrong steps are refused with a reason, and the log hears of each', () => {
  const { desk, registration, makePrologue, makeRequest, nonce, oldSecret, refusals, wait } = setUp()
  const attempt = (changes: Partial<PasskeyPrologue>) => () =>
    desk.prologue(registration, { ...makePrologue(), ...changes })
  assert.throws(attempt({ credentialId: randomBytes(16) }), refused(/credential_id/))
  assert.throws(attempt({ webauthnAssertion: Buffer.from('{') }), refused(/JSON/))
  assert.throws(attempt({ handoffProof: randomBytes(32) }), refused(/handoff proof is wrong/))
  assert.throws(attempt({ ref: 'another' }), refused(/another ref/))
  assert.throws(attempt({ prologuePayload: randomBytes(40) }), refused(/malformed/))
  const primary = desk.prologue(registration, makePrologue())
  assert.throws(() => desk.companionNonce(registration, randomBytes(32)), refused(/commitment/))
  desk.companionNonce(registration, nonce)
  const requests: readonly [Partial<proto.IPairingRequest>, RegExp][] = [
    [{ companionPublicKey: randomBytes(32) }, /noise key/],
    [{ companionIdentityKey: randomBytes(32) }, /identity key/],
    [{ advSecret: oldSecret }, /still the one/],
    [{ advSecret: randomBytes(31) }, /does not open/],
  ]
  for (const [changes, reason] of requests) {
    assert.throws(() => desk.pairingRequest(registration, makeRequest(primary, changes)), refused(reason))
  }
  const stranger = { publicKey: generateKeyPair().public, nonce }
  assert.throws(() => desk.pairingRequest(registration, makeRequest(stranger)), refused(/does not open/))
  wait(5 * 60_000 + 1)
  assert.throws(attempt({}), refused(/too old/))
  assert.equal(refusals.length, 12)
})

test('after the person rejected, every step is refused and the decision fails', async () => {
  const { desk, registration, makePrologue } = setUp()
  assert.equal(desk.reject(), true)
  assert.equal(desk.reject(), false)
  assert.throws(() => desk.prologue(registration, makePrologue()), refused(/rejected/))
  await assert.rejects(desk.decision, refused(/rejected/))
  desk.finish('failed')
  assert.equal(desk.state, 'rejected')
})
