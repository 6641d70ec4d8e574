import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MessageOccurrence } from '../engine/index.ts'
import type { EventRow, IntakeRecord, NewEvent } from '../storage/index.ts'
import { testPing } from './catalogue/ping.ts'
import { draft } from './draft.ts'
import { Events } from './events.ts'
import { createIntake } from './intake.ts'

const ping = draft(testPing, { message: 'hi' }, { occurredAt: 5 })

const makeEvents = (more: { readonly fail?: boolean } = {}) => {
  const appended: (readonly NewEvent[])[] = []
  const woken: number[][] = []
  const events = new Events({
    feed: { announce: () => undefined },
    log: {
      append: async (deviceId, news) => {
        if (more.fail) throw new Error('away')
        appended.push(news)
        return news.map((event, index): EventRow => ({ ...event, deviceId, sequence: index + 1 }))
      },
      appendToAll: async (news) => {
        appended.push(news)
        return []
      },
    },
    receivers: { webhookIdsFor: (deviceId, type) => (deviceId === 'd1' && type.startsWith('test') ? [7, 8] : []) },
    waker: { wake: (ids) => void woken.push([...ids]) },
    validate: true,
  })
  return { events, appended, woken }
}

test('an event gets an id and its receivers, is appended, and then the dispatcher is woken', async () => {
  const { events, appended, woken } = makeEvents()
  const rows = await events.append('d1', [ping, ping])
  assert.equal(rows.length, 2)
  assert.match(appended[0]![0]!.eventId, /^[0-9a-f-]{36}$/)
  assert.notEqual(appended[0]![0]!.eventId, appended[0]![1]!.eventId)
  assert.deepEqual(appended[0]![0]!.webhookIds, [7, 8])
  assert.deepEqual(woken, [[7, 8]])
})

test('an event that nobody wants is logged all the same, and nobody is woken', async () => {
  const { events, appended, woken } = makeEvents()
  await events.append('d2', [ping])
  assert.equal(appended.length, 1)
  assert.deepEqual(woken, [])
  await events.append('d2', [])
  assert.equal(appended.length, 1)
})

test('an event for one webhook goes to no other', async () => {
  const { events, appended, woken } = makeEvents()
  await events.append('d1', [ping], { webhookId: 8 })
  assert.deepEqual(appended[0]![0]!.webhookIds, [8])
  assert.deepEqual(woken, [[8]])
})

test('what belongs to no device is appended for nobody, and wakes nobody', async () => {
  const { events, appended, woken } = makeEvents()
  await events.appendToAll([ping])
  assert.deepEqual([appended[0]?.length, appended[0]?.[0]?.webhookIds, woken], [1, [], []])
  const wrong = { ...ping, payload: {} }
  await assert.rejects(events.appendToAll([wrong]), /message/)
})

test('a payload that misses its schema is refused when asked to look', async () => {
  const { events, appended } = makeEvents()
  await assert.rejects(
    events.append('d1', [{ ...ping, payload: { message: 1 } }]),
    /test\.ping: \/message must be string/,
  )
  assert.deepEqual(appended, [])
})

const message: MessageOccurrence = {
  kind: 'message',
  key: 'k1',
  messageId: 'M1',
  chat: '6281234567890@s.whatsapp.net',
  chatParty: { pn: '6281234567890@s.whatsapp.net', lid: undefined },
  sender: '6281234567890@s.whatsapp.net',
  senderParty: { pn: '6281234567890@s.whatsapp.net', lid: undefined },
  senderDevice: 0,
  fromMe: false,
  isGroup: false,
  timestamp: 1795348800,
  pushName: 'Ayu',
  type: 'text',
  text: 'hello',
  quotedMessageId: undefined,
  mentions: [],
  offline: false,
  failure: undefined,
  content: new Uint8Array([1]),
}

const makeIntake = (isNew = true) => {
  const records: IntakeRecord[] = []
  const committed: NewEvent[] = []
  const woken: number[][] = []
  const events = new Events({
    feed: { announce: () => undefined },
    log: { append: async () => [], appendToAll: async () => [] },
    receivers: { webhookIdsFor: () => [3] },
    waker: {
      wake: (ids) => {
        assert.notEqual(committed.length, 0, 'woken before the commit')
        woken.push([...ids])
      },
    },
    validate: true,
  })
  const intake = createIntake({
    repository: {
      commit: async (_deviceId, record) => {
        records.push(record)
        const built = record.events({
          conversationId: '0b1f6a52-2f0e-4c39-8f0c-4be3f1b4a5d1',
          chatParty: undefined,
          senderParty: undefined,
          changed: [],
          moved: [],
          isNew,
        })
        await new Promise((resolve) => setImmediate(resolve))
        committed.push(...built)
        return []
      },
    },
    events,
    accountOf: () => ({ jid: undefined }),
  })
  return { intake, records, committed, woken }
}

test('a message is one record: row, sender with push name, event with its receivers; then the wake', async () => {
  const { intake, records, committed, woken } = makeIntake()
  await intake('d1', message)
  const [record] = records
  assert.equal(record?.key, 'k1')
  assert.deepEqual(record?.senderParty, { pn: message.sender, lid: undefined, pushName: 'Ayu' })
  assert.equal(record?.message?.state, 'received')
  assert.deepEqual(record?.message?.content, message.content)
  assert.deepEqual(
    committed.map((event) => [event.type, event.webhookIds]),
    [['message.received', [3]]],
  )
  assert.deepEqual(woken, [[3]])
})

test('a message sent from another device of ours is at WhatsApp already', async () => {
  const { intake, records } = makeIntake()
  await intake('d1', { ...message, fromMe: true })
  assert.equal(records[0]?.message?.state, 'server_ack')
})

test('talk between our own devices is committed under its key without a row', async () => {
  const { intake, records, committed, woken } = makeIntake()
  await intake('d1', { ...message, type: 'protocol' })
  assert.equal(records[0]?.message, undefined)
  assert.deepEqual([committed, woken], [[], []])
})

test('a receipt carries one change for each message, in ms', async () => {
  const { intake, records } = makeIntake()
  await intake('d1', {
    kind: 'receipt',
    key: 'r',
    receipt: 'read',
    messageIds: ['A', 'B'],
    chat: message.chat,
    chatParty: message.chatParty,
    sender: message.sender,
    senderParty: message.senderParty,
    fromMe: false,
    isGroup: false,
    timestamp: 10,
  })
  assert.deepEqual(records[0]?.receipts, [
    { messageId: 'A', receipt: 'read', recipient: message.sender, at: 10_000 },
    { messageId: 'B', receipt: 'read', recipient: message.sender, at: 10_000 },
  ])
})

test('what could not be committed rejects, so that WhatsApp is not acknowledged', async () => {
  const { events, woken } = makeEvents({ fail: true })
  await assert.rejects(events.append('d1', [ping]), /away/)
  assert.deepEqual(woken, [])
})
