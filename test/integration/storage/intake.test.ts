import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isParleyError } from '../../../src/kernel/errors.ts'
import { newUuid } from '../../../src/kernel/ids.ts'
import type { IntakeIds, IntakeRecord, NewEvent, NewMessage } from '../../../src/storage/index.ts'
import { onEachDatabase } from '../../support/postgres-and-sqlite.ts'

const ADA = '49151@s.whatsapp.net'
const ADA_LID = '1001@lid'
const BOB = '49152@s.whatsapp.net'

const message = (over: Partial<NewMessage> = {}): NewMessage => ({
  chat: ADA,
  messageId: 'M1',
  sender: ADA,
  fromMe: false,
  type: 'text',
  text: 'hello',
  quotedMessageId: undefined,
  pushName: undefined,
  timestamp: 1_700_000_000,
  state: 'received',
  failureCode: undefined,
  content: Buffer.from('hello'),
  ...over,
})

const event = (over: Partial<NewEvent> = {}): NewEvent => ({
  eventId: newUuid(),
  type: 'message.received',
  orderKey: 'chat',
  payload: { text: 'hello' },
  occurredAt: 5,
  webhookIds: [],
  ...over,
})

onEachDatabase((database) => {
  /** Commits a record and answers the ids its events were built with. */
  const take = async (deviceId: string, record: Partial<IntakeRecord> & { readonly chat: string }) => {
    let seen: IntakeIds | undefined
    await database.storage.intake.commit(deviceId, {
      key: newUuid(),
      chatParty: undefined,
      senderParty: undefined,
      ...record,
      events: (ids) => {
        seen = ids
        return record.events?.(ids) ?? []
      },
    })
    return seen!
  }
  const fromAda = (messageId: string, over: Partial<NewMessage> = {}) => ({
    chat: ADA,
    chatParty: { pn: ADA, lid: ADA_LID },
    senderParty: { pn: ADA, lid: ADA_LID, pushName: 'Ada' },
    message: message({ messageId, ...over }),
  })

  test('message, event and delivery of a stanza are one commit, and the same key again changes nothing', async () => {
    const { storage } = database
    const deviceId = await database.addDevice()
    const hook = { deviceId, url: 'http://x', events: [], secret: 's', headers: {} }
    const active = await storage.webhooks.create({ ...hook, active: true }, 5, 1)
    const paused = await storage.webhooks.create({ ...hook, active: false }, 5, 1)
    assert.ok(active !== 'limit_reached' && paused !== 'limit_reached')
    const record: IntakeRecord = {
      key: 'stanza 1',
      ...fromAda('M1'),
      events: (ids) => [
        event({
          payload: { conversation: ids.conversationId },
          webhookIds: [active.id, paused.id, 999_999, active.id],
        }),
        event({ type: 'second', webhookIds: [active.id] }),
      ],
    }
    const events = await storage.intake.commit(deviceId, record)
    assert.deepEqual(
      events.map((one) => [one.sequence, one.type]),
      [
        [1, 'message.received'],
        [2, 'second'],
      ],
    )
    assert.deepEqual(await storage.events.read(deviceId, 0, 10), events)
    const due = await storage.deliveries.due(active.id, database.clock.now(), 10, new Set())
    assert.equal(due[0]?.event.eventId, events[0]?.eventId)
    assert.deepEqual(await storage.deliveries.due(paused.id, database.clock.now(), 10, new Set()), [])

    const again = await storage.intake.commit(deviceId, { ...record, events: () => assert.fail('built again') })
    assert.deepEqual(again, [])
    assert.equal(await storage.events.lastSequence(deviceId), 2)
    assert.equal((await storage.deliveries.stats()).totalDeliveries, 2)
  })

  test('twenty copies of a stanza at once count once', async () => {
    const deviceId = await database.addDevice()
    const record: IntakeRecord = { key: 'same', ...fromAda('M1'), events: () => [event()] }
    const all = await Promise.all(Array.from({ length: 20 }, () => database.storage.intake.commit(deviceId, record)))
    assert.equal(all.flat().length, 1)
    assert.equal(await database.storage.events.lastSequence(deviceId), 1)
  })

  test('sequences have no holes and no doubles when everything writes at once', async () => {
    const deviceId = await database.addDevice()
    const { intake, events } = database.storage
    await Promise.all(
      Array.from({ length: 60 }, (_, index) =>
        index % 3 === 0
          ? events.append(deviceId, [event(), event()])
          : intake.commit(deviceId, { key: `k${index}`, ...fromAda(`M${index}`), events: () => [event()] }),
      ),
    )
    const read = await events.read(deviceId, 0, 1000)
    assert.deepEqual(
      read.map((one) => one.sequence),
      Array.from({ length: 80 }, (_, index) => index + 1),
    )
  })

  test('a unit that fails is undone alone, whatever is committed beside it', async () => {
    const deviceId = await database.addDevice()
    const { intake, events, messages } = database.storage
    const outcomes = await Promise.allSettled(
      Array.from({ length: 10 }, (_, index) =>
        intake.commit(deviceId, {
          key: `k${index}`,
          ...fromAda(`M${index}`),
          events: () => {
            if (index % 2) throw new Error(`no event ${index}`)
            return [event()]
          },
        }),
      ),
    )
    assert.deepEqual(
      outcomes.map((one) => (one.status === 'rejected' ? one.reason.message : 'kept')),
      Array.from({ length: 10 }, (_, index) => (index % 2 ? `no event ${index}` : 'kept')),
    )
    assert.equal(await events.lastSequence(deviceId), 5)
    assert.equal(await messages.find(deviceId, 'M1'), undefined)
    assert.ok(await messages.find(deviceId, 'M2'))
    // Its key was not kept either: the stanza comes again and is taken.
    const retried = await intake.commit(deviceId, { key: 'k1', ...fromAda('M1'), events: () => [event()] })
    assert.equal(retried.length, 1)
  })

  test('a device that is gone takes nothing in', async () => {
    const { intake, events, messages } = database.storage
    const gone = newUuid()
    const isNotFound = (error: unknown) => isParleyError(error, 'not_found')
    await assert.rejects(intake.commit(gone, { key: 'k', ...fromAda('M1'), events: () => [] }), isNotFound)
    await assert.rejects(events.append(gone, [event()]), isNotFound)
    await assert.rejects(messages.accept(gone, message({ fromMe: true }), undefined), isNotFound)
  })

  test('number and LID address one conversation, whichever comes first', async () => {
    const deviceId = await database.addDevice()
    const byPn = await take(deviceId, { chat: ADA, senderParty: { pn: ADA, lid: undefined } })
    const both = await take(deviceId, fromAda('M1'))
    const byLid = await take(deviceId, { chat: ADA_LID, chatParty: { pn: undefined, lid: ADA_LID } })
    assert.equal(both.conversationId, byPn.conversationId)
    assert.equal(byLid.conversationId, byPn.conversationId)
    assert.equal(byLid.chatParty?.contactId, byPn.senderParty?.contactId)
    assert.deepEqual([byLid.chatParty?.pn, byLid.chatParty?.lid], [ADA, ADA_LID])
  })

  test('two contacts that turn out to be one: the older id stays, its conversation gets the messages', async () => {
    const deviceId = await database.addDevice()
    const { messages } = database.storage
    const older = await take(deviceId, {
      chat: ADA,
      message: message({ messageId: 'A' }),
      senderParty: { pn: ADA, lid: undefined },
    })
    const younger = await take(deviceId, {
      chat: ADA_LID,
      senderParty: { pn: undefined, lid: ADA_LID },
      message: message({ messageId: 'B', chat: ADA_LID, sender: ADA_LID }),
    })
    await take(deviceId, {
      chat: ADA_LID,
      senderParty: { pn: undefined, lid: ADA_LID },
      message: message({ messageId: 'A', chat: ADA_LID, sender: ADA_LID }),
    })
    assert.notEqual(older.conversationId, younger.conversationId)

    const merged = await take(deviceId, fromAda('C'))
    assert.equal(merged.conversationId, older.conversationId)
    assert.equal(merged.senderParty?.contactId, older.senderParty?.contactId)
    assert.equal(merged.senderParty?.mergedContactId, younger.senderParty?.contactId)
    assert.equal(merged.senderParty?.mergedConversationId, younger.conversationId)
    const moved = await messages.find(deviceId, 'B', ADA)
    assert.equal(moved?.conversationId, older.conversationId)
    assert.equal(moved?.senderContactId, older.senderParty?.contactId)
    // "A" came under both names; it stays once.
    const [{ count }] = (await database.execute(
      `select count(*) as count from messages where device_id = '${deviceId}' and message_id = 'A'`,
    )) as [{ count: unknown }]
    assert.equal(Number(count), 1)
    const after = await take(deviceId, fromAda('D'))
    assert.equal(after.senderParty?.mergedContactId, undefined)
  })

  test('a number that moves to a new LID is a new person; a LID with a new number is the same one', async () => {
    const deviceId = await database.addDevice()
    const first = await take(deviceId, fromAda('M1'))
    const moved = await take(deviceId, {
      chat: ADA,
      chatParty: { pn: ADA, lid: '2002@lid' },
      senderParty: { pn: ADA, lid: '2002@lid' },
      message: message({ messageId: 'M2' }),
    })
    assert.notEqual(moved.senderParty?.contactId, first.senderParty?.contactId)
    assert.notEqual(moved.conversationId, first.conversationId)
    const former = await take(deviceId, { chat: ADA_LID, chatParty: { pn: BOB, lid: ADA_LID } })
    assert.equal(former.chatParty?.contactId, first.senderParty?.contactId)
    assert.equal(former.chatParty?.pn, BOB)
    assert.equal(former.conversationId, first.conversationId)
  })

  test('a group is one conversation; its members are contacts', async () => {
    const deviceId = await database.addDevice()
    const group = { chat: '120363@g.us', chatParty: undefined }
    const one = await take(deviceId, { ...group, senderParty: { pn: ADA, lid: undefined } })
    const two = await take(deviceId, { ...group, senderParty: { pn: BOB, lid: undefined } })
    assert.equal(one.conversationId, two.conversationId)
    assert.equal(one.chatParty, undefined)
    assert.notEqual(one.senderParty?.contactId, two.senderParty?.contactId)
  })

  test('an undecryptable message is healed by a later good copy, and only then', async () => {
    const deviceId = await database.addDevice()
    const { messages } = database.storage
    const lost = { type: 'undecryptable', text: undefined, content: undefined }
    assert.equal((await take(deviceId, fromAda('M1', lost))).isNew, true)
    assert.equal((await take(deviceId, fromAda('M1', lost))).isNew, false)
    const good = fromAda('M1', { chat: ADA_LID, sender: ADA_LID, text: 'readable' })
    assert.equal((await take(deviceId, { ...good, chat: ADA_LID })).isNew, true)
    assert.equal((await take(deviceId, fromAda('M1', { text: 'other' }))).isNew, false)
    const row = await messages.find(deviceId, 'M1')
    assert.deepEqual([row?.type, row?.text, Buffer.from(row!.content!).toString()], ['text', 'readable', 'hello'])
  })

  test('the same message id of two senders in a group are two messages', async () => {
    const deviceId = await database.addDevice()
    const chat = '120363@g.us'
    const of = (sender: string) => ({
      chat,
      senderParty: { pn: sender, lid: undefined },
      message: message({ chat, sender, messageId: 'SAME' }),
    })
    assert.equal((await take(deviceId, of(ADA))).isNew, true)
    assert.equal((await take(deviceId, of(BOB))).isNew, true)
    assert.equal((await take(deviceId, of(BOB))).isNew, false)
  })

  test('receipts: each recipient counts, states go forward only, the unknown and the known change nothing', async () => {
    const deviceId = await database.addDevice()
    const { messages } = database.storage
    await messages.accept(deviceId, message({ messageId: 'OUT', fromMe: true, sender: BOB, state: 'accepted' }), {
      pn: ADA,
      lid: undefined,
    })
    const receipt = (kind: 'delivered' | 'read' | 'played', recipient: string, chat = ADA) => ({
      chat,
      chatParty: { pn: ADA, lid: ADA_LID },
      senderParty: { pn: ADA, lid: ADA_LID },
      receipts: ['OUT', 'UNKNOWN'].map((messageId) => ({ messageId, receipt: kind, recipient, at: 9 })),
    })
    const changed = async (...args: Parameters<typeof receipt>) =>
      (await take(deviceId, receipt(...args))).changed.map((one) => one.messageId)
    assert.deepEqual(await changed('delivered', ADA), ['OUT'])
    assert.deepEqual(await changed('delivered', ADA), [])
    assert.equal((await messages.find(deviceId, 'OUT'))?.state, 'delivered')
    assert.deepEqual(await changed('read', ADA_LID, ADA_LID), ['OUT'])
    assert.deepEqual(await changed('delivered', ADA), [])
    assert.equal((await messages.find(deviceId, 'OUT'))?.state, 'read')
    assert.deepEqual(await changed('played', ADA), ['OUT'])
    assert.equal((await messages.find(deviceId, 'OUT', ADA_LID))?.state, 'played')
  })

  test('a recipient known before and after a merge is one recipient', async () => {
    const deviceId = await database.addDevice()
    const chat = '120363@g.us'
    await take(deviceId, { chat: ADA_LID, chatParty: { pn: undefined, lid: ADA_LID } })
    await database.storage.messages.accept(
      deviceId,
      message({ messageId: 'OUT', chat, fromMe: true, sender: BOB, state: 'accepted' }),
      undefined,
    )
    const receipts = (recipient: string) => [{ messageId: 'OUT', receipt: 'delivered', recipient, at: 9 }] as const
    const first = await take(deviceId, { chat, senderParty: { pn: ADA, lid: undefined }, receipts: receipts(ADA) })
    assert.equal(first.changed.length, 1)
    const after = await take(deviceId, { chat, senderParty: { pn: ADA, lid: ADA_LID }, receipts: receipts(ADA_LID) })
    assert.ok(after.senderParty?.mergedContactId)
    assert.equal(after.changed.length, 0)
  })

  test('what we sent: accepted, content, acknowledged, failed only from accepted', async () => {
    const deviceId = await database.addDevice()
    const { messages } = database.storage
    const out = message({ messageId: 'OUT', fromMe: true, sender: BOB, state: 'accepted', content: undefined })
    const row = await messages.accept(deviceId, out, undefined)
    assert.deepEqual(
      { ...row, conversationId: '', deviceId: '' },
      { ...out, senderContactId: undefined, conversationId: '', deviceId: '' },
    )
    assert.deepEqual(await messages.accept(deviceId, { ...out, text: 'resent' }, undefined), row)
    assert.deepEqual(
      (await messages.pending(deviceId, 10)).map((one) => one.messageId),
      ['OUT'],
    )
    await messages.setContent(deviceId, ADA, 'OUT', Buffer.from([1, 2, 3]))
    assert.deepEqual([...(await messages.find(deviceId, 'OUT', ADA))!.content!], [1, 2, 3])
    assert.equal(await messages.advance(deviceId, ADA, 'OUT', 'server_ack'), true)
    assert.equal(await messages.advance(deviceId, ADA, 'OUT', 'server_ack'), false)
    assert.equal(await messages.advance(deviceId, ADA, 'OUT', 'failed', 463), false)
    assert.equal(await messages.advance(deviceId, BOB, 'OUT', 'read'), false)
    assert.equal(await messages.advance(deviceId, ADA, 'NONE', 'read'), false)
    assert.deepEqual(await messages.pending(deviceId, 10), [])

    await messages.accept(deviceId, { ...out, messageId: 'BAD' }, undefined)
    assert.equal(await messages.advance(deviceId, ADA, 'BAD', 'failed', 463), true)
    const failed = await messages.find(deviceId, 'BAD')
    assert.deepEqual([failed?.state, failed?.failureCode], ['failed', 463])
  })

  test('any text survives, however long and whatever is in it', async () => {
    const deviceId = await database.addDevice()
    const { intake, messages, events } = database.storage
    const text = `\u0000start\u001a0\u001a\u001a1 👩‍👩‍👧‍👦 ‮rtl ${'\u{10FFFF}é'.repeat(40_000)}\\x00 '";-- $1 ?\u0000`
    await intake.commit(deviceId, {
      key: 'k\u0000',
      ...fromAda('M\u00001', { text, pushName: 'A\u0000da' }),
      events: () => [event({ payload: { text, nested: [{ text }] }, orderKey: 'o\u0000', dedupeKey: 'd\u0000' })],
    })
    const row = await messages.find(deviceId, 'M\u00001')
    assert.equal(row?.text, text)
    assert.equal(row?.pushName, 'A\u0000da')
    const [read] = await events.read(deviceId, 0, 1)
    assert.deepEqual(read?.payload, { text, nested: [{ text }] })
    assert.equal(read?.orderKey, 'o\u0000')
    assert.deepEqual(await events.append(deviceId, [event({ dedupeKey: 'd\u0000' })]), [])
  })

  test('events with a known dedupe key are dropped; the others keep their order', async () => {
    const deviceId = await database.addDevice()
    const { events } = database.storage
    const first = await events.append(deviceId, [
      event({ dedupeKey: 'a' }),
      event({ dedupeKey: 'a' }),
      event({ type: 'x' }),
    ])
    assert.deepEqual(
      first.map((one) => [one.sequence, one.type]),
      [
        [1, 'message.received'],
        [2, 'x'],
      ],
    )
    const second = await events.append(deviceId, [event({ dedupeKey: 'a' }), event({ dedupeKey: 'b', type: 'y' })])
    assert.deepEqual(
      second.map((one) => [one.sequence, one.type]),
      [[3, 'y']],
    )
    assert.deepEqual(
      (await events.read(deviceId, 1, 1)).map((one) => one.type),
      ['x'],
    )
    assert.equal(await events.lastSequence(newUuid()), 0)
  })

  test('pruning takes what is old and not needed by an open delivery', async () => {
    const { storage, clock } = database
    const deviceId = await database.addDevice()
    const hook = await storage.webhooks.create(
      { deviceId, url: 'http://x', events: [], active: true, secret: 's', headers: {} },
      5,
      1,
    )
    assert.ok(hook !== 'limit_reached')
    await take(deviceId, { chat: ADA, key: 'old', events: () => [event(), event({ webhookIds: [hook.id] })] })
    await storage.signalKeys.commit(deviceId, { writes: [], journal: { hash: 'old', plaintext: Buffer.from('x') } })
    await clock.advance(1000)
    const border = clock.now()
    await take(deviceId, { chat: ADA, key: 'new', events: () => [event()] })
    await storage.signalKeys.commit(deviceId, { writes: [], journal: { hash: 'new', plaintext: Buffer.from('x') } })

    await storage.events.prune(border)
    assert.deepEqual(
      (await storage.events.read(deviceId, 0, 10)).map((one) => one.sequence),
      [2, 3],
    )
    assert.ok((await storage.intake.prune(border)) >= 1)
    assert.ok((await storage.signalKeys.pruneJournal(border)) >= 1)
    assert.equal(await storage.signalKeys.journal(deviceId, 'old'), undefined)
    assert.ok(await storage.signalKeys.journal(deviceId, 'new'))
    const repeated = await storage.intake.commit(deviceId, { key: 'new', ...fromAda('N'), events: () => [event()] })
    assert.deepEqual(repeated, [])
  })
})
