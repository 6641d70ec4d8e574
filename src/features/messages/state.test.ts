import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type TestDevice, TestGateway } from '../../../test/support/fakes/test-gateway.ts'
import type { MessageRow } from '../../storage/index.ts'

const gateway = await TestGateway.open()
after(() => gateway[Symbol.asyncDispose]())
let device: TestDevice
before(async () => {
  device = await gateway.newDevice()
})

const row: MessageRow = {
  deviceId: 'd',
  conversationId: '0b1f6a52-2f0e-4c39-8f0c-4be3f1b4a5d1',
  chat: '6281234567890@s.whatsapp.net',
  messageId: 'M1',
  sender: '6289876543210@s.whatsapp.net',
  senderContactId: undefined,
  fromMe: true,
  type: 'text',
  text: 'hello',
  quotedMessageId: undefined,
  pushName: undefined,
  timestamp: 1_795_338_000,
  state: 'read',
  failureCode: undefined,
  content: new Uint8Array([1]),
}
const states = gateway.storage.messageStates

test('a message is shown with its state and receipts, and without its content', async () => {
  const none = { deliveredAt: undefined, readAt: undefined, playedAt: undefined }
  states.set('M1', {
    message: row,
    receipts: [{ ...none, recipient: row.chat, deliveredAt: 1_795_338_001_000, readAt: 1_795_338_002_000 }],
  })
  const { status, body } = await device.call('GET', '/messages/M1')
  assert.equal(status, 200)
  assert.deepEqual(body.data, {
    message_id: 'M1',
    chat_jid: row.chat,
    conversation_id: row.conversationId,
    from_me: true,
    type: 'text',
    text: 'hello',
    timestamp: 1_795_338_000,
    status: 'read',
    failure: null,
    receipts: [
      {
        recipient: row.chat,
        delivered_at: '2026-11-22T09:00:01.000Z',
        read_at: '2026-11-22T09:00:02.000Z',
        played_at: null,
      },
    ],
  })
})

test('a failed one says why', async () => {
  const failed = { ...row, state: 'failed', text: undefined } as const
  states.set('M2', { message: { ...failed, failureCode: 463, failureReason: 'restricted' }, receipts: [] })
  states.set('M3', { message: failed, receipts: [] })
  const failureOf = async (id: string) => (await device.call('GET', `/messages/${id}`)).body.data.failure
  assert.deepEqual(await failureOf('M2'), { whatsapp_code: 463, message: 'restricted' })
  assert.deepEqual(await failureOf('M3'), { whatsapp_code: null, message: 'the message failed' })
})

test('unknown is 404, ambiguous and malformed are 400 and named', async () => {
  assert.equal((await device.call('GET', '/messages/NONE')).status, 404)
  states.set('M4', 'ambiguous')
  for (const path of ['/messages/M4', '/messages/M1?chat_jid=abc', '/messages/M1?chat_jid=']) {
    const { status, body } = await device.call('GET', path)
    assert.deepEqual([status, body.data.field], [400, 'chat_jid'], path)
  }
  const { status, body } = await device.call('GET', `/messages/${'x'.repeat(129)}`)
  assert.deepEqual([status, body.data.field], [400, 'message_id'])
})

test('the chat may be given as a phone number', async () => {
  states.set('M1', { message: row, receipts: [] })
  assert.equal((await device.call('GET', '/messages/M1?chat_jid=%2B6281234567890')).status, 200)
  assert.equal((await device.call('GET', '/messages/M1?chat_jid=6281234567899')).status, 404)
})
