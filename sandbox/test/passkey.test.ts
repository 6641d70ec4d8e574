import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, beforeEach, test } from 'node:test'
import { type Sandbox, startSandbox } from '../src/server.ts'
import { type BinaryNode, child } from '../src/wire/node.ts'
import { ControlClient } from './support/control-client.ts'
import { PasskeyCompanion } from './support/passkey-companion.ts'

let sandbox: Sandbox
let control: ControlClient

before(async () => {
  sandbox = await startSandbox()
  control = new ControlClient(sandbox.http)
})
after(() => sandbox[Symbol.asyncDispose]())
beforeEach(() => sandbox.service.log.clear())

const isResult = (answer: BinaryNode) => assert.equal(answer.attrs.type, 'result', JSON.stringify(answer))
const errorOf = (answer: BinaryNode) => [answer.attrs.type, child(answer, 'error')?.attrs.code]
const problems = () => sandbox.service.log.list().map(({ text }) => text)

/** A person who demands a passkey, and a client whose code their phone has just scanned. */
async function begin(passkey: 'required' | 'required_with_code') {
  const { phone } = await control.post('/sandbox/people', { name: 'Ann', passkey })
  const path = `/sandbox/people/${phone}`
  const companion = new PasskeyCompanion(sandbox.service)
  const scanned = await control.post(`${path}/scan`, { qr: await companion.showQr() })
  assert.deepEqual(scanned, { phone, device_jid: null, status: 'passkey_required' })
  const options = await companion.options.promise
  const sign = async (given = options, extra = {}) =>
    (await control.post(`${path}/passkey/assert`, { options: given, ...extra })).assertion
  const state = async () => (await control.get(`${path}/passkey`)).state
  return { phone, path, companion, options, sign, state }
}

test('required: scan, assertion, handoff proof, linked without a comparison', async () => {
  const { phone, companion, sign, state, path } = await begin('required')
  assert.equal(await state(), 'assertion_required')
  isResult(await companion.sendAssertion(await sign()))
  await companion.continuation.promise
  assert.equal(await state(), 'asserted')
  isResult(await companion.sendNonce())
  assert.deepEqual(await control.get(`${path}/passkey`), {
    demand: 'required',
    state: 'approved',
    confirmation_code: companion.code,
  })
  isResult(await companion.sendPairingRequest())
  assert.equal(await companion.linked.promise, `${phone}:1@s.whatsapp.net`)
  assert.equal(await companion.ended.promise, 'stream error 515')
  assert.equal(await state(), 'linked')
  assert.equal((await control.get(path)).companions.length, 1)
  assert.deepEqual(problems(), [])
})

test('required_with_code: both ends show the same code, and nothing is linked before the person approves', async () => {
  const { phone, companion, sign, state, path } = await begin('required_with_code')
  const fresh = await companion.fetchOptions()
  isResult(await companion.sendAssertion(await sign(fresh)))
  await companion.continuation.promise
  isResult(await companion.sendNonce())
  const shown = await control.get(`${path}/passkey`)
  assert.deepEqual([shown.state, shown.confirmation_code], ['confirmation_required', companion.code])
  isResult(await companion.sendPairingRequest())
  assert.equal(await state(), 'confirmation_required')
  assert.equal((await control.get(path)).companions.length, 0)
  await control.post(`${path}/passkey/approve`)
  assert.equal(await companion.linked.promise, `${phone}:1@s.whatsapp.net`)
})

test('without a handoff proof the codes are compared even where they need not be', async () => {
  const { companion, sign, state, path } = await begin('required')
  isResult(await companion.sendAssertion(await sign(), { proof: null }))
  await companion.continuation.promise
  isResult(await companion.sendNonce())
  assert.equal(await state(), 'confirmation_required')
  await control.post(`${path}/passkey/approve`)
  isResult(await companion.sendPairingRequest())
  await companion.linked.promise
})

test('the person rejects: nothing is linked, and the client is sent away', async () => {
  const { companion, sign, state, path } = await begin('required_with_code')
  isResult(await companion.sendAssertion(await sign()))
  await companion.continuation.promise
  isResult(await companion.sendNonce())
  isResult(await companion.sendPairingRequest())
  await control.post(`${path}/passkey/reject`)
  assert.equal(await companion.ended.promise, 'not linked')
  assert.equal(await state(), 'rejected')
  assert.equal((await control.get(path)).companions.length, 0)
})

test('what is wrong or replayed gets an error and a line in the log; a good attempt after it still links', async () => {
  const { companion, sign, options } = await begin('required')
  const good = await sign()
  const tampered = structuredClone(good)
  tampered.response.signature = `${tampered.response.signature.slice(0, -6)}AAAAAA`
  assert.deepEqual(errorOf(await companion.sendAssertion(tampered)), ['error', '403'])
  assert.deepEqual(errorOf(await companion.sendAssertion(good)), ['error', '403'], 'its challenge is used up')
  const stranger = await control.post('/sandbox/people', { name: 'Eve', passkey: 'required' })
  const theirs = (
    await control.post(`/sandbox/people/${stranger.phone}/passkey/assert`, {
      options: { ...(options as object), allowCredentials: [] },
    })
  ).assertion
  assert.deepEqual(errorOf(await companion.sendAssertion(theirs)), ['error', '403'])
  const elsewhere = await sign(await companion.fetchOptions(), { origin: 'https://evil.whatsapp.com' })
  assert.deepEqual(errorOf(await companion.sendAssertion(elsewhere)), ['error', '403'])
  const proven = await sign(await companion.fetchOptions())
  assert.deepEqual(errorOf(await companion.sendAssertion(proven, { proof: randomBytes(32) })), ['error', '403'])
  assert.deepEqual(errorOf(await companion.sendNonce()), ['error', '409'], 'out of order')
  assert.equal(problems().filter((text) => text.startsWith('passkey linking:')).length, 5, problems().join('\n'))

  isResult(await companion.sendAssertion(await sign(await companion.fetchOptions())))
  await companion.continuation.promise
  assert.deepEqual(errorOf(await companion.sendNonce(randomBytes(32))), ['error', '400'])
  isResult(await companion.sendNonce())
  assert.deepEqual(errorOf(await companion.sendPairingRequest({ companionPublicKey: randomBytes(32) })), [
    'error',
    '400',
  ])
  isResult(await companion.sendPairingRequest())
  await companion.linked.promise
})
