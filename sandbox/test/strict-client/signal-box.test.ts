import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Installation } from './installation.ts'
import { Violation } from './violation.ts'

const A = { user: '1', device: 1 }
const B = { user: '2', device: 1 }

function bundleOf({ registrationId, identity, signedPreKey, signal }: Installation, id = 1) {
  const { pair, signature } = signedPreKey
  return {
    registrationId,
    identity: identity.public,
    signedPreKey: { id: 1, public: pair.public, signature },
    preKey: signal.makePreKeys(id, 1)[0],
  }
}

/** Two installations with a session towards each other, as when both write first. */
async function meet() {
  const [a, b] = [new Installation('a'), new Installation('b')]
  await a.signal.startSession(B, bundleOf(b))
  await b.signal.startSession(A, bundleOf(a))
  const toA: Awaited<ReturnType<typeof a.signal.encrypt>>[] = []
  const toB: typeof toA = []
  const text = Buffer.from('x')
  const steps = {
    a: async () => toB.push(await a.signal.encrypt(B, text)),
    b: async () => toA.push(await b.signal.encrypt(A, text)),
    A: async () => {
      const { type, body } = toA.shift()!
      assert.deepEqual(Buffer.from(await a.signal.decrypt(B, type, body)), text)
    },
    B: async () => {
      const { type, body } = toB.shift()!
      assert.deepEqual(Buffer.from(await b.signal.decrypt(A, type, body)), text)
    },
  }
  return { a, b, steps }
}

test('first messages that cross, and answers in both sessions, are all opened', async () => {
  const { steps } = await meet()
  // Lower case: that side writes; upper case: it opens the oldest message for it.
  for (const step of 'abAaBbBAaB') await steps[step as keyof typeof steps]()
})

test('an identity that changes is refused, in a bundle and in a pkmsg', async () => {
  const { a, steps } = await meet()
  const changed = (error: unknown) => error instanceof Violation && error.code === 'identity'
  await assert.rejects(a.signal.startSession(B, bundleOf(new Installation('c'))), changed)
  await steps.a()
  const c = new Installation('c')
  await c.signal.startSession(A, bundleOf(a, 9))
  const { type, body } = await c.signal.encrypt(A, Buffer.from('x'))
  await assert.rejects(a.signal.decrypt(B, type, body), changed)
})

test('a group message with a changed byte anywhere is refused', async () => {
  const { a, b } = await meet()
  const { distribution, body } = await a.signal.encryptForGroup('g', A, Buffer.from('to all'))
  await b.signal.learnSenderKey('g', A, distribution)
  for (let position = 1; position < body.length; position += 9) {
    const changed = Buffer.from(body)
    changed[position]! ^= 0x40
    await assert.rejects(b.signal.decryptFromGroup('g', A, changed), Violation, `byte ${position}`)
  }
  assert.deepEqual(Buffer.from(await b.signal.decryptFromGroup('g', A, body)), Buffer.from('to all'))
})
