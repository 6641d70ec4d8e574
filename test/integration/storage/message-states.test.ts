import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isParleyError } from '../../../src/kernel/errors.ts'
import { newUuid } from '../../../src/kernel/ids.ts'
import type { NewEvent, NewMessage } from '../../../src/storage/index.ts'
import { onEachDatabase } from '../../support/postgres-and-sqlite.ts'

const ADA = '4915112345678@s.whatsapp.net'
const ADA_LID = '1001@lid'
const BOB = '4915187654321@s.whatsapp.net'
const GROUP = '120363000000000001@g.us'
const ME = '4915100000000@s.whatsapp.net'

const message = (changes: Partial<NewMessage>): NewMessage => ({
  chat: ADA,
  messageId: 'M1',
  sender: ME,
  fromMe: true,
  type: 'text',
  text: 'hello',
  quotedMessageId: undefined,
  pushName: undefined,
  timestamp: 1_700_000_000,
  state: 'accepted',
  failureCode: undefined,
  content: Buffer.from('x'),
  ...changes,
})

const event = (changes: Partial<NewEvent> = {}): NewEvent => ({
  eventId: newUuid(),
  type: 'message.status',
  orderKey: 'o',
  payload: {},
  occurredAt: 1,
  webhookIds: [],
  ...changes,
})

onEachDatabase((database) => {
  test('a message is described with what each recipient did', async () => {
    const deviceId = await database.addDevice()
    const { messages, intake } = database.storage
    const row = await messages.accept(deviceId, message({ chat: GROUP }), undefined)
    assert.deepEqual(await messages.describe(deviceId, 'M1'), { message: row, receipts: [] })
    const take = (key: string, recipient: string, receipt: 'delivered' | 'read', at: number) =>
      intake.commit(deviceId, {
        key,
        chat: GROUP,
        chatParty: undefined,
        senderParty: { pn: recipient, lid: undefined },
        receipts: [{ messageId: 'M1', receipt, recipient, at }],
        events: () => [],
      })
    await take('1', ADA, 'delivered', 1000)
    await take('2', BOB, 'delivered', 2000)
    await take('3', ADA, 'read', 3000)
    const found = await messages.describe(deviceId, 'M1', GROUP)
    assert.ok(found && found !== 'ambiguous')
    assert.equal(found.message.state, 'read')
    const none = { deliveredAt: undefined, readAt: undefined, playedAt: undefined }
    assert.deepEqual(
      found.receipts.toSorted((a, b) => (a.recipient < b.recipient ? -1 : 1)),
      [
        { ...none, recipient: ADA, deliveredAt: 1000, readAt: 3000 },
        { ...none, recipient: BOB, deliveredAt: 2000 },
      ],
    )
    assert.equal(await messages.describe(deviceId, 'M2'), undefined)
    assert.equal(await messages.describe(deviceId, 'M1', ADA), undefined)
    assert.equal(await messages.describe(await database.addDevice(), 'M1'), undefined)
  })

  test('an id in two chats is ambiguous until the chat is named, under any of its names', async () => {
    const deviceId = await database.addDevice()
    const { messages } = database.storage
    await messages.accept(deviceId, message({}), { pn: ADA, lid: ADA_LID })
    await messages.accept(deviceId, message({ chat: BOB }), undefined)
    assert.equal(await messages.describe(deviceId, 'M1'), 'ambiguous')
    for (const [chat, held] of [
      [ADA, ADA],
      [ADA_LID, ADA],
      [BOB, BOB],
    ] as const) {
      const found = await messages.describe(deviceId, 'M1', chat)
      assert.equal(found !== 'ambiguous' && found?.message.chat, held)
    }
  })

  test('a step and its event are one transaction; without a step there is no event', async () => {
    const deviceId = await database.addDevice()
    const { messages, events } = database.storage
    await messages.accept(deviceId, message({}), undefined)
    const failing = messages.advance(deviceId, ADA, 'M1', 'failed', 463, {
      reason: 'restricted',
      events: () => {
        throw new Error('no event')
      },
    })
    await assert.rejects(failing, /no event/)
    const untouched = await messages.find(deviceId, 'M1')
    assert.deepEqual([untouched?.state, untouched?.failureReason], ['accepted', undefined])

    const more = { reason: 'restricted', events: () => [event()] }
    assert.equal(await messages.advance(deviceId, ADA, 'M1', 'failed', 463, more), true)
    assert.equal(await messages.advance(deviceId, ADA, 'M1', 'failed', 463, more), false)
    const failed = await messages.find(deviceId, 'M1')
    assert.deepEqual([failed?.state, failed?.failureCode, failed?.failureReason], ['failed', 463, 'restricted'])
    assert.equal(await events.lastSequence(deviceId), 1)
    // a receipt proves it delivered after all
    assert.equal(await messages.advance(deviceId, ADA, 'M1', 'delivered', undefined, more), true)
    const delivered = await messages.find(deviceId, 'M1')
    assert.deepEqual(
      [delivered?.state, delivered?.failureCode, delivered?.failureReason],
      ['delivered', undefined, undefined],
    )
    assert.equal(await events.lastSequence(deviceId), 2)
  })

  test('receipts tell which of our messages moved, and only those', async () => {
    const deviceId = await database.addDevice()
    const { messages, intake } = database.storage
    await messages.accept(deviceId, message({ chat: GROUP }), undefined)
    const moved = async (key: string, recipient: string, receipt: 'delivered' | 'read') => {
      let told: unknown
      await intake.commit(deviceId, {
        key,
        chat: GROUP,
        chatParty: undefined,
        senderParty: { pn: recipient, lid: undefined },
        receipts: ['M1', 'UNKNOWN'].map((messageId) => ({ messageId, receipt, recipient, at: 1 })),
        events: (ids) => {
          told = ids.moved
          return []
        },
      })
      return told
    }
    assert.deepEqual(await moved('1', ADA, 'delivered'), [{ messageId: 'M1', state: 'delivered' }])
    assert.deepEqual(await moved('2', BOB, 'delivered'), [])
    assert.deepEqual(await moved('3', BOB, 'read'), [{ messageId: 'M1', state: 'read' }])
    assert.deepEqual(await moved('4', ADA, 'read'), [])
    // what we read of others is no step of a message of ours
    await intake.commit(deviceId, {
      key: '5',
      chat: ADA,
      chatParty: { pn: ADA, lid: undefined },
      senderParty: { pn: ADA, lid: undefined },
      message: message({ fromMe: false, sender: ADA, messageId: 'IN', state: 'received' }),
      events: () => [],
    })
    await intake.commit(deviceId, {
      key: '6',
      chat: ADA,
      chatParty: { pn: ADA, lid: undefined },
      senderParty: { pn: ME, lid: undefined },
      receipts: [{ messageId: 'IN', receipt: 'read', recipient: ME, at: 1 }],
      events: (ids) => {
        assert.deepEqual([ids.changed.length, ids.moved], [1, []])
        return []
      },
    })
  })

  test('what nobody acknowledged is found by its age, over all devices', async () => {
    const { messages } = database.storage
    const border = 1_600_000_000
    const [one, two] = [await database.addDevice(), await database.addDevice()]
    await messages.accept(one, message({ messageId: 'OLD1', timestamp: border - 1 }), undefined)
    await messages.accept(two, message({ messageId: 'OLD2', timestamp: border - 5 }), undefined)
    await messages.accept(two, message({ messageId: 'NEW', timestamp: border }), undefined)
    await messages.accept(two, message({ messageId: 'DONE', timestamp: border - 1, state: 'server_ack' }), undefined)
    const ids = async (limit: number) => (await messages.stale(border, limit)).map(({ messageId }) => messageId)
    assert.deepEqual(await ids(10), ['OLD1', 'OLD2'])
    assert.deepEqual(await ids(1), ['OLD1'])
  })

  test('failures of a stanza are counted across restarts, and given up once', async () => {
    const deviceId = await database.addDevice()
    const failure = {
      key: 'abc',
      tag: 'message',
      error: 'TypeError: x'.repeat(500),
      stanza: Buffer.from('secret words'),
    }
    for (let attempt = 1; attempt <= 4; attempt++) {
      assert.deepEqual(await database.storage.stanzaFailures.note(deviceId, failure, 3), {
        attempts: attempt,
        givenUp: attempt >= 3,
      })
      await database.clock.advance(10)
      if (attempt === 2) await database.restart()
    }
    const { stanzaFailures } = database.storage
    const [row] = (await stanzaFailures.list(10)).filter((one) => one.deviceId === deviceId)
    assert.deepEqual([row?.attempts, row?.givenUp, row?.tag, row?.error.length], [4, true, 'message', 500])
    assert.equal(row!.lastAt - row!.firstAt, 30)
    assert.equal(Buffer.from((await stanzaFailures.stanza(deviceId, 'abc'))!).toString(), 'secret words')
    const [raw] = await database.execute(`select stanza from stanza_failures where device_id = '${deviceId}'`)
    assert.equal(Buffer.from(raw!.stanza as Uint8Array).includes('secret'), false)
    assert.deepEqual(await stanzaFailures.note(deviceId, { ...failure, key: 'other' }, 1), {
      attempts: 1,
      givenUp: true,
    })
    await assert.rejects(stanzaFailures.note(newUuid(), failure, 3), (error) => isParleyError(error, 'not_found'))
    assert.ok((await stanzaFailures.prune(database.clock.now() + 1)) >= 2)
    assert.equal(await stanzaFailures.stanza(deviceId, 'abc'), undefined)
  })
})
