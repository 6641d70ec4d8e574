import assert from 'node:assert/strict'
import { randomBytes, sign } from 'node:crypto'
import { test } from 'node:test'
import { sha256 } from '../crypto/symmetric.ts'
import { AuthenticatorError, SoftwareAuthenticator, WHATSAPP_ORIGIN, WHATSAPP_RP_ID } from './software-authenticator.ts'
import { type Assertion, AssertionError, importCredentialKey, verifyAssertion } from './webauthn.ts'

const challenge = randomBytes(32)

function setUp() {
  const authenticator = new SoftwareAuthenticator()
  const { credential } = authenticator
  const options = {
    challenge: challenge.toString('base64url'),
    rpId: WHATSAPP_RP_ID,
    allowCredentials: [{ type: 'public-key', id: credential.id.toString('base64url') }],
  }
  const expected = {
    challenge,
    origin: WHATSAPP_ORIGIN,
    rpId: WHATSAPP_RP_ID,
    credential,
    userVerification: 'required' as const,
  }
  return { authenticator, credential, options, expected }
}

const encoded = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url')
const bytesOf = (text: string) => Buffer.from(text, 'base64url')

function changed(assertion: Assertion, response: Partial<Assertion['response']>): Assertion {
  return { ...assertion, response: { ...assertion.response, ...response } }
}

function withClientData(assertion: Assertion, overrides: Record<string, unknown>): Assertion {
  const data = { ...JSON.parse(bytesOf(assertion.response.clientDataJSON).toString()), ...overrides }
  return changed(assertion, { clientDataJSON: encoded(Buffer.from(JSON.stringify(data))) })
}

function withAuthenticatorData(assertion: Assertion, change: (data: Buffer) => Buffer | undefined): Assertion {
  const data = bytesOf(assertion.response.authenticatorData)
  return changed(assertion, { authenticatorData: encoded(change(data) ?? data) })
}

test('a genuine assertion is accepted, and its counter comes back', () => {
  const { authenticator, options, expected, credential } = setUp()
  assert.deepEqual(verifyAssertion(authenticator.assert(options), expected), { signCount: 1 })
  credential.signCount = 1
  assert.deepEqual(verifyAssertion(authenticator.assert(options), { ...expected, credential }), { signCount: 2 })
  const noHandle = changed(authenticator.assert(options), { userHandle: null })
  assert.deepEqual(verifyAssertion(noHandle, expected), { signCount: 3 })
})

test('a known assertion of another implementation is accepted (WebAuthn Level 3, test vectors 16.1.1: none.ES256)', () => {
  const spki = Buffer.concat([
    Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex'),
    Buffer.from('afefa16f97ca9b2d23eb86ccb64098d20db90856062eb249c33a9b672f26df61', 'hex'),
    Buffer.from('930a56b87a2fca66334b03458abf879717c12cc68ed73290af2e2664796b9220', 'hex'),
  ])
  const id = Buffer.from('f91f391db4c9b2fde0ea70189cba3fb63f579ba6122b33ad94ff3ec330084be4', 'hex')
  const clientDataJSON = Buffer.from(
    '7b2274797065223a22776562617574686e2e676574222c226368616c6c656e6765223a224f63446e55685158756c5455506f334a5558543049393770767a7a59425039745a63685879617630314167222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f726967696e223a66616c73657d',
    'hex',
  )
  const authenticatorData = Buffer.from(
    'bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b51900000000',
    'hex',
  )
  const signature = Buffer.from(
    '3046022100f50a4e2e4409249c4a853ba361282f09841df4dd4547a13a87780218deffcd380221008480ac0f0b93538174f575bf11a1dd5d78c6e486013f937295ea13653e331e87',
    'hex',
  )
  const assertion = {
    id: encoded(id),
    rawId: encoded(id),
    type: 'public-key',
    response: {
      clientDataJSON: encoded(clientDataJSON),
      authenticatorData: encoded(authenticatorData),
      signature: encoded(signature),
      userHandle: null,
    },
  }
  const expected = {
    challenge: Buffer.from('39c0e7521417ba54d43e8dc95174f423dee9bf3cd804ff6d65c857c9abf4d408', 'hex'),
    origin: 'https://example.org',
    rpId: 'example.org',
    credential: { id, publicKey: importCredentialKey(spki), userHandle: Buffer.alloc(1), signCount: 0 },
  }
  assert.deepEqual(verifyAssertion(assertion, { ...expected, userVerification: 'preferred' }), { signCount: 0 })
  // its user was present but not verified
  assert.throws(() => verifyAssertion(assertion, { ...expected, userVerification: 'required' }), /not verified/)
})

test('every tampered assertion is refused, each for its own reason', () => {
  const { authenticator, options, expected, credential } = setUp()
  const good = authenticator.assert(options)
  const other = encoded(randomBytes(16))
  const cases: readonly [string, unknown, RegExp][] = [
    ['origin', withClientData(good, { origin: 'https://web.whatsapp.com.evil.example' }), /origin/],
    ['challenge', withClientData(good, { challenge: encoded(randomBytes(32)) }), /challenge/],
    ['type', withClientData(good, { type: 'webauthn.create' }), /clientData type/],
    ['cross origin', withClientData(good, { crossOrigin: true }), /cross-origin/],
    ['client data signed as another text', withClientData(good, { extra: 1 }), /signature/],
    ['no JSON', changed(good, { clientDataJSON: encoded(Buffer.from('{')) }), /not JSON/],
    [
      'rpId',
      withAuthenticatorData(good, (data) => Buffer.concat([sha256(Buffer.from('evil')), data.subarray(32)])),
      /rpId/,
    ],
    ['not present', withFlags(good, 0x04), /not present/],
    ['not verified', withFlags(good, 0x01), /not verified/],
    ['backed up but not eligible', withFlags(good, 0x15), /backup/],
    ['extensions that nobody asked for', withFlags(good, 0x85), /unexpected flags/],
    ['flags changed after signing', withFlags(good, 0x0d), /signature/],
    ['cut short', withAuthenticatorData(good, (data) => data.subarray(0, 36)), /length/],
    ['signature', changed(good, { signature: flipped(good.response.signature) }), /signature/],
    ['signature of nothing', changed(good, { signature: '' }), /signature/],
    ['another credential', { ...good, id: other, rawId: other }, /not the one on record/],
    ['id and rawId differ', { ...good, id: other }, /differ/],
    ['another user', changed(good, { userHandle: other }), /another user/],
    ['padded base64', changed(good, { signature: `${good.response.signature}==` }), /base64url/],
    ['another type', { ...good, type: 'password' }, /type/],
    ['no response', { ...good, response: undefined }, /response/],
    ['a list', [good], /not an object/],
    ['null', null, /not an object/],
  ]
  for (const [name, assertion, reason] of cases) {
    const matches = (error: unknown) => error instanceof AssertionError && reason.test(error.message)
    assert.throws(() => verifyAssertion(assertion, expected), matches, name)
  }
  verifyAssertion(good, expected)
  credential.signCount = 1
  assert.throws(() => verifyAssertion(good, { ...expected, credential }), /did not grow/)
  const stranger = new SoftwareAuthenticator().credential
  const elsewhere = { ...expected, credential: { ...expected.credential, publicKey: stranger.publicKey } }
  assert.throws(() => verifyAssertion(authenticator.assert(options), elsewhere), /signature/)
})

function withFlags(assertion: Assertion, flags: number): Assertion {
  return withAuthenticatorData(assertion, (data) => {
    data[32] = flags
    return undefined
  })
}

function flipped(text: string): string {
  const bytes = bytesOf(text)
  bytes[bytes.length - 1]! ^= 1
  return encoded(bytes)
}

test('the authenticator refuses what a browser refuses', () => {
  const { authenticator, options } = setUp()
  const refused = (changes: object, origin?: string) =>
    assert.throws(() => authenticator.assert({ ...options, ...changes }, origin), AuthenticatorError)
  refused({ rpId: 'example.org' })
  refused({ rpId: 'app.com' }) // whatsapp.com ends with it, but it is another domain
  refused({}, 'https://example.org')
  refused({ challenge: 'short' })
  refused({ challenge: undefined })
  refused({ allowCredentials: [{ type: 'public-key', id: encoded(sign(null, challenge, edKey())) }] })
  assert.throws(() => authenticator.assert(null), AuthenticatorError)
  assert.equal(authenticator.assert({ ...options, allowCredentials: [] }).type, 'public-key')
})

function edKey() {
  return '-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n-----END PRIVATE KEY-----'
}
