import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Stage } from '../support/e2e/stage.ts'
import { until } from '../support/e2e/until.ts'

const PNG = [0x89, 0x50, 0x4e, 0x47]

describe('linking', () => {
  let stage: Stage

  before(async () => {
    stage = await Stage.open()
  })
  after(() => stage?.[Symbol.asyncDispose]())

  test('one code as page, JSON, image and text; all callers join one socket', async () => {
    const before = await stage.whatsapp.metrics()
    const device = await stage.newDevice()
    const ask = (output?: string, more = {}) =>
      device.call('POST', '/devices/me/login', { ...(output ? { body: { output } } : {}), ...more })
    const json = await ask('json')
    assert.equal(json.status, 200)
    assert.match(json.data.code, /^https:\/\/wa\.me\/settings\/linked_devices#|^2@/)
    assert.match(json.data.qr_code, /^data:image\/png;base64,/)
    const picture = Buffer.from(json.data.qr_code.split(',')[1], 'base64')
    assert.deepEqual([picture.readUInt32BE(16), picture.readUInt32BE(20)], [256, 256])
    assert.ok(json.data.timeout > 50 && json.data.timeout <= 60)
    assert.ok(Math.abs(Date.parse(json.data.expires_at) - Date.now() - 60_000) < 10_000)

    const png = await ask('png')
    assert.equal(png.headers.get('content-type'), 'image/png')
    assert.deepEqual([...png.bytes.slice(0, 4)], PNG)
    assert.equal(png.headers.get('x-expires-at'), json.data.expires_at)
    const terminal = await ask('terminal')
    assert.match(terminal.headers.get('content-type')!, /^text\/plain/)
    assert.match(terminal.text, /[█▀▄]/)
    const page = await ask('html')
    assert.match(page.headers.get('content-type')!, /^text\/html/)
    assert.match(page.headers.get('content-security-policy')!, /default-src 'none'/)
    assert.match(page.text, /<title>Link a device/)

    // by default the page; else what Accept, the query or a form says
    assert.match((await ask()).headers.get('content-type')!, /^text\/html/)
    assert.equal((await ask(undefined, { headers: { accept: 'image/png' } })).headers.get('content-type'), 'image/png')
    const byQuery = await device.call('POST', '/devices/me/login?output=json')
    assert.equal(byQuery.data.code, json.data.code)
    const byForm = await device.call('POST', '/devices/me/login', { raw: new URLSearchParams({ output: 'json' }) })
    assert.equal(byForm.data.code, json.data.code)
    const form = new FormData()
    form.set('output', 'json')
    assert.equal((await device.call('POST', '/devices/me/login', { raw: form })).data.code, json.data.code)
    const state = await device.loginState()
    assert.deepEqual(
      [state.state, state.code, state.expires_at],
      ['waiting_for_scan', json.data.code, json.data.expires_at],
    )

    const wrong = await device.refused(400, 'POST', '/devices/me/login', { output: 'pdf' })
    assert.equal(wrong.data.field, 'output')
    const metrics = await stage.whatsapp.metrics()
    assert.equal(metrics.registrations - before.registrations, 1)
    assert.equal(metrics.connections - before.connections, 1)
  })

  test('the phone scans: linked, logged in after 515, told in order, and known from then on', async () => {
    const phone = await stage.whatsapp.person('Dan')
    const device = await stage.newDevice()
    await device.listen()
    assert.equal((await device.loginState()).state, 'idle')
    const code = await device.qr()
    const result = await phone.scan(code)
    assert.equal(result.status, 'linked')
    await device.untilConnected()
    const jid = result.device_jid!
    const state = await device.untilLogin('linked')
    assert.equal(state.jid, jid)

    const connected = await device.event('connection.connected')
    assert.equal(connected.data.phone_number, phone.number)
    assert.deepEqual(
      device.events().map(({ event_type }) => event_type),
      ['connection.qr', 'connection.pair_success', 'connection.connected'],
    )
    const [qr, paired] = device.events()
    assert.deepEqual(qr!.data.codes, [code])
    assert.deepEqual([paired!.data.pair_jid, paired!.data.jid], [jid, phone.number])

    const { data: own } = await device.ok('GET', '/devices/me')
    assert.deepEqual([own.whatsmeow_jid, own.status], [jid, 'active'])
    assert.ok(own.last_active)
    assert.deepEqual(await device.status(), {
      db_status: 'active',
      client_loaded: true,
      connected: true,
      is_connected: true,
      is_logged_in: true,
      error: '',
    })
    assert.deepEqual(
      (await phone.companions()).map((companion) => [companion.jid, companion.connected]),
      [[jid, true]],
    )
    for (const output of ['json', 'png', 'terminal']) {
      const again = await device.ok('POST', '/devices/me/login', { output })
      assert.equal(again.body.data, undefined, `${output}: linked already`)
    }
    const byCode = await device.ok('POST', '/devices/me/login-code', { phone: phone.number })
    assert.equal(byCode.body.data, undefined)
    assert.equal((await phone.companions()).length, 1)
  })

  test('two logins at once get one socket and one code', async () => {
    const device = await stage.newDevice()
    const before = await stage.whatsapp.metrics()
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => device.ok('POST', '/devices/me/login', { output: 'json' })),
    )
    assert.equal(new Set(answers.map(({ data }) => data.code)).size, 1)
    const metrics = await stage.whatsapp.metrics()
    assert.equal(metrics.registrations - before.registrations, 1)
    assert.equal(metrics.connections_total - before.connections_total, 1)
  })

  test('by code: typed on the phone; a wrong one is refused and the right one still works', async () => {
    const phone = await stage.whatsapp.person('Eve')
    const device = await stage.newDevice()
    await device.listen()
    for (const given of ['0123456789', '12345', '12345678901234567', 'abc', '+49x151', '']) {
      const refused = await device.refused(400, 'POST', '/devices/me/login-code', { phone: given })
      assert.equal(refused.data.field, 'phone', given)
    }
    assert.equal((await device.refused(400, 'POST', '/devices/me/login-code', {})).data.field, 'phone')
    const { data } = await device.ok('POST', '/devices/me/login-code', { phone: `+${phone.number}` })
    assert.match(data.pair_code, /^[1-9A-HJ-NP-TV-Z]{4}-[1-9A-HJ-NP-TV-Z]{4}$/)
    assert.ok(data.timeout > 150 && data.timeout <= 160)
    const state = await device.loginState()
    assert.deepEqual([state.state, state.pair_code, state.code], ['waiting_for_code', data.pair_code, null])

    const wrong = data.pair_code.startsWith('A') ? 'BBBB-BBBB' : 'AAAA-AAAA'
    await assert.rejects(phone.enterCode(wrong), /wrong_code/)
    assert.equal((await device.loginState()).state, 'waiting_for_code')
    const linked = await phone.enterCode(data.pair_code)
    await device.untilConnected()
    await device.event('connection.pair_success', { pair_jid: linked.device_jid })
    await device.event('connection.connected')
  })

  test('a code takes the place of a QR that is shown, and a QR that of a code', async () => {
    const phone = await stage.whatsapp.person('Finn')
    const device = await stage.newDevice()
    const qr = await device.qr()
    await device.ok('POST', '/devices/me/login-code', { phone: phone.number })
    await assert.rejects(phone.scan(qr), /expired/)
    const code = (await device.loginState()).pair_code
    const second = await device.qr()
    await assert.rejects(phone.enterCode(code), /expired|wrong_code|client_gone/)
    await phone.scan(second)
    await device.untilConnected()
  })

  test('a person who declines leaves the code as it was', async () => {
    const phone = await stage.whatsapp.person('Gus', { accepts_links: false })
    const device = await stage.newDevice()
    const qr = await device.qr()
    await assert.rejects(phone.scan(qr), /declined/)
    assert.equal((await device.loginState()).state, 'waiting_for_scan')
  })

  test('four companions of one number see what each of them sends; a fifth is refused', async () => {
    const [phone, friend] = await Promise.all([stage.whatsapp.person('Hana'), stage.whatsapp.person('Ivo')])
    const { apiKey } = await stage.newKey()
    const devices = await Promise.all(Array.from({ length: 5 }, (_, i) => stage.newDevice(`companion ${i}`, apiKey)))
    const four = devices.slice(0, 4)
    const jids: string[] = []
    for (const device of four) {
      await device.listen(['message.*'])
      jids.push(await device.link(phone))
    }
    assert.equal(new Set(jids).size, 4)
    const fifth = devices[4]!
    const qr = await fifth.qr()
    await assert.rejects(phone.scan(qr), /too_many_devices/)
    assert.equal((await fifth.status()).is_logged_in, false)

    for (const [index, device] of four.entries()) {
      const text = `from companion ${index}`
      const sent = await device.send(friend, text)
      assert.equal((await friend.message(text)).message_id, sent.message_id)
      const own = await phone.message(text)
      assert.deepEqual([own.from_me, own.chat], [true, friend.jid])
      for (const other of four.filter((one) => one !== device)) {
        const { data } = await other.event('message.received', { message_id: sent.message_id })
        assert.deepEqual([data.is_from_me, data.text, data.chat_pn, data.from_pn], [true, text, friend.jid, phone.jid])
        assert.equal(data.from_device, Number(/:(\d+)@/.exec(jids[index]!)![1]))
      }
    }
    const id = await friend.write(phone, 'to all of you')
    for (const device of four) {
      const { data } = await device.event('message.received', { message_id: id })
      assert.equal(data.is_from_me, false)
    }
    // what the phone itself writes is told as from me, too
    const written = await phone.write(friend, 'by hand')
    for (const device of four) {
      const { data } = await device.event('message.received', { message_id: written })
      assert.deepEqual([data.is_from_me, data.from_device], [true, 0])
    }
    // one goes, and the place can be taken
    await four[0]!.ok('DELETE', '/devices/me/session')
    const taken = await phone.scan((await fifth.loginState()).code)
    assert.equal(taken.status, 'linked')
    await fifth.untilConnected()
  })

  test('linking fails by name: what the phone signed does not hold', async () => {
    for (const target of ['adv_hmac', 'adv_account_signature']) {
      const phone = await stage.whatsapp.person(`June ${target}`)
      const device = await stage.newDevice()
      await device.listen()
      const qr = await device.qr()
      await stage.whatsapp.fault({ kind: 'tamper', target, phone: phone.number })
      await assert.rejects(phone.scan(qr), /link_failed|client_gone/)
      const state = await device.untilLogin('failed')
      assert.equal(state.reason, 'rejected', `${target}: ${state.message}`)
      await device.event('connection.pair_error')
      assert.equal((await device.status()).is_logged_in, false)
      assert.deepEqual(await phone.companions(), [])
      // nothing of it stays: the next attempt works
      await device.link(phone)
    }
  })

  test('linking fails by name: the service refuses, the version is too old, nobody answers', async () => {
    const device = await stage.newDevice()
    const fails = async (
      status: number,
      reason: string,
      path = '/devices/me/login',
      body: object = { output: 'json' },
    ) => {
      const answer = await device.refused(status, 'POST', path, body)
      assert.deepEqual([answer.data.error_code, answer.data.reason], ['pairing_failed', reason])
      const state = await device.loginState()
      assert.deepEqual([state.state, state.reason], ['failed', reason])
      await stage.whatsapp.clearFaults()
    }
    await stage.whatsapp.fault({ kind: 'fail_registration', reason: 403 })
    await fails(504, 'rejected')
    await stage.whatsapp.fault({ kind: 'fail_registration', reason: 405, times: 2 })
    await fails(504, 'version_rejected')
    await stage.whatsapp.fault({ kind: 'fail_registration', reason: 405, times: 2 })
    await fails(502, 'version_rejected', '/devices/me/login-code', { phone: '4915112345678' })
    // with the old version refused once, a refreshed one gets through
    await stage.whatsapp.fault({ kind: 'fail_registration', reason: 405 })
    await device.qr()
  })

  test('a service that cannot show its certificate is not talked to', async () => {
    const device = await stage.newDevice()
    await stage.whatsapp.fault({ kind: 'tamper', target: 'certificate', times: 5 })
    const { registrations } = await stage.whatsapp.metrics()
    const answer = await device.refused(504, 'POST', '/devices/me/login', { output: 'json' })
    assert.equal(answer.data.error_code, 'pairing_failed')
    assert.equal((await stage.whatsapp.metrics()).registrations, registrations)
    await stage.whatsapp.clearFaults()
    const phone = await stage.whatsapp.person('Kai')
    await device.link(phone)
  })

  test('nothing that the service saw was wrong, but for what was asked for', async () => {
    await stage.whatsapp.assertNoProblems(({ kind, text }) => {
      if (kind === 'refused') return /answered pair-success with an error|key bundle does not open/.test(text)
      return kind === 'handshake'
    })
    stage.inbox.assertSchemas()
  })

  test('where nothing listens, linking fails as network', async () => {
    await stage.restart({ WHATSAPP_WEB_URL: 'ws://127.0.0.1:9/ws/chat' })
    const device = await stage.newDevice()
    const answer = await device.refused(504, 'POST', '/devices/me/login', { output: 'json' })
    assert.equal(answer.data.reason, 'network')
    const byCode = await device.refused(502, 'POST', '/devices/me/login-code', { phone: '4915112345678' })
    assert.equal(byCode.data.reason, 'network')
    const send = await device.refused(409, 'POST', '/chats/4915112345678/messages', { text: 'x' })
    assert.equal(send.data.error_code, 'not_linked')
  })

  test('codes rotate, each is announced with its end, the last one ends the attempt as expired', async () => {
    const shown = 600
    await stage.restart({}, { qrLifetimeMs: shown })
    const phone = await stage.whatsapp.person('Lea')
    const device = await stage.newDevice()
    await device.listen(['connection.qr'])
    const first = await device.qr()
    const state = await until('another code', async () => {
      const now = await device.loginState()
      return now.code !== first && now
    })
    assert.equal(state.state, 'waiting_for_scan')
    const left = Date.parse(state.expires_at) - Date.now()
    assert.ok(left > -200 && left <= shown, `it is shown for ${left} ms`)
    assert.notEqual(state.qr_code, null)
    assert.equal(await device.qr(), state.code, 'asking again shows the code of the moment')
    await phone.scan(state.code)
    await device.untilConnected()
    const told = device.events('connection.qr').map(({ data }) => (data.codes as string[])[0])
    assert.deepEqual(told.slice(0, 2), [first, state.code])

    const other = await stage.newDevice()
    await other.listen(['connection.qr'])
    await other.qr()
    const failed = await other.untilLogin('failed')
    assert.equal(failed.reason, 'expired')
    await until('every code was told', () => other.events('connection.qr').length === 6)
    assert.equal(new Set(other.events('connection.qr').map(({ data }) => String(data.codes))).size, 6)
    assert.ok(await other.qr(), 'a new attempt starts anew')
  })
})
