import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { onBothDatabases } from '../support/e2e/on-both-databases.ts'
import type { Phone } from '../support/e2e/phone.ts'
import type { Linked, Stage } from '../support/e2e/stage.ts'
import { until } from '../support/e2e/until.ts'

onBothDatabases('what a stop, a lost answer or a lost connection leaves open', (opened) => {
  let stage: Stage

  before(async () => {
    stage = opened()
  })

  test('devices come back with the process, without a code; what was missed comes in order', async () => {
    const [ann, ben] = await Promise.all([stage.linked('Ann'), stage.linked('Ben')])
    const friend = await stage.whatsapp.person('Friend')
    const group = await stage.whatsapp.group('Late', friend, ann.phone)
    await ann.device.send(friend, 'before')
    await friend.message('before')
    await stage.stop()
    const ids: string[] = []
    for (let i = 0; i < 12; i++) ids.push(await friend.write(ann.phone, `missed ${i}`))
    for (let i = 0; i < 3; i++) ids.push(await friend.write(group, `missed in the group ${i}`))
    await friend.read(ann.phone, (await friend.message('before')).message_id)

    await stage.start()
    assert.equal((await stage.anonymous.call('GET', '/')).status, 200)
    await Promise.all([ann.device.untilConnected(), ben.device.untilConnected()])
    await ann.device.event('message.received', { message_id: ids.at(-1) })
    await until('all that was missed', () => {
      const heard = new Set(ann.device.events('message.received').map(({ data }) => data.message_id))
      return ids.every((id) => heard.has(id))
    })
    const texts = ann.device.events('message.received').filter(({ data }) => ids.includes(data.message_id as string))
    assert.deepEqual(
      texts.map(({ data }) => data.message_id),
      ids,
      'told once each, in the order in which they were written',
    )
    assert.ok(texts.every(({ data }) => data.offline === true))
    await ann.device.event('message.read', { is_from_me: false })
    // nothing waits at the service any more: all was acknowledged
    await until('empty queues', async () => (await ann.phone.companions())[0]?.queue_length === 0)
    await ann.device.send(ben.phone, 'after the restart')
    await ben.phone.message('after the restart')
    await ben.device.event('message.received', { text: 'after the restart' })
    assert.equal((await ann.phone.companions()).length, 1)
  })

  /** Sends, and resolves when the fault has met the message; what the caller hears comes later. */
  const sendInto = async (fault: string, { phone, device }: Linked, friend: Phone, text: string) => {
    await stage.whatsapp.fault({ kind: fault, phone: phone.number })
    const sent: Promise<{ status: string; message_id: string }> = device.send(friend, text)
    sent.catch(() => undefined)
    await until('the fault was used', async () => {
      const path = '/sandbox/faults'
      const { faults } = await stage.whatsapp.process.call<{ faults: { phone: string }[] }>('GET', path)
      return !faults.some((armed) => armed.phone === phone.number)
    })
    return { sent }
  }

  let slow: { linked: Linked; friend: Phone; sent: Promise<{ status: string; message_id: string }> }

  test('no answer at all: the caller hears `accepted` (awaited below)', async () => {
    const [linked, friend] = await Promise.all([stage.linked('Eva'), stage.whatsapp.person('Friend')])
    await linked.device.send(friend, 'hello')
    slow = { linked, friend, ...(await sendInto('drop_message', linked, friend, 'across the restart')) }
  })

  test('an answer that got lost: sent again under the same id with the next connection, shown once', async () => {
    const [cal, friend] = await Promise.all([stage.linked('Cal'), stage.whatsapp.person('Friend')])
    await cal.device.send(friend, 'first contact')
    await friend.message('first contact')
    const { messages } = await stage.whatsapp.metrics()
    // a receipt, of the recipient or of the own phone, would be an answer, too
    await Promise.all([friend.setOnline(false), cal.phone.setOnline(false)])
    const sending = await sendInto('swallow_ack', cal, friend, 'did you get this?')
    await stage.whatsapp.disconnect(cal.jid, { mode: 'close' })
    const sent = await sending.sent
    assert.equal(sent.status, 'server_ack')
    const { data } = await cal.device.event('message.status', { message_id: sent.message_id })
    assert.deepEqual([data.status, data.failure_code], ['server_ack', null])
    await friend.setOnline(true)
    await friend.message(sent.message_id)
    assert.equal((await stage.whatsapp.metrics()).messages, messages + 2, 'the service was handed it twice')
    assert.equal((await friend.messages()).filter(({ text }) => text === 'did you get this?').length, 1)
    const acknowledged = cal.device
      .events('message.status')
      .filter(({ data }) => data.message_id === sent.message_id && data.status === 'server_ack')
    assert.equal(acknowledged.length, 1)
  })

  test('a text that never arrived is sent again when the connection is back, in its place', async () => {
    const [dee, friend] = await Promise.all([stage.linked('Dee'), stage.whatsapp.person('Friend')])
    await dee.device.send(friend, 'zero')
    const first = await sendInto('drop_message', dee, friend, 'one')
    const second = dee.device.send(friend, 'two')
    await stage.whatsapp.disconnect(dee.jid, { mode: 'close' })
    assert.deepEqual([(await first.sent).status, (await second).status], ['server_ack', 'server_ack'])
    await friend.message('two')
    const texts = (await friend.messages()).map(({ text, copies }) => [text, copies])
    assert.deepEqual(texts, [
      ['zero', 1],
      ['one', 1],
      ['two', 1],
    ])
  })

  test('one chat waits for no other, and keeps its order', async () => {
    const { device } = await stage.linked('Flo')
    const [one, two] = await Promise.all([stage.whatsapp.person('One'), stage.whatsapp.person('Two')])
    const texts = Array.from({ length: 10 }, (_, i) => `in order ${i}`)
    // asked for one after the other, answered whenever
    await Promise.all(texts.flatMap((text) => [device.send(one, text), device.send(two, text)]))
    for (const friend of [one, two]) {
      await until('all of them', async () => (await friend.messages()).length === texts.length)
      const seen = (await friend.messages()).map(({ text }) => text)
      assert.deepEqual(seen.toSorted(), texts.toSorted())
    }
  })

  test('what was accepted survives the end of the process, and goes out with the next one', async () => {
    const sent = await slow.sent
    assert.equal(sent.status, 'accepted')
    assert.deepEqual(
      (await slow.friend.messages()).map(({ text }) => text),
      ['hello'],
    )
    await stage.restart()
    const seen = await slow.friend.message('across the restart')
    assert.deepEqual([seen.message_id, seen.copies], [sent.message_id, 1])
    const { device } = slow.linked
    await device.event('message.status', { message_id: sent.message_id })
    await device.event('message.delivered', { message_id: sent.message_id })
  })

  test('nothing that the service saw was wrong', async () => {
    await stage.whatsapp.assertNoProblems()
    stage.inbox.assertSchemas()
  })
})
