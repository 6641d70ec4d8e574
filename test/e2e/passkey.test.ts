import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Device } from '../support/e2e/device.ts'
import type { Phone } from '../support/e2e/phone.ts'
import { Stage } from '../support/e2e/stage.ts'
import { until } from '../support/e2e/until.ts'

const PATH = '/devices/me/login/passkey'

interface Assertion {
  readonly id: string
  readonly rawId: string
  readonly type: string
  readonly response: Readonly<Record<string, string | null>>
}

describe('linking of accounts that demand a passkey', () => {
  let stage: Stage

  before(async () => {
    stage = await Stage.open()
  })
  after(() => stage?.[Symbol.asyncDispose]())

  /** What the authenticator in the user's browser signs. */
  const sign = async (phone: Phone, options: object, origin?: string): Promise<Assertion> => {
    const body = { options, ...(origin ? { origin } : {}) }
    return (await phone.call<{ assertion: Assertion }>('POST', '/passkey/assert', body)).assertion
  }

  /** A device whose code was taken by a phone that now wants the passkey. */
  const meetPasskey = async (name: string, demand: 'required' | 'required_with_code', by: 'qr' | 'code') => {
    const phone = await stage.whatsapp.person(name, { passkey: demand })
    const device = await stage.newDevice(name)
    await device.listen()
    let taken: { status: string }
    if (by === 'qr') taken = await phone.scan(await device.qr())
    else {
      const { data } = await device.ok('POST', '/devices/me/login-code', { phone: phone.number })
      taken = await phone.enterCode(data.pair_code)
    }
    assert.equal(taken.status, 'passkey_required')
    await device.untilLogin('passkey_required')
    return { phone, device }
  }

  const phoneShows = (phone: Phone) =>
    phone.call<{ state: string; confirmation_code: string | null }>('GET', '/passkey')

  const proveItTalks = async (device: Device) => {
    const friend = await stage.whatsapp.person('Friend')
    await device.send(friend, `proof ${friend.number}`)
    await friend.message(`proof ${friend.number}`)
  }

  for (const by of ['qr', 'code'] as const)
    test(`by ${by}: options and snippet, the assertion, and the device is linked`, async () => {
      const { phone, device } = await meetPasskey(`Ann by ${by}`, 'required', by)
      const required = await device.event('connection.passkey_required')
      const { data } = await device.ok('GET', PATH)
      assert.equal(data.state, 'waiting_for_assertion')
      assert.equal(data.options.rpId, 'whatsapp.com')
      assert.match(data.options.challenge, /^[A-Za-z0-9_-]{20,}$/)
      assert.deepEqual(required.data.options, data.options)
      assert.equal(required.data.expires_at, data.expires_at)
      assert.ok(Date.parse(data.expires_at) > Date.now() + 250_000)
      assert.ok(data.snippet.includes(data.options.challenge) && data.snippet.includes('navigator.credentials.get'))
      assert.equal(data.confirmation_code, null)
      const state = await device.loginState()
      assert.deepEqual(state.passkey, data)
      // the code was taken: there is none to show
      await device.refused(409, 'POST', '/devices/me/login', { output: 'json' })
      const page = await device.ok('POST', '/devices/me/login', { output: 'html' })
      assert.match(page.text, /passkey/)
      await device.refused(409, 'POST', `${PATH}/confirm`)

      const assertion = await sign(phone, data.options)
      const moved = await device.ok('POST', PATH, { assertion })
      assert.ok(['waiting_for_phone', 'done'].includes(moved.data.state), moved.data.state)
      await device.untilConnected()
      await device.event('connection.connected')
      assert.equal((await phoneShows(phone)).state, 'linked')
      assert.equal((await phone.companions()).length, 1)
      await device.refused(409, 'POST', PATH, { assertion })
      await device.refused(409, 'GET', PATH)
      await proveItTalks(device)
    })

  test('the phone wants the codes compared: both show the same, and it decides', async () => {
    const { phone, device } = await meetPasskey('Bea', 'required_with_code', 'qr')
    const { data } = await device.ok('GET', PATH)
    await device.ok('POST', PATH, { assertion: await sign(phone, data.options) })
    const shown = await until('a code on the phone', async () => {
      const now = await phoneShows(phone)
      return now.confirmation_code !== null && now
    })
    assert.equal(shown.state, 'confirmation_required')
    const { data: ours } = await device.ok('GET', PATH)
    assert.equal(ours.confirmation_code, shown.confirmation_code)
    await phone.call('POST', '/passkey/approve')
    await device.untilConnected()
    await proveItTalks(device)
  })

  test('bad assertions: malformed, for another challenge, made elsewhere; then a good one', async () => {
    const { phone, device } = await meetPasskey('Cal', 'required', 'qr')
    const { data } = await device.ok('GET', PATH)
    const good = await sign(phone, data.options)
    const cases: readonly [unknown, string][] = [
      [{}, 'assertion'],
      [{ assertion: 'x' }, 'assertion'],
      [{ assertion: { ...good, type: 'password' } }, 'assertion.type'],
      [{ assertion: { ...good, rawId: 'a+b/c=' } }, 'assertion.rawId'],
      [{ assertion: { ...good, response: {} } }, 'assertion.response'],
      [{ assertion: { ...good, response: { ...good.response, signature: 7 } } }, 'assertion.response.signature'],
      [{ assertion: { ...good, response: { ...good.response, clientDataJSON: 'bm90IGpzb24' } } }, 'clientDataJSON'],
      [{ assertion: await sign(phone, { ...data.options, challenge: 'AAAAAAAAAAAAAAAAAAAAAAAA' }) }, 'clientDataJSON'],
    ]
    for (const [body, field] of cases) {
      const answer = await device.refused(400, 'POST', PATH, body)
      assert.ok(String(answer.data.field).includes(field), `${answer.data.field} for ${field}`)
      assert.equal((await device.ok('GET', PATH)).data.state, 'waiting_for_assertion')
    }
    const elsewhere = await sign(phone, data.options, 'https://business.whatsapp.com')
    const refused = await device.refused(502, 'POST', PATH, { assertion: elsewhere })
    assert.equal(refused.data.whatsapp_code, 403)
    assert.equal((await device.ok('GET', PATH)).data.state, 'waiting_for_assertion')
    // WhatsApp counts a challenge once, whether the assertion over it was good or not
    assert.equal((await device.refused(502, 'POST', PATH, { assertion: good })).data.error_code, 'whatsapp_refused')
    assert.deepEqual(await phone.companions(), [])
    // so the linking begins anew
    await device.ok('POST', '/devices/me/login-code', { phone: phone.number })
    await phone.enterCode((await device.loginState()).pair_code)
    await device.untilLogin('passkey_required')
    const { data: fresh } = await device.ok('GET', PATH)
    assert.notEqual(fresh.options.challenge, data.options.challenge)
    await device.ok('POST', PATH, { assertion: await sign(phone, fresh.options) })
    await device.untilConnected()
  })

  test('rejected on the phone: nothing is linked', async () => {
    const { phone, device } = await meetPasskey('Dee', 'required_with_code', 'qr')
    const { data } = await device.ok('GET', PATH)
    await device.ok('POST', PATH, { assertion: await sign(phone, data.options) })
    await until('a code on the phone', async () => (await phoneShows(phone)).confirmation_code !== null)
    await phone.call('POST', '/passkey/reject')
    assert.equal((await phoneShows(phone)).state, 'rejected')
    assert.equal((await device.status()).is_logged_in, false)
    assert.deepEqual(await phone.companions(), [])
  })

  test('nothing waits for a passkey: 409 for each route; without a token 401', async () => {
    const idle = await stage.newDevice()
    const assertion = {
      id: 'AA',
      rawId: 'AA',
      type: 'public-key',
      response: { clientDataJSON: 'e30', authenticatorData: 'AA', signature: 'AA', userHandle: null },
    }
    await idle.refused(409, 'GET', PATH)
    await idle.refused(409, 'POST', PATH, { assertion })
    await idle.refused(409, 'POST', `${PATH}/confirm`)
    await idle.qr()
    await idle.refused(409, 'GET', PATH)
    await stage.anonymous.refused(401, 'GET', PATH)
    await stage.anonymous.refused(401, 'POST', PATH, { assertion })
    await stage.anonymous.refused(401, 'POST', `${PATH}/confirm`)
  })

  test('without a valid handoff proof the user confirms on our side, too', async () => {
    await stage.restart({}, { passkeyHandoffLifetimeMs: -1 })
    const { phone, device } = await meetPasskey('Eva', 'required', 'qr')
    const { data } = await device.ok('GET', PATH)
    await device.ok('POST', PATH, { assertion: await sign(phone, data.options) })
    const ours = await until('a code to compare', async () => {
      const now = (await device.ok('GET', PATH)).data
      return now.state === 'confirm' && now
    })
    assert.match(ours.confirmation_code, /^[1-9A-HJ-NP-TV-Z]{4}-[1-9A-HJ-NP-TV-Z]{4}$/)
    assert.equal((await phoneShows(phone)).confirmation_code, ours.confirmation_code)
    assert.equal((await device.loginState()).passkey.confirmation_code, ours.confirmation_code)
    assert.equal((await device.status()).is_logged_in, false)
    await phone.call('POST', '/passkey/approve')
    assert.equal((await device.status()).is_logged_in, false, 'our side has not confirmed yet')
    await device.ok('POST', `${PATH}/confirm`)
    await device.untilConnected()
    await proveItTalks(device)
    await device.refused(409, 'POST', `${PATH}/confirm`)
  })

  test('nothing that the service saw was wrong, but for what was asked for', async () => {
    await stage.whatsapp.assertNoProblems(({ text }) => /WebAuthn|rejected the link|the client has gone/.test(text))
    stage.inbox.assertSchemas()
  })
})
