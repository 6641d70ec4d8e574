import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newUuid } from '../../../src/kernel/ids.ts'
import type { NewMessage } from '../../../src/storage/index.ts'
import { onEachDatabase } from '../../support/postgres-and-sqlite.ts'

const ADA = '49151@s.whatsapp.net'

const message = (messageId: string, over: Partial<NewMessage> = {}): NewMessage => ({
  chat: ADA,
  messageId,
  sender: ADA,
  fromMe: false,
  type: 'text',
  text: `ancient ${messageId}`,
  quotedMessageId: undefined,
  pushName: undefined,
  timestamp: 1_700_000_000,
  state: 'received',
  failureCode: undefined,
  content: Buffer.from('x'),
  ...over,
})

onEachDatabase((database) => {
  test('old messages go, with what they were found by; what is still to be sent stays', async () => {
    const { messages, intake, chats } = database.storage
    const deviceId = await database.addDevice()
    const receive = (messageId: string) =>
      intake.commit(deviceId, {
        key: newUuid(),
        chat: ADA,
        chatParty: undefined,
        senderParty: undefined,
        message: message(messageId),
        events: () => [],
      })
    for (let i = 0; i < 300; i++) await receive(`old ${i}`)
    await messages.accept(deviceId, message('waiting', { fromMe: true, sender: 'me', state: 'accepted' }), undefined)
    await database.clock.advance(10_000)
    await receive('new')
    assert.equal(await messages.prune(database.clock.now() - 5_000), 300)
    const { conversationId } = (await chats.find(deviceId, ADA))!
    for (const search of [undefined, 'ancient']) {
      const rows = await chats.history(deviceId, conversationId, { limit: 50, ...(search ? { search } : {}) })
      assert.ok(rows !== 'unknown_cursor')
      assert.deepEqual(rows.map(({ messageId }) => messageId).toSorted(), ['new', 'waiting'])
    }
  })
})
