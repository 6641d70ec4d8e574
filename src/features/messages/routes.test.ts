import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type TestDevice, TestGateway } from '../../../test/support/fakes/test-gateway.ts'
import { ParleyError } from '../../kernel/errors.ts'

const gateway = await TestGateway.open()
after(() => gateway[Symbol.asyncDispose]())
let device: TestDevice
before(async () => {
  device = await gateway.newDevice()
  gateway.sessions.goOnline(device.deviceId)
})

const send = (chat: string, body: unknown) => device.call('POST', `/chats/${chat}/messages`, body)

test('a text goes to the chat that was meant, with its options', async () => {
  const chats: Record<string, string> = {
    '6281234567890': '6281234567890@s.whatsapp.net',
    '+6281234567890': '6281234567890@s.whatsapp.net',
    '6281234567890@s.whatsapp.net': '6281234567890@s.whatsapp.net',
    '6281234567890%40s.whatsapp.net': '6281234567890@s.whatsapp.net',
    '6281234567890:12@s.whatsapp.net': '6281234567890@s.whatsapp.net',
    '120363040000000000@g.us': '120363040000000000@g.us',
    '120363040000000000': '120363040000000000@g.us',
    '100000000000001@lid': '100000000000001@lid',
  }
  for (const [given, chat] of Object.entries(chats)) {
    const { status, body } = await send(given, { text: 'Hello' })
    assert.equal(status, 200, given)
    assert.deepEqual(body.data, {
      message_id: '3EB0AA',
      chat_jid: chat,
      status: 'server_ack',
      timestamp: 1_767_225_600,
    })
    assert.deepEqual(gateway.sessions.calls.at(-1), [
      'send',
      device.deviceId,
      { chat, content: { kind: 'text', text: 'Hello' } },
    ])
  }
  await send('628123456', {
    text: ' x ',
    reply_to_message_id: 'M1',
    typing_simulation: false,
    presence_simulation: true,
  })
  assert.deepEqual(gateway.sessions.calls.at(-1)?.[2], {
    chat: '628123456@s.whatsapp.net',
    content: { kind: 'text', text: ' x ' },
    replyToMessageId: 'M1',
    typingSimulation: false,
    presenceSimulation: true,
  })
})

test('a text that waits for WhatsApp is accepted all the same', async () => {
  gateway.sessions.sent = { ...gateway.sessions.sent, status: 'accepted' }
  const { status, body } = await send('628123456', { text: 'x' })
  assert.deepEqual([status, body.data.status], [200, 'accepted'])
})

test('bad chats are 400 and named', async () => {
  const bad = [
    '081234567890',
    'abcdef',
    '12345',
    '12345678901234567',
    '%20',
    '62812a34567',
    '12345@s.whatsapp.net',
    'x@g.us',
    'a@b@c',
    '628123456@example.com',
    '@s.whatsapp.net',
    '628%00123456',
    `${'6'.repeat(300)}`,
  ]
  for (const chat of bad) {
    const reply = await send(chat, { text: 'x' })
    assert.deepEqual([reply.status, reply.body.data?.field], [400, 'chat_jid'], chat)
    assert.match(reply.body.message, /^chat_jid: /)
  }
})

test('bad bodies are 400 and the field is named', async () => {
  const bad: readonly (readonly [unknown, string | undefined])[] = [
    [{}, 'text'],
    [{ text: '' }, 'text'],
    [{ text: ' \n\t ' }, 'text'],
    [{ text: 5 }, 'text'],
    [{ text: null }, 'text'],
    [{ text: ['x'] }, 'text'],
    [{ text: 'ü'.repeat(32_769) }, 'text'],
    [{ text: 'x', reply_to_message_id: '' }, 'reply_to_message_id'],
    [{ text: 'x', reply_to_message_id: 5 }, 'reply_to_message_id'],
    [{ text: 'x', typing_simulation: 'true' }, 'typing_simulation'],
    [{ text: 'x', presence_simulation: 1 }, 'presence_simulation'],
    [[], undefined],
    ['x', undefined],
  ]
  for (const [body, field] of bad) {
    const reply = await send('628123456', body)
    assert.deepEqual([reply.status, reply.body.data.field], [400, field], JSON.stringify(body).slice(0, 60))
  }
  assert.equal((await send('628123456', { text: 'ü'.repeat(32_768) })).status, 200)
  assert.equal((await send('628123456', { text: 'x'.repeat(2_000_000) })).status, 413)
})

test('what sessions refuse reaches the caller with the right status', async () => {
  const refusals = [
    ['not_connected', 409],
    ['not_linked', 409],
    ['not_on_whatsapp', 422],
    ['not_found', 404],
    ['forbidden', 403],
    ['whatsapp_refused', 502],
    ['whatsapp_timeout', 504],
    ['storage_unavailable', 503],
  ] as const
  for (const [code, status] of refusals) {
    gateway.sessions.failures.set('send', new ParleyError(code, 'no', { data: { whatsapp_code: 463 } }))
    const reply = await send('628123456', { text: 'x' })
    assert.deepEqual([reply.status, reply.body.data], [status, { whatsapp_code: 463, error_code: code }])
  }
})

test('only JSON is taken', async () => {
  const reply = await gateway.call('POST', '/chats/628123456/messages', {
    headers: { ...device.headers, 'content-type': 'application/x-www-form-urlencoded' },
    payload: 'text=x',
  })
  assert.equal(reply.status, 415)
})
