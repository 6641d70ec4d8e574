import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Phone } from '../support/e2e/phone.ts'
import { type Linked, Stage } from '../support/e2e/stage.ts'

describe('how a device behaves as configured', () => {
  let stage: Stage
  let ada: Linked
  let cleo: Phone

  before(async () => {
    stage = await Stage.open({
      env: {
        WHATSAPP_AUTO_MARK_READ: 'true',
        WHATSAPP_READ_RECEIPT_DELAY_MIN: '10ms',
        WHATSAPP_READ_RECEIPT_DELAY_MAX: '50ms',
        WHATSAPP_RATE_LIMIT_ENABLED: 'true',
        WHATSAPP_RATE_LIMIT_MSG_PER_MINUTE: '2',
        WHATSAPP_RATE_LIMIT_BURST_SIZE: '2',
        WHATSAPP_ISON_CACHE_ENABLED: 'true',
      },
    })
    cleo = await stage.whatsapp.person('Cleo')
    ada = await stage.linked('Ada')
  })
  after(() => stage?.[Symbol.asyncDispose]())

  test('what comes in is read by itself', async () => {
    const id = await cleo.write(ada.phone, 'did you see?')
    await cleo.receipt(id, 'read')
    const { data } = await ada.device.ok('GET', '/chats')
    assert.deepEqual([data.chats[0].last_message.message_id, data.chats[0].unread_count], [id, 0])
  })

  test('a device that sends too much is told when again; reactions are free', async () => {
    const id = await cleo.write(ada.phone, 'a burst, please')
    await ada.device.event('message.received', { message_id: id })
    for (const text of ['one', 'two']) await ada.device.send(cleo, text)
    const path = `/chats/${cleo.number}/messages`
    const refused = await ada.device.refused(429, 'POST', path, { text: 'three' })
    const wait = Number(refused.headers.get('retry-after'))
    assert.ok(wait >= 25 && wait <= 30, `Retry-After: ${wait}`)
    await ada.device.refused(429, 'POST', `/chats/${cleo.number}/locations`, { latitude: 1, longitude: 1 })
    await ada.device.refused(429, 'POST', `/chats/${cleo.number}/polls`, { question: 'x', options: ['a', 'b'] })
    await ada.device.ok('POST', `/messages/${id}/reaction`, { chat_jid: cleo.jid, emoji: '👍' })
    await cleo.message('👍')
  })
})
