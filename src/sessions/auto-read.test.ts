import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock } from '../../test/support/fake-clock.ts'
import type { EngineSession, MessageOccurrence } from '../engine/index.ts'
import { silentLogger } from '../kernel/logger.ts'
import { AutoRead, type AutoReadOptions } from './auto-read.ts'

const OPTIONS: AutoReadOptions = {
  autoMarkRead: true,
  readReceiptJitter: true,
  readReceiptDelayMinMs: 1_000,
  readReceiptDelayMaxMs: 3_000,
}

const MESSAGE: MessageOccurrence = {
  kind: 'message',
  key: 'k',
  messageId: 'A1',
  chat: '1@lid',
  chatParty: undefined,
  sender: '1@lid',
  senderParty: { pn: undefined, lid: '1@lid' },
  senderDevice: 0,
  fromMe: false,
  isGroup: false,
  timestamp: 1,
  pushName: undefined,
  type: 'text',
  text: 'hello',
  quotedMessageId: undefined,
  mentions: [],
  offline: false,
  failure: undefined,
  content: new Uint8Array(),
}

const setUp = (options: Partial<AutoReadOptions> = {}, random = 0.5) => {
  const clock = new FakeClock()
  const read: string[] = []
  const connection = {
    markRead: async (chat: string, _: string, ids: readonly string[]) => {
      read.push(`${chat} ${ids.join()}`)
    },
  } as unknown as EngineSession
  let connected = true
  const marked: string[] = []
  const auto = new AutoRead({
    options: { ...OPTIONS, ...options },
    connectionOf: () => (connected ? connection : undefined),
    chats: {
      find: async () => ({ conversationId: 'c' }) as never,
      markRead: async (_, __, ids) => {
        marked.push(...ids)
      },
    },
    clock,
    random: () => random,
    logger: silentLogger,
  })
  return { auto, clock, read, marked, disconnect: () => (connected = false) }
}

for (const [random, delay] of [
  [0, 1_000],
  [0.5, 2_000],
  [0.999, 2_998],
] as const)
  test(`a message is read after its delay, and not before: ${delay} ms`, async () => {
    const { auto, clock, read, marked } = setUp({}, random)
    auto.onOccurrence('d', MESSAGE)
    await clock.advance(delay - 1)
    assert.deepEqual(read, [])
    await clock.advance(1)
    assert.deepEqual(read, ['1@lid A1'])
    assert.deepEqual(marked, ['A1'])
  })

test('without jitter it is read at once', async () => {
  const { auto, clock, read } = setUp({ readReceiptJitter: false })
  auto.onOccurrence('d', MESSAGE)
  await clock.advance(0)
  assert.deepEqual(read, ['1@lid A1'])
})

test('messages wait for themselves alone', async () => {
  const { auto, clock, read } = setUp()
  for (let i = 0; i < 100; i++) auto.onOccurrence('d', { ...MESSAGE, messageId: `A${i}` })
  await clock.advance(2_000)
  assert.equal(read.length, 100)
})

test('our own, stories, channels, broadcasts, actions and what could not be read are left alone', async () => {
  const { auto, clock, read } = setUp()
  const at = 1
  for (const other of [
    { fromMe: true },
    { chat: 'status@broadcast' },
    { chat: '12345@newsletter' },
    { chat: '12345@broadcast' },
    { type: 'undecryptable' },
    { type: 'protocol' },
    { action: { kind: 'reaction', target: { messageId: 'X' }, emoji: '👍', at } },
  ] as const)
    auto.onOccurrence('d', { ...MESSAGE, ...other })
  await clock.advance(10_000)
  assert.deepEqual(read, [])
  auto.onOccurrence('d', { ...MESSAGE, chat: '120363000000000001@g.us', isGroup: true })
  await clock.advance(10_000)
  assert.deepEqual(read, ['120363000000000001@g.us A1'])
})

test('nothing is read where it is not asked for, or when the device is gone by then', async () => {
  const off = setUp({ autoMarkRead: false })
  off.auto.onOccurrence('d', MESSAGE)
  await off.clock.advance(10_000)
  assert.deepEqual(off.read, [])
  const gone = setUp()
  gone.auto.onOccurrence('d', MESSAGE)
  gone.disconnect()
  await gone.clock.advance(10_000)
  assert.deepEqual([gone.read, gone.marked], [[], []])
})
