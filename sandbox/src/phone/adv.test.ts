import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { proto } from 'baileys/WAProto/index.js'
import { verifySignature } from 'whatsapp-rust-bridge'
import { generateKeyPair, type KeyPair, sign, verify, withKeyType } from '../crypto/curve.ts'
import { hmacSha256 } from '../crypto/symmetric.ts'
import { certifyCompanion, checkDeviceIdentity, encode, signKeyIndexList } from './adv.ts'

const account = generateKeyPair(Buffer.alloc(32, 1))
const companion = generateKeyPair(Buffer.alloc(32, 2))
const advSecret = Buffer.alloc(32, 3)

function certify() {
  return certifyCompanion({
    accountIdentity: account,
    companionIdentity: companion.public,
    advSecret,
    rawId: 77,
    keyIndex: 3,
    timestamp: 1_790_000_000,
  })
}

/** What a companion does with the certificate: adds its own signature. */
function countersign(signed: Buffer, by: KeyPair = companion, overrides: Partial<proto.IADVSignedDeviceIdentity> = {}) {
  const identity = proto.ADVSignedDeviceIdentity.decode(signed)
  const message = Buffer.concat([Buffer.of(6, 1), identity.details!, by.public, identity.accountSignatureKey!])
  const deviceSignature = sign(by, message)
  return encode(proto.ADVSignedDeviceIdentity, { ...identity, deviceSignature, ...overrides })
}

test('the details are these very bytes', () => {
  assert.equal(certify().details.toString('hex'), '084d1080f7c4d5061803')
})

test('a client can verify the blob: HMAC by the ADV secret, account signature by another implementation', () => {
  const { blob } = certify()
  const outer = proto.ADVSignedDeviceIdentityHMAC.decode(blob)
  assert.deepEqual(Buffer.from(outer.hmac!), hmacSha256(advSecret, outer.details!))
  const inner = proto.ADVSignedDeviceIdentity.decode(outer.details!)
  const message = Buffer.concat([Buffer.of(6, 0), inner.details!, companion.public])
  assert.ok(verifySignature(withKeyType(inner.accountSignatureKey!), message, inner.accountSignature!))
})

test('a countersigned identity is accepted, with or without the account key in it', () => {
  const { signed } = certify()
  const claim = { keyIndex: 3, rawId: 77, timestamp: 1_790_000_000 }
  assert.deepEqual(checkDeviceIdentity(countersign(signed), companion.public, account.public), claim)
  const bare = countersign(signed, companion, { accountSignatureKey: null })
  assert.deepEqual(checkDeviceIdentity(bare, withKeyType(companion.public), account.public), claim)
})

test('every forgery is refused, with its reason', () => {
  const { signed } = certify()
  const stranger = generateKeyPair()
  const refusals: readonly [string, Buffer, Buffer, RegExp][] = [
    ['no device signature', signed, companion.public, /lacks/],
    ['not a protobuf', Buffer.from('ffff', 'hex'), companion.public, /not an ADVSigned/],
    ['another companion', countersign(signed), stranger.public, /account signature/],
    ['device signature by another', countersign(signed, stranger), companion.public, /device signature/],
    [
      'another account key',
      countersign(signed, companion, { accountSignatureKey: stranger.public }),
      companion.public,
      /another account key/,
    ],
    [
      'changed details',
      countersign(signed, companion, { details: encode(proto.ADVDeviceIdentity, { keyIndex: 4 }) }),
      companion.public,
      /account signature/,
    ],
    ['malformed companion key', countersign(signed), randomBytes(31), /not a public key/],
  ]
  for (const [name, encoded, key, reason] of refusals) {
    const result = checkDeviceIdentity(encoded, key, account.public)
    assert.ok(typeof result === 'string' && reason.test(result), `${name}: ${JSON.stringify(result)}`)
  }
})

test('the key index list carries a valid signature of the account', () => {
  const encoded = signKeyIndexList(account, 77, { timestamp: 5, currentIndex: 4, validIndexes: [0, 2, 4] })
  const list = proto.ADVSignedKeyIndexList.decode(encoded)
  assert.ok(verify(account.public, Buffer.concat([Buffer.of(6, 2), list.details!]), list.accountSignature!))
  const { rawId, currentIndex, validIndexes } = proto.ADVKeyIndexList.decode(list.details!)
  assert.deepEqual({ rawId, currentIndex, validIndexes }, { rawId: 77, currentIndex: 4, validIndexes: [0, 2, 4] })
})
