import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compareReader, compareWebhook, type Differences, type LoggedEvent } from './log-verdict.ts'

const event = (sequence: number, chat: string | null = 'c', type = 'message.received'): LoggedEvent => ({
  id: `e${sequence}`,
  sequence,
  event_type: type,
  data: { conversation_id: chat },
})
const LOG = [event(1), event(2, 'd'), event(3), event(4, null, 'connection.connected')]
const [one, two, three, four] = LOG as [LoggedEvent, LoggedEvent, LoggedEvent, LoggedEvent]
const counts = ({ lost, duplicated, outOfOrder }: Differences) => [lost.length, duplicated.length, outOfOrder.length]
const reader = (...got: LoggedEvent[]) => counts(compareReader('r', got, LOG))
const webhook = (types: string[], ...kept: LoggedEvent[]) => counts(compareWebhook('w', kept, LOG, types))

test('a reader that has the log, event by event, is right', () => {
  assert.deepEqual(reader(one, two, three, four), [0, 0, 0])
})

test('a reader misses what it never got, and has too much when the log does not know it', () => {
  assert.deepEqual(reader(one, four), [2, 0, 0])
  assert.deepEqual(reader(one, two, three, four, event(5)), [1, 0, 0])
})

test('a reader gets nothing twice and nothing early, whatever the chat', () => {
  assert.deepEqual(reader(one, two, two, three, two, four), [0, 1, 0])
  assert.deepEqual(reader(one, three, two, four), [0, 0, 1])
  assert.deepEqual(reader(four, one, two, three), [0, 0, 3])
})

test('a webhook has to have what it is subscribed to', () => {
  assert.deepEqual(webhook(['message.*'], one, two, three), [0, 0, 0])
  assert.deepEqual(webhook(['message.*', 'connection.connected'], one, three), [2, 0, 0])
  assert.deepEqual(webhook([], event(9)), [1, 0, 0])
})

test("a webhook hears of a chat's events in their order, of chats side by side", () => {
  assert.deepEqual(webhook([], two, one, three, four), [0, 0, 0])
  assert.deepEqual(webhook([], four, three, two, one), [0, 0, 1])
})
