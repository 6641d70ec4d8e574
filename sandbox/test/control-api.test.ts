import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Sandbox, startSandbox } from '../src/server.ts'
import { ControlClient } from './support/control-client.ts'

let sandbox: Sandbox
let control: ControlClient

before(async () => {
  sandbox = await startSandbox()
  control = new ControlClient(sandbox.http)
})
after(() => sandbox[Symbol.asyncDispose]())

const addPerson = (name: string, extra: object = {}) => control.post('/sandbox/people', { name, ...extra })

test('people are created, listed, shown and changed', async () => {
  const created = await control.call('POST', '/sandbox/people', { name: 'Ann', phone: '+4915112345678' })
  assert.equal(created.status, 201)
  const { lid, ...rest } = created.body
  assert.match(lid, /^\d{15}@lid$/)
  assert.deepEqual(rest, {
    phone: '4915112345678',
    jid: '4915112345678@s.whatsapp.net',
    name: 'Ann',
    passkey: 'none',
    accepts_links: true,
    max_companions: 4,
    online: true,
    companions: [],
  })
  assert.deepEqual(await control.get('/sandbox/people/4915112345678'), created.body)
  assert.deepEqual((await control.get('/sandbox/people')).people.at(-1), created.body)
  const changes = { name: 'Anna', passkey: 'required', max_companions: 1, accepts_links: false }
  const changed = await control.call('PATCH', '/sandbox/people/4915112345678', changes)
  assert.deepEqual(changed.body, { ...created.body, ...changes })
  const taken = await control.call('POST', '/sandbox/people', { name: 'Other', phone: '4915112345678' })
  assert.deepEqual([taken.status, taken.body.error.code], [409, 'phone_taken'])
})

test('people write to each other over HTTP: text, quote, receipts, read, filters, waiting', async () => {
  const [ann, ben, cleo] = [await addPerson('Ann'), await addPerson('Ben'), await addPerson('Cleo')]
  const waiting = control.get(`/sandbox/people/${ben.phone}/messages?wait_ms=5000`)
  const { message_id } = await control.post(`/sandbox/people/${ann.phone}/send`, { to: ben.phone, text: 'hello' })
  const { messages } = await waiting
  const { timestamp, ...message } = messages[0]
  assert.ok(Math.abs(timestamp - Date.now() / 1000) < 10)
  assert.deepEqual(message, {
    seq: 1,
    message_id,
    chat: ann.jid,
    from: ann.phone,
    from_pn: ann.jid,
    from_lid: ann.lid,
    from_device: 0,
    from_me: false,
    group: false,
    type: 'text',
    text: 'hello',
    push_name: 'Ann',
    quoted_message_id: null,
    target_message_id: null,
    copies: 1,
    media: null,
    link: null,
    mentions: [],
    quoted_text: null,
    forwarded: false,
    location: null,
    vcards: [],
    poll: null,
    vote: null,
    disappearing_seconds: null,
    expires_after: null,
    timer_set_at: null,
    timer_by_default: false,
    quoted_chat: null,
  })
  await control.post(`/sandbox/people/${ben.phone}/send`, { to: ann.lid, text: 'yes', quoted_message_id: message_id })
  const answer = await control.get(`/sandbox/people/${ann.phone}/messages?wait_ms=5000`)
  assert.deepEqual([answer.messages[0].text, answer.messages[0].quoted_message_id], ['yes', message_id])
  await control.post(`/sandbox/people/${ben.phone}/read`, { chat: ann.phone, message_ids: [message_id] })
  const after = await control.get(`/sandbox/people/${ann.phone}/receipts?wait_ms=5000`)
  const last = await control.get(`/sandbox/people/${ann.phone}/receipts?after=${after.receipts[0].seq}&wait_ms=5000`)
  const receipts = [after.receipts[0], ...last.receipts]
  assert.deepEqual(
    receipts.map(({ type, message_id, from }) => [type, message_id, from]),
    [
      ['delivered', message_id, ben.phone],
      ['read', message_id, ben.phone],
    ],
  )
  await control.post(`/sandbox/people/${cleo.phone}/send`, { to: ben.jid, text: 'and me' })
  const fromCleo = await control.get(`/sandbox/people/${ben.phone}/messages?from=${cleo.phone}&wait_ms=5000`)
  assert.deepEqual(
    fromCleo.messages.map(({ text }: { text: string }) => text),
    ['and me'],
  )
  const all = await control.get(`/sandbox/people/${ben.phone}/messages?include_sent=true`)
  assert.deepEqual(
    all.messages.map(({ text, from_me }: { text: string; from_me: boolean }) => [text, from_me]),
    [
      ['hello', false],
      ['yes', true],
      ['and me', false],
    ],
  )
  const none = await control.get(`/sandbox/people/${ben.phone}/messages?after=99&wait_ms=20`)
  assert.deepEqual(none.messages, [])
  assert.deepEqual((await control.get('/sandbox/problems')).problems, [])
})

test('a group is created and written to', async () => {
  const [ann, ben] = [await addPerson('Ann'), await addPerson('Ben')]
  const request = { subject: 'Friends', creator: ann.phone, participants: [ben.phone, ann.phone] }
  const { status, body: group } = await control.call('POST', '/sandbox/groups', request)
  assert.equal(status, 201)
  assert.match(group.jid, /^\d+@g\.us$/)
  assert.deepEqual([group.creator, group.participants], [ann.phone, [ann.phone, ben.phone]])
  assert.deepEqual((await control.get('/sandbox/groups')).groups.at(-1), group)
  await control.post(`/sandbox/people/${ben.phone}/send`, { to: group.jid, text: 'hi' })
  const { messages } = await control.get(`/sandbox/people/${ann.phone}/messages?wait_ms=5000`)
  assert.deepEqual([messages[0].chat, messages[0].group, messages[0].from], [group.jid, true, ben.phone])
})

test('a phone without a network keeps its messages waiting', async () => {
  const [ann, ben] = [await addPerson('Ann'), await addPerson('Ben')]
  const off = await control.post(`/sandbox/people/${ben.phone}/phone`, { online: false })
  assert.equal(off.online, false)
  await control.post(`/sandbox/people/${ann.phone}/send`, { to: ben.phone, text: 'later' })
  assert.deepEqual((await control.get(`/sandbox/people/${ben.phone}/messages?wait_ms=30`)).messages, [])
  const refused = await control.call('POST', `/sandbox/people/${ben.phone}/send`, { to: ann.phone, text: 'now' })
  assert.deepEqual([refused.status, refused.body.error.code], [409, 'phone_offline'])
  await control.post(`/sandbox/people/${ben.phone}/phone`, { online: true })
  assert.equal((await control.get(`/sandbox/people/${ben.phone}/messages?wait_ms=5000`)).messages[0].text, 'later')
})

test('faults are armed, listed, disarmed, and felt', async () => {
  const [ann, ben] = [await addPerson('Ann'), await addPerson('Ben')]
  const fault = { kind: 'reject_message', phone: ann.phone, to: ben.phone, code: 463 }
  const { status, body } = await control.call('POST', '/sandbox/faults', fault)
  assert.equal(status, 201)
  assert.deepEqual((await control.get('/sandbox/faults')).faults, [
    { id: body.id, kind: 'reject_message', phone: ann.phone, left: 1 },
  ])
  const refused = await control.call('POST', `/sandbox/people/${ann.phone}/send`, { to: ben.phone, text: 'no' })
  assert.deepEqual([refused.status, refused.body.error.code], [422, 'refused'])
  assert.deepEqual((await control.get('/sandbox/faults')).faults, [])
  const { id } = await control.post('/sandbox/faults', { kind: 'duplicate', times: 3 })
  assert.equal((await control.call('DELETE', `/sandbox/faults/${id}`)).status, 200)
  assert.equal((await control.call('DELETE', `/sandbox/faults/${id}`)).status, 404)
  await control.post('/sandbox/faults', { kind: 'tamper', target: 'enc' })
  assert.equal((await control.call('DELETE', '/sandbox/faults')).status, 200)
  assert.deepEqual((await control.get('/sandbox/faults')).faults, [])
})

test('what is refused is refused with the right status and code', async () => {
  const { phone } = await addPerson('Ann')
  const person = `/sandbox/people/${phone}`
  const qr = `ref,${Array(3).fill(Buffer.alloc(32).toString('base64')).join(',')}`
  const cases: readonly [string, string, unknown, number, string][] = [
    ['POST', '/sandbox/people', '{', 400, 'invalid_json'],
    ['POST', '/sandbox/people', '[]', 400, 'invalid_request'],
    ['POST', '/sandbox/people', '', 400, 'invalid_request'],
    ['POST', '/sandbox/people', { name: '' }, 400, 'invalid_request'],
    ['POST', '/sandbox/people', { name: 7 }, 400, 'invalid_request'],
    ['POST', '/sandbox/people', { name: 'A', nme: 1 }, 400, 'invalid_request'],
    ['POST', '/sandbox/people', { name: 'A', phone: '0151' }, 400, 'invalid_request'],
    ['POST', '/sandbox/people', { name: 'A', phone: '12345678901234567' }, 400, 'invalid_request'],
    ['POST', '/sandbox/people', { name: 'A', passkey: 'maybe' }, 400, 'invalid_request'],
    ['POST', '/sandbox/people', JSON.stringify({ name: 'x'.repeat(1024 * 1024) }), 413, 'too_large'],
    ['GET', '/sandbox/people/123', undefined, 404, 'unknown_person'],
    ['GET', '/sandbox/nothing', undefined, 404, 'not_found'],
    ['GET', '/sandbox/people/%E0%A4%A', undefined, 400, 'invalid_request'],
    ['DELETE', '/sandbox/people', undefined, 405, 'method_not_allowed'],
    ['POST', `${person}/send`, { to: '999999999', text: 'x' }, 422, 'unknown_recipient'],
    ['POST', `${person}/send`, { to: 'nobody', text: 'x' }, 400, 'invalid_request'],
    ['POST', `${person}/send`, { to: '1203@g.us', text: 'x' }, 422, 'unknown_group'],
    ['POST', `${person}/send`, { to: phone, text: '' }, 400, 'invalid_request'],
    ['GET', `${person}/messages?after=-1`, undefined, 400, 'invalid_request'],
    ['GET', `${person}/messages?after=x`, undefined, 400, 'invalid_request'],
    ['GET', `${person}/messages?wait_ms=600000`, undefined, 400, 'invalid_request'],
    ['GET', `${person}/messages?include_sent=perhaps`, undefined, 400, 'invalid_request'],
    ['GET', `${person}/messages?form=1`, undefined, 400, 'invalid_request'],
    ['GET', `${person}/messages?from=999999999`, undefined, 422, 'unknown_recipient'],
    ['POST', `${person}/read`, { chat: phone, message_ids: ['nothing'] }, 404, 'unknown_message'],
    ['POST', `${person}/read`, { chat: phone, message_ids: [] }, 400, 'invalid_request'],
    ['POST', `${person}/typing`, { to: phone, state: 'thinking' }, 400, 'invalid_request'],
    ['POST', `${person}/watch`, { to: '999999999' }, 422, 'unknown_recipient'],
    ['GET', `${person}/presences?after=x`, undefined, 400, 'invalid_request'],
    ['POST', `${person}/scan`, { qr: 'hello' }, 422, 'bad_qr'],
    ['POST', `${person}/scan`, { qr }, 422, 'expired'],
    ['POST', `${person}/enter-code`, { code: 'ABC' }, 422, 'bad_code'],
    ['POST', `${person}/enter-code`, { code: 'ABCD1234' }, 422, 'expired'],
    ['POST', '/admin/mock-phone/scan-qr', 'hello', 422, 'bad_qr'],
    ['DELETE', `${person}/devices/0`, undefined, 404, 'unknown_device'],
    ['DELETE', `${person}/devices/7`, undefined, 404, 'unknown_device'],
    ['POST', `/sandbox/devices/${phone}:3@s.whatsapp.net/disconnect`, { mode: 'close' }, 404, 'unknown_device'],
    ['POST', `/sandbox/devices/${phone}@s.whatsapp.net/disconnect`, { mode: 'close' }, 404, 'unknown_device'],
    ['POST', '/sandbox/devices/x/disconnect', { mode: 'explode' }, 400, 'invalid_request'],
    ['POST', `${person}/passkey/approve`, {}, 409, 'nothing_to_decide'],
    ['POST', `${person}/passkey/assert`, { options: { challenge: 'x', rpId: 'whatsapp.com' } }, 422, 'not_signed'],
    ['POST', `${person}/passkey/assert`, { options: 'x' }, 400, 'invalid_request'],
    ['POST', '/sandbox/groups', { subject: 'G', creator: '123456', participants: [] }, 404, 'unknown_person'],
    ['POST', '/sandbox/groups', { subject: 'G', creator: phone, participants: 'x' }, 400, 'invalid_request'],
    ['POST', '/sandbox/faults', { kind: 'gremlin' }, 400, 'invalid_request'],
    ['POST', '/sandbox/faults', { kind: 'reject_message' }, 400, 'invalid_request'],
    ['POST', '/sandbox/faults', { kind: 'duplicate', code: 4 }, 400, 'invalid_request'],
    ['POST', '/sandbox/faults', { kind: 'duplicate', phone: '123456' }, 404, 'unknown_person'],
    ['POST', '/sandbox/faults', { kind: 'reject_message', code: 4, to: '999999999' }, 422, 'unknown_recipient'],
    ['DELETE', '/sandbox/faults/77', undefined, 404, 'unknown_fault'],
  ]
  for (const [method, path, body, status, code] of cases) {
    const reply = await control.call(method, path, body)
    const name = `${method} ${path} ${JSON.stringify(body)?.slice(0, 80)}: ${JSON.stringify(reply.body)}`
    assert.deepEqual([reply.status, reply.body.error.code], [status, code], name)
    assert.equal(typeof reply.body.error.message, 'string')
  }
  assert.equal((await control.call('DELETE', '/sandbox/people')).headers.get('allow'), 'POST, GET')
  await control.call('PATCH', person, { accepts_links: false })
  const declined = await control.call('POST', `${person}/scan`, { qr })
  assert.deepEqual([declined.status, declined.body.error.code], [422, 'declined'])
  assert.deepEqual((await control.get('/sandbox/problems?kind=internal')).problems, [])
})

test('a phone notes who types to it, and who of those it watches comes and goes', async () => {
  const [ann, ben] = await Promise.all(['Ann', 'Ben'].map((name) => control.post('/sandbox/people', { name })))
  await control.post(`/sandbox/people/${ann.phone}/watch`, { to: ben.phone })
  await control.post(`/sandbox/people/${ben.phone}/typing`, { to: ann.phone, state: 'recording' })
  await control.post(`/sandbox/people/${ben.phone}/typing`, { to: ann.phone, state: 'paused' })
  await control.post(`/sandbox/people/${ben.phone}/phone`, { online: false })
  const { presences } = await control.get(`/sandbox/people/${ann.phone}/presences?after=3&wait_ms=5000`)
  assert.deepEqual(presences.length, 1)
  const all = (await control.get(`/sandbox/people/${ann.phone}/presences`)).presences
  assert.deepEqual(
    all.map(({ state, chat, from }: Record<string, string>) => [state, chat, from]),
    ['available', 'recording', 'paused', 'unavailable'].map((state) => [state, ben.jid, ben.phone]),
  )
})

test('the service is observed: state, metrics, devices', async () => {
  const state = await control.get('/sandbox/state')
  assert.equal(state.people, (await control.get('/sandbox/people')).people.length)
  assert.deepEqual([state.devices, state.devices_connected, state.registrations], [0, 0, []])
  const metrics = await control.get('/sandbox/metrics')
  assert.ok(metrics.messages > 0 && metrics.stanzas_in > 0)
  assert.deepEqual(await control.get('/sandbox/devices'), { devices: [] })
})

test('the page and the API document are served; the document lists every route', async () => {
  const page = await fetch(`${sandbox.http}/sandbox/`)
  assert.equal(page.headers.get('content-type'), 'text/html; charset=utf-8')
  const html = await page.text()
  assert.ok(html.includes('<title>Parley sandbox</title>'))
  assert.ok(!/https?:\/\//.test(html), 'nothing is loaded from elsewhere')
  const document = await control.get('/sandbox/openapi.json')
  assert.equal(document.openapi, '3.1.0')
  const listed = Object.entries(document.paths as object).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  )
  assert.deepEqual(listed.sort(), ROUTES.toSorted())
  const operations = Object.values(document.paths as object).flatMap((path) => Object.values(path as object))
  const ids = operations.map(({ operationId }) => operationId)
  assert.equal(new Set(ids).size, ids.length, 'operation ids are unique')
  for (const operation of operations) assert.ok(operation.summary && Object.keys(operation.responses).length > 0)
})

const PERSON = '/sandbox/people/{phone}'
const ROUTES = [
  'DELETE /sandbox/faults',
  'DELETE /sandbox/faults/{id}',
  `DELETE ${PERSON}/devices/{device}`,
  'GET /sandbox/devices',
  'GET /sandbox/faults',
  'GET /sandbox/groups',
  'GET /sandbox/media',
  'GET /sandbox/metrics',
  'GET /sandbox/people',
  `GET ${PERSON}`,
  `GET ${PERSON}/chat-changes`,
  `GET ${PERSON}/messages`,
  `GET ${PERSON}/messages/{message_id}/media`,
  `GET ${PERSON}/passkey`,
  `GET ${PERSON}/presences`,
  `GET ${PERSON}/receipts`,
  'GET /sandbox/problems',
  'GET /sandbox/state',
  'GET /sandbox/wire',
  'POST /sandbox/wire',
  `PATCH ${PERSON}`,
  'POST /admin/mock-phone/scan-qr',
  'POST /sandbox/devices/{jid}/disconnect',
  'POST /sandbox/faults',
  'POST /sandbox/groups',
  'POST /sandbox/media/blobs',
  'POST /sandbox/media/damage',
  'POST /sandbox/media/expire',
  'POST /sandbox/people',
  ...[
    'vote',
    'revoke',
    'react',
    'poll',
    'edit',
    'chat',
    'availability',
    'enter-code',
    'passkey/approve',
    'passkey/assert',
    'passkey/reject',
    'phone',
    'read',
    'scan',
    'send',
    'send-media',
    'send-timed',
    'timer',
    'default-timer',
    'forget-files',
    'typing',
    'watch',
  ].map((action) => `POST ${PERSON}/${action}`),
].sort()
