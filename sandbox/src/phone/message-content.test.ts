import assert from 'node:assert/strict'
import { test } from 'node:test'
import { proto } from 'baileys/WAProto/index.js'
import { makeText, summarize, unwrap } from './message-content.ts'

const over = (message: proto.IMessage) => proto.Message.decode(proto.Message.encode(message).finish())
const nothing = { text: undefined, quotedMessageId: undefined, targetMessageId: undefined }

test('a text comes back, with what it quotes', () => {
  assert.deepEqual(summarize(over(makeText('hello'))), { ...nothing, type: 'text', text: 'hello' })
  const quote = { messageId: 'M1', author: '1@lid', message: { conversation: 'earlier' } }
  const answer = over(makeText('yes', quote))
  assert.deepEqual(summarize(answer), { ...nothing, type: 'text', text: 'yes', quotedMessageId: 'M1' })
  assert.equal(answer.extendedTextMessage?.contextInfo?.quotedMessage?.conversation, 'earlier')
})

test('envelopes are opened, however deep', () => {
  const message = over({
    deviceSentMessage: { message: { ephemeralMessage: { message: { imageMessage: { caption: 'sea' } } } } },
  })
  assert.deepEqual(summarize(message), { ...nothing, type: 'image', text: 'sea' })
  assert.equal(unwrap(message).imageMessage?.caption, 'sea')
})

test('reactions, edits and revokes name their message', () => {
  const key = { id: 'M7' }
  assert.deepEqual(summarize(over({ reactionMessage: { key, text: '👍' } })), {
    ...nothing,
    type: 'reaction',
    text: '👍',
    targetMessageId: 'M7',
  })
  const { REVOKE, MESSAGE_EDIT } = proto.Message.ProtocolMessage.Type
  assert.equal(summarize(over({ protocolMessage: { type: REVOKE, key } }))?.type, 'revoke')
  const edit = over({ protocolMessage: { type: MESSAGE_EDIT, key, editedMessage: { conversation: 'new' } } })
  assert.deepEqual(summarize(edit), { ...nothing, type: 'edit', text: 'new', targetMessageId: 'M7' })
})

test('what nobody sees has no summary; what is seen but not known here is told as such', () => {
  assert.equal(summarize(over({ senderKeyDistributionMessage: { groupId: 'g' } })), undefined)
  assert.equal(summarize(over({ protocolMessage: { appStateSyncKeyShare: {} } })), undefined)
  assert.equal(summarize(over({ orderMessage: { orderId: '1' } }))?.type, 'unknown')
})
