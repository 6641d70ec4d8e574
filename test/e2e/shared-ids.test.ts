import assert from 'node:assert/strict'
import { test } from 'node:test'
import BetterSqlite3 from 'better-sqlite3'
import { Stage } from '../support/e2e/stage.ts'

test('two chats that have a message of one id: the chat says which is meant, and nothing else is touched', async () => {
  await using stage = await Stage.open()
  const ada = await stage.linked('Ada')
  const [cleo, dora, eve] = await Promise.all(['Cleo', 'Dora', 'Eve'].map((name) => stage.whatsapp.person(name)))
  // the sender chooses the id: nothing keeps two of them from choosing the same
  const ids = [await cleo!.write(ada.phone, 'of Cleo'), await dora!.write(ada.phone, 'of Dora')]
  for (const id of ids) await ada.device.event('message.received', { message_id: id })
  await stage.stop()
  const database = new BetterSqlite3(stage.databaseUri.slice('sqlite:'.length))
  try {
    const rename = database.prepare("update messages set message_id = 'SHARED' where message_id = ?")
    for (const id of ids) assert.equal(rename.run(id).changes, 1)
  } finally {
    database.close()
  }
  await stage.start()
  await ada.device.untilConnected()

  const { device } = ada
  for (const [method, path, body] of [
    ['GET', '/messages/SHARED', undefined],
    ['POST', '/messages/SHARED/forward', { to_chat_jid: eve!.number }],
  ] as const) {
    const refused = await device.refused(400, method, path, body)
    assert.equal(refused.data.field, 'chat_jid', path)
  }
  for (const [phone, text] of [
    [cleo!, 'of Cleo'],
    [dora!, 'of Dora'],
  ] as const) {
    for (const chat of [phone.number, phone.jid, phone.lid])
      assert.equal((await device.ok('GET', `/messages/SHARED?chat_jid=${chat}`)).data.text, text)
    await device.ok('POST', '/messages/SHARED/forward', { to_chat_jid: eve!.number, chat_jid: phone.number })
    await eve!.message(text)
  }
  await device.ok('POST', '/messages/SHARED/star', { chat_jid: dora!.number, star: true })
  await device.ok('DELETE', '/messages/SHARED', { chat_jid: dora!.number, for_me: true })
  const left = (await device.ok('GET', `/chats/${cleo!.number}/messages`)).data.messages
  assert.deepEqual([left[0].text, left[0].starred], ['of Cleo', false])
  assert.deepEqual((await device.ok('GET', `/chats/${dora!.number}/messages`)).data.messages, [])
  await device.refused(404, 'POST', '/messages/SHARED/star', { chat_jid: eve!.number, star: true })
})
