import assert from 'node:assert/strict'
import { after, beforeEach, test } from 'node:test'
import { runInNewContext } from 'node:vm'
import { type TestDevice, TestGateway } from '../../../test/support/fakes/test-gateway.ts'
import { ParleyError } from '../../kernel/errors.ts'
import { passkeySnippet } from './passkey-snippet.ts'

const gateway = await TestGateway.open()
after(() => gateway[Symbol.asyncDispose]())
let device: TestDevice
beforeEach(async () => {
  device = await gateway.newDevice()
})

const PNG = Buffer.from([0x89, 0x50, 0x4e, 0x47])

const login = (headers: Record<string, string> = {}, payload = '', query = '') =>
  gateway.app.inject({
    method: 'POST',
    url: `/devices/me/login${query}`,
    headers: { ...device.headers, ...headers },
    payload,
  })

const askPasskey = (more: object = {}) =>
  gateway.sessions.states.set(device.deviceId, {
    state: 'passkey_required',
    passkey: {
      state: 'waiting_for_assertion',
      options: { challenge: 'AAAA', rpId: 'web.whatsapp.com', allowCredentials: [{ type: 'public-key', id: 'AQID' }] },
      confirmationCode: undefined,
      expiresAt: Date.UTC(2026, 0, 1, 0, 5),
      ...more,
    },
  })

test('json: the code as text and as an image, with its time', async () => {
  const { status, body } = await device.call('POST', '/devices/me/login', { output: 'json' })
  assert.equal(status, 200)
  const { qr_code: image, ...rest } = body.data
  assert.deepEqual(rest, { timeout: 60, code: '2@code,key,identity,secret', expires_at: '2026-01-01T00:01:00.000Z' })
  const png = Buffer.from(image.replace('data:image/png;base64,', ''), 'base64')
  assert.deepEqual(png.subarray(0, 4), PNG)
  assert.equal(png.readUInt32BE(16), 256)
})

test('the output is taken from JSON, form, multipart and query', async () => {
  const types = async (...sent: Parameters<typeof login>) => String((await login(...sent)).headers['content-type'])
  assert.match(await types({ 'content-type': 'application/x-www-form-urlencoded' }, 'output=json'), /json/)
  const multipart = '--b\r\nContent-Disposition: form-data; name="output"\r\n\r\njson\r\n--b--\r\n'
  assert.match(await types({ 'content-type': 'multipart/form-data; boundary=b' }, multipart), /json/)
  assert.match(await types({}, '', '?output=png'), /image\/png/)
  assert.match(
    await types({ 'content-type': 'application/json' }, '{"output":"terminal"}', '?output=png'),
    /text\/plain/,
  )
})

test('without a name Accept decides, and the page is the default', async () => {
  const types = async (accept?: string) =>
    String((await login(accept === undefined ? {} : { accept })).headers['content-type']).split(';')[0]
  assert.equal(await types(), 'text/html')
  assert.equal(await types('*/*'), 'text/html')
  assert.equal(await types('application/json'), 'application/json')
  assert.equal(await types('image/png, application/json;q=0.5'), 'image/png')
  assert.equal(await types('text/plain;q=0.1, application/json;q=0.9'), 'application/json')
  assert.equal(await types('text/html,application/xhtml+xml,*/*;q=0.8'), 'text/html')
})

test('png is the image itself, terminal is block characters', async () => {
  const png = await login({}, '', '?output=png')
  assert.deepEqual(png.rawPayload.subarray(0, 4), PNG)
  assert.equal(png.headers['x-expires-at'], '2026-01-01T00:01:00.000Z')
  const { body } = await login({}, '', '?output=terminal')
  assert.match(body, /█.*\n.*█/)
  assert.match(body, /within 60 s/)
})

test('an unknown output is 400 and named', async () => {
  for (const reply of [
    await login({}, '', '?output=xml'),
    await login({ 'content-type': 'application/json' }, '{"output":7}'),
  ])
    assert.deepEqual([reply.statusCode, reply.json().data.field], [400, 'output'])
})

test('a linked device answers 200 without data', async () => {
  gateway.sessions.goOnline(device.deviceId)
  for (const [path, body] of [
    ['login', { output: 'json' }],
    ['login-code', { phone: '628123456' }],
  ] as const) {
    const reply = await device.call('POST', `/devices/me/${path}`, body)
    assert.deepEqual([reply.status, reply.body.status, 'data' in reply.body], [200, true, false])
  }
})

test('no code in time is 504 for QR and 502 for the pairing code, with the reason', async () => {
  const failure = () => new ParleyError('pairing_failed', 'WhatsApp is out of reach', { data: { reason: 'network' } })
  gateway.sessions.failures.set('linkByQr', failure()).set('linkByCode', failure())
  const qr = await device.call('POST', '/devices/me/login', { output: 'json' })
  assert.deepEqual(
    [qr.status, qr.body.code, qr.body.data],
    [504, 504, { reason: 'network', error_code: 'pairing_failed' }],
  )
  const code = await device.call('POST', '/devices/me/login-code', { phone: '628123456' })
  assert.deepEqual([code.status, code.body.data.reason], [502, 'network'])
  gateway.sessions.failures.set('linkByQr', failure())
  assert.equal((await login()).statusCode, 504)
})

test('the page holds the caller’s own token and nothing that can break out of it', async () => {
  const nasty = `Bearer ${device.token}`
  const reply = await login({ host: 'gate.example:7001', authorization: nasty })
  const html = reply.body
  assert.equal(reply.statusCode, 200)
  const config = JSON.parse(/<script type="application\/json" id="config">(.*?)<\/script>/s.exec(html)![1]!)
  assert.deepEqual(config, { origin: 'http://gate.example:7001', baseUrl: '', authorization: nasty })
  const policy = String(reply.headers['content-security-policy'])
  const nonce = /script-src 'nonce-([^']+)'/.exec(policy)![1]!
  assert.match(policy, /default-src 'none'/)
  assert.equal(html.split(`<script nonce="${nonce}">`).length, 2)
  assert.doesNotMatch(html, /device_secret/)
  assert.notEqual(nonce, /nonce-([^']+)'/.exec(String((await login()).headers['content-security-policy']))![1])
  assert.equal(reply.headers['cache-control'], 'no-store')
})

test('a Host that is no host does not reach the page', async () => {
  const { body } = await login({ host: 'x</script><script>alert(1)</script>' })
  assert.doesNotMatch(body, /alert\(1\)/)
})

test('the state shows each code as it rotates, then what follows', async () => {
  const state = async () => (await device.call('GET', '/devices/me/login/state')).body.data
  assert.deepEqual((await state()).state, 'idle')
  await device.call('POST', '/devices/me/login', { output: 'json' })
  const first = await state()
  assert.deepEqual([first.state, first.code, first.timeout], ['waiting_for_scan', '2@code,key,identity,secret', 60])
  const offer = { code: '2@second', expiresAt: gateway.clock.now() + 20_000 }
  gateway.sessions.states.set(device.deviceId, { state: 'waiting_for_scan', offer })
  const second = await state()
  assert.deepEqual([second.code, second.timeout], ['2@second', 20])
  assert.notEqual(second.qr_code, first.qr_code)
  gateway.sessions.states.set(device.deviceId, { state: 'waiting_for_code', offer: { ...offer, code: 'ABCD-1234' } })
  assert.deepEqual([(await state()).pair_code, (await state()).qr_code], ['ABCD-1234', null])
  gateway.sessions.states.set(device.deviceId, { state: 'linked', jid: '628:1@s.whatsapp.net' })
  assert.equal((await state()).jid, '628:1@s.whatsapp.net')
  gateway.sessions.states.set(device.deviceId, { state: 'failed', reason: 'expired', message: 'Nobody scanned.' })
  assert.deepEqual([(await state()).reason, (await state()).message], ['expired', 'Nobody scanned.'])
  askPasskey()
  assert.equal((await state()).passkey.state, 'waiting_for_assertion')
})

test('while a linking is past its code, the page comes all the same', async () => {
  askPasskey()
  gateway.sessions.failures.set(
    'linkByQr',
    new ParleyError('pairing_failed', 'x', { data: { reason: 'passkey_required' } }),
  )
  assert.match(String((await login()).headers['content-type']), /html/)
  gateway.sessions.failures.set('linkByQr', new ParleyError('conflict', 'a passkey is awaited'))
  assert.equal((await device.call('POST', '/devices/me/login', { output: 'json' })).status, 409)
})

test('a pairing code for a phone number', async () => {
  gateway.sessions.offer = { code: 'ABCD-1234', expiresAt: gateway.clock.now() + 160_000 }
  const { status, body } = await device.call('POST', '/devices/me/login-code', { phone: '+6281234567890' })
  assert.equal(status, 200)
  assert.deepEqual([body.data.pair_code, body.data.timeout], ['ABCD-1234', 160])
  assert.deepEqual(gateway.sessions.calls.at(-1), ['linkByCode', device.deviceId, '6281234567890'])
  for (const phone of [
    '081234567890',
    'abcdefgh',
    '12345',
    '12345678901234567',
    '',
    ' ',
    '62 812',
    6281234567890,
    null,
    undefined,
  ]) {
    const reply = await device.call('POST', '/devices/me/login-code', { phone })
    assert.deepEqual([reply.status, reply.body.data.field], [400, 'phone'], String(phone))
  }
  const { headers } = device
  const noBody = await gateway.call('POST', '/devices/me/login-code', { headers })
  assert.equal(noBody.status, 400)
})

test('the passkey steps: options and snippet, assertion, code, confirmation', async () => {
  for (const [method, path, body] of [
    ['GET', '', undefined],
    ['POST', '', { assertion: ASSERTION }],
    ['POST', '/confirm', undefined],
  ] as const) {
    const reply = await device.call(method, `/devices/me/login/passkey${path}`, body)
    assert.deepEqual([reply.status, reply.body.data.error_code], [409, 'conflict'], `${method} ${path}`)
  }
  askPasskey()
  const asked = await device.call('GET', '/devices/me/login/passkey')
  assert.deepEqual(
    [
      asked.body.data.state,
      asked.body.data.options.challenge,
      asked.body.data.confirmation_code,
      asked.body.data.expires_at,
    ],
    ['waiting_for_assertion', 'AAAA', null, '2026-01-01T00:05:00.000Z'],
  )
  assert.match(asked.body.data.snippet, /navigator\.credentials\.get/)
  assert.equal((await device.call('POST', '/devices/me/login/passkey/confirm')).status, 409)
  const handed = await device.call('POST', '/devices/me/login/passkey', { assertion: ASSERTION })
  assert.deepEqual([handed.status, handed.body.data], [200, { state: 'confirm', confirmation_code: 'ABCD-2345' }])
  assert.deepEqual(gateway.sessions.calls.at(-1)?.[2], ASSERTION)
  assert.equal((await device.call('GET', '/devices/me/login/passkey')).body.data.confirmation_code, 'ABCD-2345')
  assert.equal((await device.call('POST', '/devices/me/login/passkey/confirm')).body.data.state, 'done')
})

test('an assertion that is malformed is 400 and the part is named; one refused by WhatsApp 502', async () => {
  askPasskey()
  const { response } = ASSERTION
  const bad: readonly (readonly [object, string])[] = [
    [{}, 'assertion'],
    [{ assertion: 'x' }, 'assertion'],
    [{ assertion: { ...ASSERTION, id: 'a+b' } }, 'assertion.id'],
    [{ assertion: { ...ASSERTION, rawId: '' } }, 'assertion.rawId'],
    [{ assertion: { ...ASSERTION, type: 'password' } }, 'assertion.type'],
    [{ assertion: { ...ASSERTION, response: { ...response, signature: 'a==' } } }, 'assertion.response.signature'],
    [
      { assertion: { ...ASSERTION, response: { ...response, clientDataJSON: undefined } } },
      'assertion.response.clientDataJSON',
    ],
  ]
  for (const [body, field] of bad) {
    const reply = await device.call('POST', '/devices/me/login/passkey', body)
    assert.deepEqual([reply.status, reply.body.data.field], [400, field])
  }
  gateway.sessions.failures.set(
    'submitPasskey',
    new ParleyError('whatsapp_refused', 'no', { data: { whatsapp_code: 406 } }),
  )
  const reply = await device.call('POST', '/devices/me/login/passkey', { assertion: ASSERTION })
  assert.deepEqual([reply.status, reply.body.data.whatsapp_code], [502, 406])
})

test('an authenticator without a user handle may leave it out', async () => {
  askPasskey()
  const { userHandle: _, ...response } = ASSERTION.response
  const reply = await device.call('POST', '/devices/me/login/passkey', { assertion: { ...ASSERTION, response } })
  assert.equal(reply.status, 200)
  assert.equal((gateway.sessions.calls.at(-1)![2] as typeof ASSERTION).response.userHandle, null)
})

test('the snippet runs in a browser and prints what the route takes', async () => {
  const given: { publicKey?: { challenge: Uint8Array; allowCredentials: { id: Uint8Array }[] } } = {}
  const printed: string[] = []
  const bytes = (...values: number[]) => new Uint8Array(values).buffer
  const navigator = {
    credentials: {
      get: async (options: typeof given) => {
        Object.assign(given, options)
        return {
          id: '-_8',
          rawId: bytes(251, 255),
          type: 'public-key',
          response: { clientDataJSON: bytes(1), authenticatorData: bytes(2), signature: bytes(3), userHandle: null },
        }
      },
    },
  }
  const options = { challenge: '-_8', rpId: 'web.whatsapp.com', allowCredentials: [{ type: 'public-key', id: 'AQID' }] }
  await runInNewContext(passkeySnippet(options), {
    navigator,
    console: { log: () => undefined },
    prompt: (_: string, text: string) => printed.push(text),
    atob,
    btoa,
  })
  assert.deepEqual([...given.publicKey!.challenge], [251, 255])
  assert.deepEqual([...given.publicKey!.allowCredentials[0]!.id], [1, 2, 3])
  const assertion = JSON.parse(printed[0]!)
  assert.equal(assertion.rawId, '-_8')
  askPasskey()
  assert.equal((await device.call('POST', '/devices/me/login/passkey', { assertion })).status, 200)
})

const ASSERTION = {
  id: 'AQID',
  rawId: 'AQID',
  type: 'public-key',
  response: { clientDataJSON: 'e30', authenticatorData: 'AAAA', signature: 'MEUC', userHandle: 'AQ' },
} as const
