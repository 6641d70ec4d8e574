import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { onBothDatabases } from '../support/e2e/on-both-databases.ts'
import type { Phone, SeenMessage } from '../support/e2e/phone.ts'
import type { Linked, Stage } from '../support/e2e/stage.ts'
import { until } from '../support/e2e/until.ts'

onBothDatabases('texts over the real protocol', (opened) => {
  let stage: Stage
  let ada: Linked
  let ben: Linked
  let cleo: Phone
  let group: string

  before(async () => {
    stage = opened()
    cleo = await stage.whatsapp.person('Cleo')
    ;[ada, ben] = await Promise.all([stage.linked('Ada'), stage.linked('Ben')])
    group = await stage.whatsapp.group('Friends', ada.phone, ben.phone, cleo)
  })

  test('a text arrives decrypted, once, and both sides hear of it', async () => {
    const sent = await ada.device.send(ben.phone, 'hello Ben')
    assert.equal(sent.status, 'server_ack')
    assert.ok(Math.abs(sent.timestamp - Date.now() / 1000) < 60, 'the timestamp is in seconds')
    const seen = await ben.phone.message('hello Ben')
    assert.equal(seen.message_id, sent.message_id)
    assert.equal(seen.from, ada.phone.number)
    assert.equal(seen.copies, 1)
    const { data, timestamp } = await ben.device.event('message.received', { text: 'hello Ben' })
    assert.deepEqual(
      [data.from_pn, data.from_lid, data.chat_pn, data.chat_lid],
      [ada.phone.jid, ada.phone.lid, ada.phone.jid, ada.phone.lid],
    )
    assert.deepEqual(
      [data.message_id, data.push_name, data.is_from_me, data.is_group, data.type, data.offline],
      [sent.message_id, 'Ada', false, false, 'text', false],
    )
    assert.equal(Date.parse(timestamp), (data.timestamp as number) * 1000)
    const delivered = await ada.device.event('message.delivered', { message_id: sent.message_id })
    assert.equal(delivered.data.from_pn, ben.phone.jid)
    // a delivery receipt that overtakes the acknowledgement stands for it
    const status = await ada.device.event('message.status', { message_id: sent.message_id })
    assert.ok(['server_ack', 'delivered'].includes(status.data.status as string))
    assert.equal(status.data.conversation_id, delivered.data.conversation_id)
    assert.equal(ada.device.events('message.received').filter((event) => event.data.text === 'hello Ben').length, 0)
  })

  test('the chat may be written as phone, +phone, JID, LID or group, percent-encoded or not', async () => {
    const forms = [
      cleo.number,
      `+${cleo.number}`,
      encodeURIComponent(`+${cleo.number}`),
      cleo.jid,
      encodeURIComponent(cleo.jid),
      `${cleo.number}:7@s.whatsapp.net`,
      cleo.lid,
      encodeURIComponent(cleo.lid),
      group,
      encodeURIComponent(group),
    ]
    for (const [index, form] of forms.entries()) {
      const text = `written to form ${index}`
      const { data } = await ada.device.ok('POST', `/chats/${form}/messages`, { text })
      const seen = await cleo.message(text)
      assert.equal(seen.message_id, data.message_id, form)
      assert.equal(seen.group, index >= 8, form)
      assert.equal(seen.chat, index >= 8 ? group : ada.phone.jid, form)
    }
  })

  test('a group text reaches every member, and is told to each device with its group', async () => {
    const sent = await ada.device.send(group, 'hello all')
    assert.equal(sent.chat_jid, group)
    for (const phone of [ben.phone, cleo]) assert.equal((await phone.message('hello all')).message_id, sent.message_id)
    const { data } = await ben.device.event('message.received', { text: 'hello all' })
    assert.deepEqual([data.chat, data.is_group, data.from_pn], [group, true, ada.phone.jid])
    const own = await ada.phone.message('hello all')
    assert.deepEqual([own.from_me, own.chat], [true, group])

    await cleo.write(group, 'hello Ada and Ben')
    for (const { device } of [ada, ben]) {
      const heard = await device.event('message.received', { text: 'hello Ada and Ben' })
      assert.deepEqual([heard.data.chat, heard.data.from_lid, heard.data.from_pn], [group, cleo.lid, cleo.jid])
    }
  })

  test('a phone writes: text, reply and push name come with their facts', async () => {
    const first = await ada.device.send(cleo, 'what time?')
    await cleo.message('what time?')
    const id = await cleo.write(ada.phone, 'at nine', first.message_id)
    const { data } = await ada.device.event('message.received', { message_id: id })
    assert.deepEqual(
      [data.text, data.quoted_message_id, data.push_name, data.from_pn, data.from_lid, data.from_device],
      ['at nine', first.message_id, 'Cleo', cleo.jid, cleo.lid, 0],
    )
    await cleo.receipt(id, 'inactive').catch(() => cleo.receipt(id, 'delivered'))
    // the phone of the account gets it too
    assert.equal((await ada.phone.message('at nine')).quoted_message_id, first.message_id)
  })

  test('a reply quotes: the receiver sees which message', async () => {
    const id = await cleo.write(ada.phone, 'shall we?')
    await ada.device.event('message.received', { message_id: id })
    await ada.device.send(cleo, 'yes, we shall', { reply_to_message_id: id })
    assert.equal((await cleo.message('yes, we shall')).quoted_message_id, id)
    const inGroup = await cleo.write(group, 'who comes?')
    await ada.device.event('message.received', { message_id: inGroup })
    await ada.device.send(group, 'I do', { reply_to_message_id: inGroup })
    assert.equal((await cleo.message('I do')).quoted_message_id, inGroup)
    // a message of the group is answered in private; one of a chat of two goes into no other
    const aside = await ada.device.send(cleo, 'between us: I do', { reply_to_message_id: inGroup })
    const whispered = (await cleo.message(aside.message_id)) as SeenMessage & { readonly quoted_chat: string | null }
    assert.deepEqual([whispered.quoted_message_id, whispered.quoted_chat, whispered.group], [inGroup, group, false])
    await ada.device.refused(404, 'POST', `/chats/${ben.phone.number}/messages`, {
      text: 'Cleo said',
      reply_to_message_id: id,
    })
    const unknown = await ada.device.refused(404, 'POST', `/chats/${cleo.number}/messages`, {
      text: 'to nothing',
      reply_to_message_id: '3EB0FFFFFFFFFFFFFFFF',
    })
    assert.equal(unknown.data.field, 'reply_to_message_id')
  })

  test('read receipts become events, in a chat and in a group', async () => {
    const sent = await ada.device.send(cleo, 'read me')
    await cleo.message('read me')
    await cleo.read(ada.phone, sent.message_id)
    const { data } = await ada.device.event('message.read', { message_id: sent.message_id })
    assert.deepEqual([data.from_pn, data.is_group], [cleo.jid, false])
    const inGroup = await ada.device.send(group, 'read me all')
    for (const phone of [ben.phone, cleo]) {
      await phone.message('read me all')
      await phone.read(group, inGroup.message_id)
      const read = await ada.device.event(
        'message.read',
        (event) => event.data.message_id === inGroup.message_id && event.data.from_pn === phone.jid,
      )
      assert.equal(read.data.chat, group)
    }
  })

  test('simulated presence and typing are seen by the phone, and only where asked for', async () => {
    const states = async () =>
      (await cleo.call<{ presences: { state: string; from: string }[] }>('GET', '/presences')).presences
        .filter(({ from }) => from === ada.phone.number)
        .map(({ state }) => state)
    // Ada's phone is online itself, which would hide what her companion does
    await ada.phone.setOnline(false)
    await cleo.call('POST', '/watch', { to: ada.phone.number })
    await until('the first presence', async () => (await states()).length === 1)
    await ada.device.send(cleo, 'no show')
    await cleo.message('no show')
    assert.deepEqual((await states()).slice(1), [])
    await ada.device.send(cleo, 'only presence', { presence_simulation: true, typing_simulation: false })
    await until('presence', async () => (await states()).length >= 3)
    assert.deepEqual((await states()).slice(1), ['available', 'unavailable'])
    await ada.device.send(cleo, 'with typing', { presence_simulation: true, typing_simulation: true })
    await until('typing', async () => (await states()).length >= 7)
    assert.deepEqual((await states()).slice(3), ['available', 'composing', 'paused', 'unavailable'])
    await ada.device.send(cleo, 'typing needs presence', { presence_simulation: false, typing_simulation: true })
    await cleo.message('typing needs presence')
    assert.equal((await states()).length, 7)
    await ada.phone.setOnline(true)
  })

  test('any text survives: emoji, right to left, combining marks, NUL, 64 KB', async () => {
    const texts = [
      '👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪',
      'مرحبا بالعالم ‏(שלום)‏ abc',
      'e\u0301\u0302 \u200b\u2028 line',
      'a\u0000b\u0007c',
      ' leading, trailing\n\n\ttabs ',
      `${'x'.repeat(65_530)} ends`,
      `${'ü'.repeat(32_760)} ends!`,
    ]
    for (const text of texts) {
      const sent = await ada.device.send(ben.phone, text)
      assert.equal((await ben.phone.message(sent.message_id)).text, text)
      const { data } = await ben.device.event('message.received', { message_id: sent.message_id })
      assert.equal(data.text, text)
    }
    for (const text of texts.filter(({ length }) => length < 60_000)) {
      const id = await ben.phone.write(ada.phone, text)
      assert.equal((await ada.device.event('message.received', { message_id: id })).data.text, text)
    }
    const tooLong = await ada.device.refused(400, 'POST', `/chats/${ben.phone.number}/messages`, {
      text: 'ü'.repeat(32_769),
    })
    assert.equal(tooLong.data.field, 'text')
  })

  test('bad input is refused with the field named, and nothing leaves', async () => {
    const { messages } = await stage.whatsapp.metrics()
    const to = cleo.number
    const cases: readonly [string, unknown, string][] = [
      [to, {}, 'text'],
      [to, { text: '' }, 'text'],
      [to, { text: ' \n\t ' }, 'text'],
      [to, { text: 7 }, 'text'],
      [to, { text: null }, 'text'],
      [to, { text: 'x', typing_simulation: 'yes' }, 'typing_simulation'],
      [to, { text: 'x', presence_simulation: 1 }, 'presence_simulation'],
      [to, { text: 'x', reply_to_message_id: '' }, 'reply_to_message_id'],
      [`0${to}`, { text: 'x' }, 'chat_jid'],
      ['12345', { text: 'x' }, 'chat_jid'],
      ['12345678901234567', { text: 'x' }, 'chat_jid'],
      ['hello', { text: 'x' }, 'chat_jid'],
      ['++4915112345', { text: 'x' }, 'chat_jid'],
      ['a@b@c', { text: 'x' }, 'chat_jid'],
      ['x@s.whatsapp.net', { text: 'x' }, 'chat_jid'],
      ['12@g.us', { text: 'x' }, 'chat_jid'],
      ['abc@lid', { text: 'x' }, 'chat_jid'],
      ['4915112345@example.com', { text: 'x' }, 'chat_jid'],
    ]
    for (const [chat, body, field] of cases) {
      const answer = await ada.device.refused(400, 'POST', `/chats/${encodeURIComponent(chat)}/messages`, body)
      assert.equal(answer.data.field, field, `${chat} ${JSON.stringify(body)}: ${answer.body.message}`)
    }
    const path = `/chats/${to}/messages`
    const raw = (body: string, type = 'application/json') =>
      ada.device.call('POST', path, { raw: body, headers: { 'content-type': type } })
    assert.equal((await raw('{"text":')).status, 400)
    assert.equal((await raw('')).status, 400)
    assert.equal((await raw('[]')).status, 400)
    assert.equal((await raw('text=x', 'text/csv')).status, 415)
    assert.equal((await raw(JSON.stringify({ text: 'x'.repeat(9_000_000) }))).status, 413)
    assert.equal((await ada.device.call('PUT', path, { body: { text: 'x' } })).status, 405)
    assert.equal((await stage.whatsapp.metrics()).messages, messages)
  })

  test('whoever is not on WhatsApp is 422, a group of others 403 or 404', async () => {
    const answer = await ada.device.refused(422, 'POST', '/chats/4915199999999/messages', { text: 'anybody?' })
    assert.deepEqual([answer.data.error_code, answer.data.field], ['not_on_whatsapp', 'chat_jid'])
    const others = await stage.whatsapp.group('Others', cleo, ben.phone)
    const strange = await ada.device.call('POST', `/chats/${others}/messages`, { body: { text: 'may I?' } })
    assert.ok([403, 502].includes(strange.status), strange.text)
    const none = await ada.device.call('POST', '/chats/120363999999999999@g.us/messages', { body: { text: 'x' } })
    assert.ok([403, 404, 502].includes(none.status), none.text)
  })

  for (const code of [463, 479])
    test(`WhatsApp refuses with ${code}: 502, the code in the reply, and the message has failed`, async () => {
      await stage.whatsapp.fault({ kind: 'reject_message', phone: ada.phone.number, code })
      const text = `refused with ${code}`
      const answer = await ada.device.refused(502, 'POST', `/chats/${cleo.number}/messages`, { text })
      assert.equal(answer.data.whatsapp_code, code)
      const { data } = await ada.device.event('message.status', { message_id: answer.data.message_id })
      assert.deepEqual([data.status, data.failure_code], ['failed', code])
      await ada.device.send(cleo, `after ${code}`)
      await cleo.message(`after ${code}`)
      assert.ok(!(await cleo.messages()).some((message) => message.text === text))
    })

  test('the same stanza twice is one message and one event', async () => {
    await stage.whatsapp.fault({ kind: 'duplicate', phone: ben.phone.number, times: 3 })
    const ids = [await cleo.write(ben.phone, 'twice?'), await cleo.write(ben.phone, 'after twice')]
    for (const id of ids) await ben.device.event('message.received', { message_id: id })
    await stage.whatsapp.clearFaults()
    const last = await cleo.write(ben.phone, 'the end of it')
    await ben.device.event('message.received', { message_id: last })
    for (const id of ids) assert.equal(ben.device.events().filter(({ data }) => data.message_id === id).length, 1)
  })

  test('stanzas out of order are all told', async () => {
    await stage.whatsapp.fault({ kind: 'reorder', phone: ben.phone.number })
    const ids = [await cleo.write(ben.phone, 'one of two'), await cleo.write(ben.phone, 'two of two')]
    for (const id of ids) await ben.device.event('message.received', { message_id: id })
  })

  test('a damaged message is told as undecryptable, asked for again, and healed under the same id', async () => {
    // one copy goes to the phone of the account, one to the device
    await stage.whatsapp.fault({ kind: 'tamper', target: 'enc', phone: ben.phone.number, times: 2 })
    const id = await cleo.write(ben.phone, 'damaged on the way')
    const told = await ben.device.event('message.undecryptable', { message_id: id })
    assert.deepEqual(
      [told.data.is_unavailable, told.data.from_pn, told.data.chat_lid, typeof told.data.failure],
      [false, cleo.jid, cleo.lid, 'string'],
    )
    const healed = await ben.device.event('message.received', { message_id: id })
    assert.equal(healed.data.text, 'damaged on the way')
    assert.ok(healed.sequence > told.sequence)
    assert.equal(healed.data.conversation_id, told.data.conversation_id)
    assert.equal(ben.device.events().filter(({ data }) => data.message_id === id).length, 2)
    // both directions still work
    const next = await cleo.write(ben.phone, 'after the damage')
    await ben.device.event('message.received', { message_id: next })
    await ben.device.send(cleo, 'all well here')
    await cleo.message('all well here')
  })

  test('a damaged message of ours is asked for again by the phone, and shown once', async () => {
    await stage.whatsapp.fault({ kind: 'tamper', target: 'enc', phone: cleo.number })
    const sent = await ada.device.send(cleo, 'damaged on its way to Cleo')
    const seen = await cleo.message('damaged on its way to Cleo')
    assert.deepEqual([seen.message_id, seen.copies], [sent.message_id, 1])
  })

  test('nothing that the service saw was wrong, but for what was asked for', async () => {
    await stage.whatsapp.assertNoProblems(
      ({ kind, text }) =>
        (kind === 'forbidden' && text.startsWith('not a member')) ||
        (kind === 'refused' && text.includes('no group')) ||
        kind === 'undecryptable' || // the damaged ones: the phones say so, and so does the device
        text.startsWith('the client could not use message'),
    )
    stage.inbox.assertSchemas()
  })
})
