import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newUuid } from '../../../src/kernel/ids.ts'
import type { ChatChange, MessageAction } from '../../../src/kernel/message-facts.ts'
import type { IntakeRecord, NewMessage } from '../../../src/storage/index.ts'
import { onEachDatabase } from '../../support/postgres-and-sqlite.ts'

const ADA = '49151@s.whatsapp.net'
const ADA_LID = '1001@lid'
const BOB = '49152@s.whatsapp.net'
const GROUP = '120363000000000001@g.us'
const T = 1_700_000_000

const message = (over: Partial<NewMessage> = {}): NewMessage => ({
  chat: ADA,
  messageId: 'M1',
  sender: ADA,
  fromMe: false,
  type: 'text',
  text: 'hello',
  quotedMessageId: undefined,
  pushName: undefined,
  timestamp: T,
  state: 'received',
  failureCode: undefined,
  content: Buffer.from('hello'),
  ...over,
})

onEachDatabase((database) => {
  const take = async (deviceId: string, record: Partial<IntakeRecord> & { readonly chat: string }) => {
    let conversationId = ''
    await database.storage.intake.commit(deviceId, {
      key: newUuid(),
      chatParty: undefined,
      senderParty: undefined,
      ...record,
      events: (ids) => {
        conversationId = ids.conversationId
        return []
      },
    })
    return conversationId
  }
  const ada = { pn: ADA, lid: ADA_LID, pushName: 'Ada' }
  const fromAda = (deviceId: string, messageId: string, over: Partial<NewMessage> = {}) =>
    take(deviceId, { chat: ADA, chatParty: ada, senderParty: ada, message: message({ messageId, ...over }) })
  const inGroup = (deviceId: string, sender: string, messageId: string, over: Partial<NewMessage> = {}) =>
    take(deviceId, {
      chat: GROUP,
      senderParty: { pn: sender, lid: undefined },
      message: message({ chat: GROUP, sender, messageId, ...over }),
    })
  const act = (action: MessageAction, over: Partial<NewMessage> = {}) => ({
    messageId: newUuid(),
    type: action.kind,
    text: undefined,
    action,
    ...over,
  })
  const history = async (deviceId: string, chat: string, page: object = {}) => {
    const found = await database.storage.chats.find(deviceId, chat)
    assert.ok(found)
    const rows = await database.storage.chats.history(deviceId, found.conversationId, { limit: 50, ...page })
    assert.ok(rows !== 'unknown_cursor')
    return rows
  }
  const ids = (rows: readonly { readonly messageId: string }[]) => rows.map(({ messageId }) => messageId)

  test('pages in both directions, by message and by time, without gaps where seconds are shared', async () => {
    const deviceId = await database.addDevice()
    for (let i = 0; i < 12; i++) await fromAda(deviceId, `M${i}`, { timestamp: T + Math.floor(i / 3) })
    const first = await history(deviceId, ADA, { limit: 5 })
    assert.deepEqual(ids(first), ['M11', 'M10', 'M9', 'M8', 'M7'])
    const second = await history(deviceId, ADA_LID, { limit: 5, before: { messageId: 'M7' } })
    assert.deepEqual(ids(second), ['M6', 'M5', 'M4', 'M3', 'M2'])
    assert.deepEqual(ids(await history(deviceId, ADA, { limit: 2, after: { messageId: 'M7' } })), ['M9', 'M8'])
    assert.deepEqual(ids(await history(deviceId, ADA, { before: { messageId: 'M7' }, after: { messageId: 'M4' } })), [
      'M6',
      'M5',
    ])
    assert.deepEqual(ids(await history(deviceId, ADA, { before: { timestamp: T + 1 } })), ['M2', 'M1', 'M0'])
    assert.deepEqual(ids(await history(deviceId, ADA, { after: { timestamp: T + 2 } })), ['M11', 'M10', 'M9'])
    const { conversationId } = (await database.storage.chats.find(deviceId, ADA))!
    assert.equal(
      await database.storage.chats.history(deviceId, conversationId, { limit: 1, before: { messageId: 'nobody' } }),
      'unknown_cursor',
    )
    assert.equal(await database.storage.chats.find(deviceId, BOB), undefined)
  })

  test('texts are found by words, beginnings and characters of any script, within the chat and its aliases', async () => {
    const deviceId = await database.addDevice()
    const texts = {
      A: 'Der Zug fährt um neun Uhr',
      B: 'Wann fahren wir? "Morgen" & mehr: (ja)',
      C: '明天我们去东京塔看看',
      D: 'مرحبا بالعالم',
      E: 'party 🎉',
      F: 'พรุ่งนี้ไปเที่ยวทะเล',
    }
    for (const [id, text] of Object.entries(texts)) await fromAda(deviceId, id, { text })
    await inGroup(deviceId, BOB, 'G', { text: 'Der Zug ist weg' })
    const search = async (text: string, page: object = {}) =>
      ids(await history(deviceId, ADA, { search: text, ...page }))
    assert.deepEqual(await search('zug'), ['A'])
    assert.deepEqual(await search('FAHR'), ['B', 'A'])
    assert.deepEqual(await search('FAHR', { limit: 1 }), ['B'])
    assert.deepEqual(await search('FAHR', { before: { messageId: 'B' } }), ['A'])
    assert.deepEqual(await search('neun zug'), ['A'])
    assert.deepEqual(await search('东京'), ['C'])
    assert.deepEqual(await search('京'), ['C'])
    assert.deepEqual(await search('مَرْحَبًا'), ['D'])
    assert.deepEqual(await search('🎉'), ['E'])
    assert.deepEqual(await search('ทะเล'), ['F'])
    assert.deepEqual(await search(`") OR zug' & ! :* \\`), [])
    assert.deepEqual(await search('!?'), [])
    assert.deepEqual(await search('weg'), [])
    assert.deepEqual(ids(await history(deviceId, GROUP, { search: 'zug' })), ['G'])
  })

  test('a text is found under the conversation that two turned out to be', async () => {
    const deviceId = await database.addDevice()
    const first = await take(deviceId, { chat: ADA, message: message({ messageId: 'P', text: 'by phone number' }) })
    const second = await take(deviceId, {
      chat: ADA_LID,
      message: message({ messageId: 'L', chat: ADA_LID, sender: ADA_LID, text: 'by lid number' }),
    })
    assert.notEqual(first, second)
    assert.equal(await fromAda(deviceId, 'B', { text: 'number of both' }), first)
    for (const chat of [ADA, ADA_LID])
      assert.deepEqual(ids(await history(deviceId, chat, { search: 'number' })), ['B', 'L', 'P'])
  })

  test('reactions: the newest of each person counts, an empty one takes it back', async () => {
    const deviceId = await database.addDevice()
    await inGroup(deviceId, BOB, 'M1')
    const react = (sender: string, emoji: string, at: number, over: Partial<NewMessage> = {}) =>
      inGroup(
        deviceId,
        sender,
        newUuid(),
        act({ kind: 'reaction', target: { messageId: 'M1', fromMe: false }, emoji, at }, over),
      )
    await react(ADA, '👍', 1_000)
    await react(BOB, '🎉', 2_000)
    await react(ADA, '❤️', 3_000)
    await react(ADA, '😮', 2_500)
    await react('me@s.whatsapp.net', '🙏', 4_000, { fromMe: true, state: 'server_ack' })
    const [row, ...more] = await history(deviceId, GROUP)
    assert.equal(more.length, 0)
    assert.deepEqual(
      row?.reactions.map(({ reactor, emoji, fromMe, at }) => [reactor, emoji, fromMe, at]),
      [
        [BOB, '🎉', false, 2_000],
        [ADA, '❤️', false, 3_000],
        ['me@s.whatsapp.net', '🙏', true, 4_000],
      ],
    )
    await react(ADA, '', 5_000)
    const [after] = await history(deviceId, GROUP)
    assert.deepEqual(
      after?.reactions.map(({ emoji }) => emoji),
      ['🎉', '🙏'],
    )
  })

  test('edits replace the text and keep what it was; only the author edits', async () => {
    const deviceId = await database.addDevice()
    await inGroup(deviceId, BOB, 'M1', { text: 'frist' })
    const edit = (sender: string, text: string, at: number) =>
      inGroup(deviceId, sender, newUuid(), act({ kind: 'edit', target: { messageId: 'M1' }, text, at }, { text }))
    await edit(ADA, 'forged', (T + 1) * 1000)
    await edit(BOB, 'first', (T + 2) * 1000)
    await edit(BOB, 'first of all', (T + 4) * 1000)
    await edit(BOB, 'late', (T + 3) * 1000)
    const [row] = await history(deviceId, GROUP)
    assert.deepEqual([row?.text, row?.editedAt], ['first of all', T + 4])
    assert.deepEqual(row?.edits, [
      { text: 'frist', at: (T + 2) * 1000 },
      { text: 'first', at: (T + 4) * 1000 },
    ])
    assert.deepEqual(ids(await history(deviceId, GROUP, { search: 'all' })), ['M1'])
    assert.deepEqual(ids(await history(deviceId, GROUP, { search: 'frist' })), [])
  })

  test('a revocation leaves a marker only; another takes it back only as an admin', async () => {
    const deviceId = await database.addDevice()
    await inGroup(deviceId, BOB, 'M1', { text: 'secret', details: { location: { latitude: 1, longitude: 2 } } })
    const revoke = (sender: string, byAdmin: boolean) =>
      inGroup(
        deviceId,
        sender,
        newUuid(),
        act({ kind: 'revoke', target: { messageId: 'M1' }, byAdmin, at: (T + 9) * 1000 }),
      )
    await revoke(ADA, false)
    const [still] = await history(deviceId, GROUP)
    assert.deepEqual([still?.text, still?.details], ['secret', { location: { latitude: 1, longitude: 2 } }])
    await revoke(ADA, true)
    const [row] = await history(deviceId, GROUP)
    assert.deepEqual(
      [row?.text, row?.content, row?.details, row?.revokedAt, row?.revokedBy, row?.type],
      [undefined, undefined, undefined, T + 9, ADA, 'text'],
    )
    assert.deepEqual(ids(await history(deviceId, GROUP, { search: 'secret' })), [])
    // in a chat of two nobody is admin
    await fromAda(deviceId, 'D1', { fromMe: true, sender: 'me@s.whatsapp.net', state: 'server_ack' })
    await fromAda(deviceId, 'x', act({ kind: 'revoke', target: { messageId: 'D1' }, byAdmin: true, at: T * 1000 }))
    assert.equal((await history(deviceId, ADA))[0]?.text, 'hello')
  })

  test('what we do ourselves holds once WhatsApp has it, and not when it was refused', async () => {
    const deviceId = await database.addDevice()
    const { messages } = database.storage
    const me = { sender: 'me@s.whatsapp.net', fromMe: true, state: 'accepted' as const, pushName: undefined }
    await messages.accept(deviceId, message({ ...me, messageId: 'M1', text: 'tpyo' }), ada)
    for (const [messageId, text] of [
      ['E1', 'refused'],
      ['E2', 'typo'],
    ] as const)
      await messages.accept(
        deviceId,
        message({
          ...me,
          messageId,
          text,
          type: 'edit',
          action: { kind: 'edit', target: { messageId: 'M1', fromMe: true }, text, at: T * 1000 },
        }),
        ada,
      )
    assert.deepEqual(ids(await history(deviceId, ADA)), ['M1'])
    assert.equal((await messages.pending(deviceId, 10)).length, 3)
    await messages.advance(deviceId, ADA, 'E1', 'failed', 479)
    assert.equal((await history(deviceId, ADA))[0]?.text, 'tpyo')
    await messages.advance(deviceId, ADA_LID, 'E2', 'server_ack')
    assert.equal((await history(deviceId, ADA))[0]?.text, 'typo')
    assert.equal((await messages.find(deviceId, 'E2'))?.targetMessageId, 'M1')
  })

  test('votes: the newest of each voter, withdrawn ones left out', async () => {
    const deviceId = await database.addDevice()
    const details = { poll: { question: 'When?', options: ['now', 'later'], selectable: 0 } }
    const conversation = await inGroup(deviceId, BOB, 'P', { type: 'poll', text: 'When?', details })
    const vote = (sender: string, options: string[] | undefined, at: number) =>
      inGroup(deviceId, sender, newUuid(), act({ kind: 'poll_vote', target: { messageId: 'P' }, options, at }))
    await vote(ADA, ['now'], 1)
    await vote(BOB, ['now', 'later'], 2)
    await vote(ADA, ['later'], 3)
    await vote('49153@s.whatsapp.net', ['now'], 4)
    await vote('49153@s.whatsapp.net', [], 5)
    await vote('49154@s.whatsapp.net', undefined, 6)
    assert.deepEqual(await database.storage.chats.votes(deviceId, conversation, 'P'), [
      { voter: BOB, fromMe: false, options: ['now', 'later'], at: 2 },
      { voter: ADA, fromMe: false, options: ['later'], at: 3 },
    ])
    assert.deepEqual((await history(deviceId, GROUP))[0]?.details, details)
  })

  test('chats: newest first, with unread count, last message, and how they stand', async () => {
    const deviceId = await database.addDevice()
    const { chats } = database.storage
    await fromAda(deviceId, 'A1', { timestamp: T })
    await fromAda(deviceId, 'A2', { timestamp: T + 5, text: 'newest of Ada' })
    await inGroup(deviceId, BOB, 'G1', { timestamp: T + 3 })
    await inGroup(
      deviceId,
      BOB,
      'R',
      act({ kind: 'reaction', target: { messageId: 'G1' }, emoji: '👍', at: 1 }, { timestamp: T + 9 }),
    )
    const listed = await chats.list(deviceId, { limit: 10 })
    assert.deepEqual(
      listed.map((one) => [one.chat, one.pn, one.lid, one.lastAt, one.unreadCount, one.lastMessage?.text]),
      [
        [ADA, ADA, ADA_LID, T + 5, 2, 'newest of Ada'],
        [GROUP, undefined, undefined, T + 3, 1, 'hello'],
      ],
    )
    const [top] = await chats.list(deviceId, { limit: 1 })
    assert.deepEqual(
      (await chats.list(deviceId, { limit: 1, before: top!.cursor })).map(({ chat }) => chat),
      [GROUP],
    )
    const change = (chat: string, it: ChatChange, at = (T + 5) * 1000) =>
      take(deviceId, { chat, chatChange: { change: it, at } })
    await change(ADA_LID, { kind: 'pin', pinned: true }, 77)
    await change(ADA, { kind: 'mute', until: -1 })
    await change(GROUP, { kind: 'archive', archived: true })
    await change(ADA, { kind: 'mark_read', read: true }, T * 1000)
    let now = (await chats.find(deviceId, ADA))!
    assert.deepEqual(
      [now.pinnedAt, now.mutedUntil, now.archived, now.unreadCount, now.markedUnread],
      [77, -1, false, 1, false],
    )
    assert.deepEqual(
      (await chats.list(deviceId, { limit: 9, archived: true })).map(({ chat }) => chat),
      [GROUP],
    )
    assert.deepEqual(
      (await chats.list(deviceId, { limit: 9, archived: false })).map(({ chat }) => chat),
      [ADA],
    )
    await change(ADA, { kind: 'mute', until: undefined })
    await change(ADA, { kind: 'archive', archived: true })
    await change(ADA, { kind: 'mark_read', read: false })
    now = (await chats.find(deviceId, ADA))!
    assert.deepEqual([now.pinnedAt, now.mutedUntil, now.archived, now.markedUnread], [undefined, undefined, true, true])
    assert.deepEqual(ids(await chats.unread(deviceId, now.conversationId, 10)), ['A2'])
    await chats.markRead(deviceId, now.conversationId, ['A2', 'A1'])
    assert.equal((await chats.find(deviceId, ADA))!.unreadCount, 0)
    await chats.setTimer(deviceId, ADA, { seconds: 86_400, setAt: 5 })
    assert.equal((await chats.find(deviceId, ADA))!.disappearing, 86_400)
  })

  test('timers: the newest counts, and what is sent is written under it', async () => {
    const { chats, messages } = database.storage
    const deviceId = await database.addDevice()
    const timerOf = async (chat: string) => (await chats.find(deviceId, chat))?.disappearing
    const set = (chat: string, seconds: number, setAt: number) =>
      take(deviceId, { chat, ...(chat === ADA ? { chatParty: ada } : {}), timer: { seconds, setAt } })
    const accept = async (chat: string, messageId: string, ofNewChats?: { seconds: number; setAt: number }) => {
      const row = await messages.accept(
        deviceId,
        message({ chat, messageId, sender: '4900@s.whatsapp.net', fromMe: true, state: 'accepted' }),
        undefined,
        { ofNewChats, content: (timer) => Buffer.from(JSON.stringify(timer)) },
      )
      return Buffer.from(row.content!).toString()
    }
    assert.equal(await accept(ADA, 'M1'), 'hello')
    assert.equal(await timerOf(ADA), undefined)
    // the default is for chats that begin with the message
    assert.equal(await accept(ADA, 'M2', { seconds: 7, setAt: 1 }), 'hello')
    await set(ADA, 60, 0)
    assert.equal(await timerOf(ADA), 60)
    await set(ADA, 100, 50)
    await set(ADA, 200, 49)
    await set(ADA, 300, 0)
    assert.equal(await timerOf(ADA_LID), 100)
    assert.deepEqual(JSON.parse(await accept(ADA, 'M3')), { seconds: 100, setAt: 50, byDefault: false })
    await set(ADA, 0, 50)
    assert.deepEqual([await timerOf(ADA), await accept(ADA, 'M4')], [0, 'hello'])
    const begun = JSON.parse(await accept(BOB, 'M5', { seconds: 7, setAt: 1 }))
    assert.deepEqual([begun, await timerOf(BOB)], [{ seconds: 7, setAt: 1, byDefault: true }, 7])
    assert.equal(await accept(GROUP, 'M6', { seconds: 7, setAt: 1 }), 'hello')
    await chats.setTimer(deviceId, GROUP, { seconds: 9, setAt: 0 })
    assert.deepEqual(JSON.parse(await accept(GROUP, 'M7')), { seconds: 9, setAt: 0, byDefault: false })
    // ours counts once WhatsApp has it
    const timer = { seconds: 11, setAt: 60 }
    const change = act(
      { kind: 'timer', target: { messageId: 'M8', fromMe: true }, timer, at: 60_000 },
      { chat: ADA, messageId: 'M8', sender: '4900@s.whatsapp.net', fromMe: true, type: 'protocol', state: 'accepted' },
    )
    await messages.accept(deviceId, message(change), undefined)
    assert.equal(await timerOf(ADA), 0)
    await messages.advance(deviceId, ADA, 'M8', 'server_ack')
    assert.equal(await timerOf(ADA), 11)
    assert.ok(!ids(await history(deviceId, ADA)).includes('M8'))
    // two names turn out to be one person's: the newer timer stays
    const lid = '2002@lid'
    await chats.setTimer(deviceId, lid, { seconds: 13, setAt: 70 })
    await take(deviceId, { chat: BOB, chatParty: { pn: BOB, lid } })
    assert.deepEqual([await timerOf(BOB), await timerOf(lid)], [13, 13])
  })

  test('star, delete for me, clear and delete', async () => {
    const deviceId = await database.addDevice()
    const { chats } = database.storage
    for (let i = 0; i < 450; i++) await fromAda(deviceId, `M${i}`, { timestamp: T + i, text: `word ${i}` })
    await fromAda(deviceId, 'later', { timestamp: T + 1_000 })
    const change = (it: ChatChange, at: number) => take(deviceId, { chat: ADA, chatChange: { change: it, at } })
    const named = (messageId: string) => ({ messageId, fromMe: false })
    await change({ kind: 'star', message: named('M3'), starred: true }, 1)
    await change({ kind: 'delete_for_me', message: named('M4'), deleteMedia: false }, 1)
    const rows = await history(deviceId, ADA, { after: { messageId: 'M2' }, limit: 2 })
    assert.deepEqual(
      rows.map(({ messageId, starred }) => [messageId, starred]),
      [
        ['M5', undefined],
        ['M3', true],
      ],
    )
    assert.deepEqual(ids(await history(deviceId, ADA, { search: '4', limit: 3, before: { messageId: 'M5' } })), [])
    await change({ kind: 'delete', deleteMedia: false }, (T + 500) * 1000)
    assert.deepEqual(ids(await history(deviceId, ADA)), ['later'])
    assert.deepEqual(await history(deviceId, ADA, { search: 'word' }), [])
    await change({ kind: 'clear', deleteMedia: false }, (T + 1_000) * 1000)
    assert.deepEqual(await history(deviceId, ADA), [])
    assert.deepEqual(await chats.list(deviceId, { limit: 5 }), [])
    await fromAda(deviceId, 'again', { timestamp: T + 2_000 })
    assert.deepEqual(
      (await chats.list(deviceId, { limit: 5 })).map(({ lastMessage }) => lastMessage?.messageId),
      ['again'],
    )
  })

  test('a message that could not be read and is healed can be found', async () => {
    const deviceId = await database.addDevice()
    await fromAda(deviceId, 'M1', { type: 'undecryptable', text: undefined, content: undefined })
    await fromAda(deviceId, 'M1', { text: 'healed' })
    assert.deepEqual(ids(await history(deviceId, ADA, { search: 'healed' })), ['M1'])
  })
})
