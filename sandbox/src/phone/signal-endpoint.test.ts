import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type PreKeyBundle, type SignalAddress, SignalEndpoint, SignalError } from './signal-endpoint.ts'

const GROUP = '1203630@g.us'
const ANN: SignalAddress = { user: '1001', device: 0 }
const BEN: SignalAddress = { user: '1002', device: 3 }
const text = (value: string) => Buffer.from(value)
const ofFailure = (failure: string) => (error: unknown) => error instanceof SignalError && error.failure === failure

function bundleOf(endpoint: SignalEndpoint, oneTime = true): PreKeyBundle {
  return {
    registrationId: endpoint.registrationId,
    identityKey: endpoint.identity.public,
    signedPreKey: endpoint.signedPreKey,
    preKey: oneTime ? endpoint.makePreKeys(1)[0] : undefined,
  }
}

async function makePair(oneTime = true) {
  const [ann, ben] = [new SignalEndpoint({ registrationId: 11 }), new SignalEndpoint({ registrationId: 22 })]
  await ann.startSession(BEN, bundleOf(ben, oneTime))
  return { ann, ben }
}

for (const oneTime of [true, false]) {
  test(`a session starts and goes both ways, ${oneTime ? 'with' : 'without'} a one-time pre-key`, async () => {
    const { ann, ben } = await makePair(oneTime)
    const first = await ann.encrypt(BEN, text('one'))
    const second = await ann.encrypt(BEN, text('two'))
    assert.deepEqual([first.type, second.type], ['pkmsg', 'pkmsg'], 'pkmsg until the first answer')
    // the same base key twice, and out of order, must neither reset nor need the consumed pre-key
    assert.equal(Buffer.from(await ben.decrypt(ANN, 'pkmsg', second.body)).toString(), 'two')
    assert.equal(Buffer.from(await ben.decrypt(ANN, 'pkmsg', first.body)).toString(), 'one')
    const answer = await ben.encrypt(ANN, text('three'))
    assert.equal(answer.type, 'msg')
    assert.equal(Buffer.from(await ann.decrypt(BEN, 'msg', answer.body)).toString(), 'three')
  })
}

test('a second session of the same address leaves the first one readable', async () => {
  const { ann, ben } = await makePair()
  const old = await ann.encrypt(BEN, text('old'))
  await ann.startSession(BEN, bundleOf(ben))
  const fresh = await ann.encrypt(BEN, text('new'))
  assert.equal(Buffer.from(await ben.decrypt(ANN, 'pkmsg', fresh.body)).toString(), 'new')
  assert.equal(Buffer.from(await ben.decrypt(ANN, 'pkmsg', old.body)).toString(), 'old')
})

test('both ends may start a session at the same time', async () => {
  const { ann, ben } = await makePair()
  await ben.startSession(ANN, bundleOf(ann))
  const [toBen, toAnn] = await Promise.all([ann.encrypt(BEN, text('a')), ben.encrypt(ANN, text('b'))])
  assert.equal(Buffer.from(await ben.decrypt(ANN, toBen.type, toBen.body)).toString(), 'a')
  assert.equal(Buffer.from(await ann.decrypt(BEN, toAnn.type, toAnn.body)).toString(), 'b')
  const next = await ann.encrypt(BEN, text('c'))
  assert.equal(Buffer.from(await ben.decrypt(ANN, next.type, next.body)).toString(), 'c')
})

test('first messages that cross, and answers in both sessions, are all opened', async () => {
  const { ann, ben } = await makePair()
  await ben.startSession(ANN, bundleOf(ann))
  const toBen: Awaited<ReturnType<SignalEndpoint['encrypt']>>[] = []
  const toAnn: typeof toBen = []
  // Lower case: that end writes; upper case: it opens the oldest message for it.
  for (const step of 'abAaBbBAaBbAbAaB') {
    if (step === 'a') toBen.push(await ann.encrypt(BEN, text('from Ann')))
    if (step === 'b') toAnn.push(await ben.encrypt(ANN, text('from Ben')))
    const [end, author, next] = step === 'A' ? [ann, BEN, toAnn] : [ben, ANN, toBen]
    if (step !== 'A' && step !== 'B') continue
    const { type, body } = next.shift()!
    assert.equal(Buffer.from(await end.decrypt(author, type, body)).toString(), step === 'A' ? 'from Ben' : 'from Ann')
  }
})

test('failures are told apart: the same ciphertext again, no session, damaged', async () => {
  const { ann, ben } = await makePair()
  const { body } = await ann.encrypt(BEN, text('once'))
  await ben.decrypt(ANN, 'pkmsg', body)
  await assert.rejects(ben.decrypt(ANN, 'pkmsg', body), ofFailure('duplicate'))
  await assert.rejects(new SignalEndpoint({ registrationId: 5 }).decrypt(ANN, 'msg', body), SignalError)
  const next = await ann.encrypt(BEN, text('twice'))
  next.body[next.body.length - 20]! ^= 1 // inside the MAC; the very last byte is the unauthenticated signed pre-key id
  await assert.rejects(ben.decrypt(ANN, 'pkmsg', next.body), ofFailure('invalid'))
})

test('a bundle whose signed pre-key is badly signed is refused', async () => {
  const { ann, ben } = await makePair()
  const bundle = bundleOf(ben)
  const signature = Buffer.from(bundle.signedPreKey.signature)
  signature[3]! ^= 1
  const forged = { ...bundle, signedPreKey: { ...bundle.signedPreKey, signature } }
  await assert.rejects(ann.startSession({ user: '9', device: 0 }, forged), ofFailure('invalid'))
})

test('group messages need the sender key, open once, and their signature counts', async () => {
  const { ann, ben } = await makePair()
  const distribution = await ann.describeSenderKey(GROUP, ANN)
  const first = await ann.encryptForGroup(GROUP, ANN, text('hi all'))
  await assert.rejects(ben.decryptFromGroup(GROUP, ANN, first), ofFailure('no_session'))
  await ben.learnSenderKey(GROUP, ANN, distribution)
  assert.equal(Buffer.from(await ben.decryptFromGroup(GROUP, ANN, first)).toString(), 'hi all')
  await assert.rejects(ben.decryptFromGroup(GROUP, ANN, first), ofFailure('duplicate'))
  const forged = await ann.encryptForGroup(GROUP, ANN, text('forged'))
  forged[forged.length - 1]! ^= 1
  await assert.rejects(ben.decryptFromGroup(GROUP, ANN, forged), ofFailure('invalid'))
  assert.deepEqual(await ann.describeSenderKey(GROUP, ANN).then((key) => key.length), distribution.length)
})

test('a hundred messages encrypted at once all open', async () => {
  const { ann, ben } = await makePair()
  const sent = await Promise.all(Array.from({ length: 100 }, (_, n) => ann.encrypt(BEN, text(String(n)))))
  const opened = await Promise.all(sent.map(({ type, body }) => ben.decrypt(ANN, type, body)))
  assert.deepEqual(
    opened.map((bytes) => Buffer.from(bytes).toString()),
    Array.from({ length: 100 }, (_, n) => String(n)),
  )
})
