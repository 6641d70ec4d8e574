import assert from 'node:assert/strict'
import { test } from 'node:test'
import { proto } from 'baileys/WAProto/index.js'
import { acceptPairing, verifyDeviceIdentity, verifyKeyIndexList } from './adv.ts'
import { verifyChain } from './certificate.ts'
import { type KeyPair, newKeyPair, signWith } from './curve.ts'
import { hmac } from './symmetric.ts'
import { Violation, type ViolationCode } from './violation.ts'

const now = Math.floor(Date.now() / 1000)
const violates = (...codes: readonly ViolationCode[]) => {
  return (error: unknown) => error instanceof Violation && codes.includes(error.code)
}

interface Chain {
  upper: proto.CertChain.NoiseCertificate.IDetails
  lower: proto.CertChain.NoiseCertificate.IDetails
  readonly signers: { upper: KeyPair; lower: KeyPair }
}

test('a certificate chain is valid as a whole or not at all', () => {
  const [root, intermediate, server, stranger] = [newKeyPair(), newKeyPair(), newKeyPair(), newKeyPair()]
  const verify = (change: (chain: Chain) => void) => {
    const dates = { notBefore: now - 100, notAfter: now + 100 }
    const chain: Chain = {
      upper: { serial: 1, issuerSerial: 0, key: intermediate.public, ...dates },
      lower: { serial: 2, issuerSerial: 1, key: server.public, ...dates },
      signers: { upper: root, lower: intermediate },
    }
    change(chain)
    const certify = (details: proto.CertChain.NoiseCertificate.IDetails, signer: KeyPair) => {
      const encoded = proto.CertChain.NoiseCertificate.Details.encode(details).finish()
      return { details: encoded, signature: signWith(signer, encoded) }
    }
    const certificates = {
      intermediate: certify(chain.upper, chain.signers.upper),
      leaf: certify(chain.lower, chain.signers.lower),
    }
    verifyChain(proto.CertChain.encode(certificates).finish(), root.public, server.public, now)
  }
  verify(() => undefined)
  const changes: readonly ((chain: Chain) => void)[] = [
    ({ upper }) => Object.assign(upper, { issuerSerial: 3 }),
    ({ lower }) => Object.assign(lower, { issuerSerial: 0 }),
    ({ lower }) => Object.assign(lower, { key: stranger.public }),
    ({ lower }) => Object.assign(lower, { notAfter: now - 1 }),
    ({ upper }) => Object.assign(upper, { notBefore: now + 1 }),
    ({ upper }) => Object.assign(upper, { key: stranger.public }),
    ({ signers }) => Object.assign(signers, { upper: stranger }),
    ({ signers }) => Object.assign(signers, { lower: root }),
  ]
  for (const [position, change] of changes.entries()) {
    assert.throws(() => verify(change), violates('certificate'), `change ${position}`)
  }
})

test('a pairing blob is refused after any change, and what it becomes is verified by others', () => {
  const [phone, device, secret] = [newKeyPair(), newKeyPair(), Buffer.alloc(32, 7)]
  const details = proto.ADVDeviceIdentity.encode({ rawId: 5, timestamp: now, keyIndex: 1 }).finish()
  const accountSignature = signWith(phone, Buffer.concat([Buffer.of(6, 0), details, device.public]))
  const seal = (claim: proto.IADVSignedDeviceIdentity, key = secret) => {
    const signed = proto.ADVSignedDeviceIdentity.encode(claim).finish()
    return proto.ADVSignedDeviceIdentityHMAC.encode({ details: signed, hmac: hmac('sha256', key, signed) }).finish()
  }
  const claim = { details, accountSignature, accountSignatureKey: phone.public }
  const { deviceIdentity } = acceptPairing(seal(claim), secret, device, now)
  assert.equal(verifyDeviceIdentity(deviceIdentity, device.public, now).keyIndex, 1)
  assert.throws(() => acceptPairing(seal(claim, Buffer.alloc(32)), secret, device, now), violates('adv_hmac'))
  const other = { ...claim, accountSignatureKey: newKeyPair().public }
  assert.throws(() => acceptPairing(seal(other), secret, device, now), violates('adv_account_signature'))
  assert.throws(() => acceptPairing(seal(claim), secret, newKeyPair(), now), violates('adv_account_signature'))
  assert.throws(() => acceptPairing(seal(claim), secret, device, now + 90_000), violates('adv_details'))
  // Some changes make protobuf refuse it before any signature is looked at.
  for (let position = 2; position < deviceIdentity.length; position += 5) {
    const changed = Buffer.from(deviceIdentity)
    changed[position]! ^= 0x20
    assert.throws(() => verifyDeviceIdentity(changed, device.public, now), Error, `byte ${position}`)
  }
})

test('a list of key indexes is refused when it is not signed, too old or wrong in itself', () => {
  const phone = newKeyPair()
  const verify = (list: proto.IADVKeyIndexList, signer = phone) => {
    const details = proto.ADVKeyIndexList.encode(list).finish()
    const accountSignature = signWith(signer, Buffer.concat([Buffer.of(6, 2), details]))
    const signed = { details, accountSignature, accountSignatureKey: phone.public }
    return verifyKeyIndexList(proto.ADVSignedKeyIndexList.encode(signed).finish(), now)
  }
  const right = { rawId: 1, timestamp: now, currentIndex: 3, validIndexes: [0, 1, 3] }
  assert.deepEqual(verify(right).validIndexes, [0, 1, 3])
  assert.throws(() => verify(right, newKeyPair()), violates('key_index_list'))
  for (const wrong of [
    { timestamp: now - 90_000 },
    { validIndexes: [1] },
    { validIndexes: [0, 4] },
    { validIndexes: [0, 1, 1] },
  ]) {
    assert.throws(() => verify({ ...right, ...wrong }), violates('key_index_list'))
  }
})
