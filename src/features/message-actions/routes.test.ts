import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type TestDevice, TestGateway } from '../../../test/support/fakes/test-gateway.ts'
import type { MessageRow } from '../../storage/index.ts'

const gateway = await TestGateway.open()
after(() => gateway[Symbol.asyncDispose]())
let device: TestDevice
before(async () => {
  device = await gateway.newDevice()
  gateway.sessions.goOnline(device.deviceId)
})

const CHAT = '6281234567890@s.whatsapp.net'

const keep = (over: Partial<MessageRow> = {}): MessageRow => {
  const message: MessageRow = {
    deviceId: device.deviceId,
    conversationId: '0b1f6a52-2f0e-4c39-8f0c-4be3f1b4a5d1',
    chat: CHAT,
    messageId: 'M1',
    sender: '6289876543210@s.whatsapp.net',
    senderContactId: undefined,
    fromMe: true,
    type: 'text',
    text: 'hello',
    quotedMessageId: undefined,
    pushName: undefined,
    timestamp: gateway.clock.now() / 1000,
    state: 'server_ack',
    failureCode: undefined,
    content: new Uint8Array([1]),
    ...over,
  }
  gateway.storage.messageStates.set(message.messageId, { message, receipts: [] })
  return message
}

const edit = () => device.call('PATCH', '/messages/M1', { chat_jid: CHAT, text: 'better' })

test('an edit goes out within 15 minutes, and is refused after', async () => {
  keep()
  const { status, body } = await edit()
  assert.deepEqual([status, body.data.target_message_id], [200, 'M1'])
  const sent = gateway.sessions.calls.at(-1)?.[2] as { content: { kind: string; text: string } }
  assert.deepEqual([sent.content.kind, sent.content.text], ['edit', 'better'])
  keep({ timestamp: gateway.clock.now() / 1000 - 15 * 60 })
  assert.equal((await edit()).status, 200)
  keep({ timestamp: gateway.clock.now() / 1000 - 15 * 60 - 1 })
  const late = await edit()
  assert.equal(late.status, 422)
  assert.match(late.body.message, /15 minutes/)
})

test('only texts of one’s own that are still there can be edited', async () => {
  keep({ fromMe: false })
  assert.equal((await edit()).status, 403)
  keep({ type: 'image' })
  assert.deepEqual((await edit()).body.data.field, 'message_id')
  keep({ revokedAt: 1 })
  assert.equal((await edit()).status, 409)
  keep({ targetMessageId: 'M0', type: 'reaction' })
  assert.equal((await edit()).status, 404)
})
