import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import BetterSqlite3 from 'better-sqlite3'
import type { Device } from '../support/e2e/device.ts'
import type { Phone } from '../support/e2e/phone.ts'
import { Stage } from '../support/e2e/stage.ts'

describe('a send under an Idempotency-Key', () => {
  let stage: Stage
  let ada: Device
  let adaPhone: Phone
  let ben: Phone

  before(async () => {
    stage = await Stage.open()
    ben = await stage.whatsapp.person('Ben')
    const linked = await stage.linked('Ada')
    ada = linked.device
    adaPhone = linked.phone
  })
  after(() => stage?.[Symbol.asyncDispose]())

  const send = (key: string, text: string, to = ben.number) =>
    ada.call('POST', `/chats/${to}/messages`, { headers: { 'idempotency-key': key }, body: { text } })

  /** Behind the back of a stopped gateway. */
  const change = (sql: string, ...values: string[]): number => {
    const database = new BetterSqlite3(stage.databaseUri.slice('sqlite:'.length))
    try {
      return database.prepare(sql).run(...values).changes
    } finally {
      database.close()
    }
  }

  const copiesOf = async (text: string) => (await ben.messages()).filter((message) => message.text === text)

  test('many repeats at once and one after a restart: one message, one id, one reply', async () => {
    const replies = await Promise.all(Array.from({ length: 8 }, () => send('a', 'only once')))
    assert.deepEqual(new Set(replies.map(({ status }) => status)), new Set([200]))
    assert.equal(new Set(replies.map(({ text }) => text)).size, 1)
    await stage.restart()
    const again = await send('a', 'only once')
    assert.equal(again.headers.get('idempotency-replayed'), 'true')
    assert.equal(again.text, replies[0]!.text)
    await ben.message('only once')
    assert.equal((await copiesOf('only once')).length, 1)
    const other = await send('a', 'something else')
    assert.deepEqual([other.status, other.data.error_code], [422, 'idempotency_mismatch'])
  })

  test('a crash after the send: the repeat answers what became of the message', async () => {
    const first = await send('b', 'sent before the crash')
    await ada.event('message.status', { message_id: first.data.message_id, status: 'delivered' })
    await stage.stop()
    // as if the process had ended before the reply was kept
    assert.equal(change("update idempotency set reply = null where key = 'b'"), 1)
    await stage.start()
    const again = await send('b', 'sent before the crash')
    assert.deepEqual([again.data.message_id, again.data.status], [first.data.message_id, 'delivered'])
    assert.equal(again.headers.get('idempotency-replayed'), null)
    assert.equal((await copiesOf('sent before the crash')).length, 1)
    assert.equal((await send('b', 'sent before the crash')).headers.get('idempotency-replayed'), 'true')
  })

  test('deletions: a repeat deletes nothing twice, before a crash and after', async () => {
    const chat = { chat_jid: ben.jid }
    const remove = (key: string, path: string) =>
      ada.call('DELETE', path, { headers: { 'idempotency-key': key }, body: chat })
    const revokes = async (target: string) =>
      (await ben.messages()).filter(
        (one) => (one as { target_message_id?: string | null }).target_message_id === target,
      )
    const poll = { question: 'Which?', options: ['a', 'b'] }
    const targets = [
      ['message', 'messages', (await send('d0', 'to be deleted')).data.message_id],
      ['poll', 'polls', (await ada.ok('POST', `/chats/${ben.number}/polls`, poll)).data.message_id],
    ] as const
    for (const [key, where, id] of targets) {
      const path = `/${where}/${id}`
      const replies = await Promise.all([remove(key, path), remove(key, path)])
      assert.deepEqual(
        replies.map(({ status }) => status),
        [200, 200],
      )
      await stage.stop()
      // as if the process had ended before the reply was kept
      assert.equal(change('update idempotency set reply = null where key = ?', key), 1)
      await stage.start()
      await ada.untilConnected()
      assert.equal((await remove(key, path)).status, 200)
      assert.equal((await remove(key, path)).headers.get('idempotency-replayed'), 'true')
      assert.equal((await remove(`other-${key}`, path)).status, 409)
      assert.equal((await ada.call('DELETE', path, { body: chat })).status, 409)
      await ben.message((await revokes(id))[0]!.message_id)
      assert.equal((await revokes(id)).length, 1)
    }
  })

  test('a crash before the message was accepted: the repeat sends it under the id that was chosen then', async () => {
    const first = await send('c', 'lost row')
    await ben.message('lost row')
    await stage.stop()
    assert.equal(change("update idempotency set reply = null where key = 'c'"), 1)
    assert.equal(change('delete from messages where message_id = ?', first.data.message_id), 1)
    await stage.start()
    await ada.untilConnected()
    const again = await send('c', 'lost row')
    assert.equal(again.status, 200)
    assert.equal(again.data.message_id, first.data.message_id)
    // the other side shows one message for one id
    assert.equal((await copiesOf('lost row')).length, 1)
  })

  test('a number that is not on WhatsApp is refused and not remembered', async () => {
    const refused = await send('d', 'hello', '4915199999999')
    assert.equal(refused.status, 422)
    assert.equal(refused.data.error_code, 'not_on_whatsapp')
    assert.equal((await send('d', 'hello')).status, 200)
  })

  test('a message tells its state and each step of it', async () => {
    const { message_id } = await ada.send(ben, 'how far are you')
    const stateOf = async () => (await ada.ok('GET', `/messages/${message_id}`)).data
    await ada.event('message.status', { message_id, status: 'delivered' })
    const delivered = await stateOf()
    assert.deepEqual(
      [delivered.status, delivered.from_me, delivered.text, delivered.failure],
      ['delivered', true, 'how far are you', null],
    )
    assert.equal(delivered.receipts.length, 1)
    assert.ok(delivered.receipts[0].delivered_at)
    await ben.read(adaPhone, message_id)
    await ada.event('message.status', { message_id, status: 'read' })
    const read = await stateOf()
    assert.equal(read.status, 'read')
    assert.ok(read.receipts[0].read_at >= read.receipts[0].delivered_at)
    const told = ada.events('message.status').filter(({ data }) => data.message_id === message_id)
    assert.deepEqual(
      told.map(({ data }) => data.status),
      ['server_ack', 'delivered', 'read'],
    )
    const received = await ben.write(adaPhone, 'near')
    await ada.event('message.received', { message_id: received })
    const { data: theirs } = await ada.ok('GET', `/messages/${received}?chat_jid=${ben.number}`)
    assert.deepEqual([theirs.status, theirs.from_me, theirs.receipts], ['received', false, []])
    await ada.refused(404, 'GET', '/messages/3EB0NONE')
  })

  test('a refused message tells WhatsApp’s code, and the key may be used again', async () => {
    await stage.whatsapp.fault({ kind: 'reject_message', phone: adaPhone.number, code: 463 })
    const refused = await send('e', 'not today')
    assert.deepEqual([refused.status, refused.data.whatsapp_code], [502, 463])
    const { data } = await ada.ok('GET', `/messages/${refused.data.message_id}`)
    assert.equal(data.status, 'failed')
    assert.equal(data.failure.whatsapp_code, 463)
    assert.match(data.failure.message, /restricts/)
    const { data: told } = await ada.event('message.status', { message_id: refused.data.message_id })
    assert.deepEqual([told.status, told.failure_code, told.failure], ['failed', 463, data.failure.message])
    const again = await send('e', 'not today')
    assert.equal(again.status, 200)
    assert.notEqual(again.data.message_id, refused.data.message_id)
  })
})
