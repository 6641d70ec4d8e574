import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock } from '../../test/support/fake-clock.ts'
import type { EngineSession, SendMessage, SendOutcome } from '../engine/index.ts'
import { ParleyError } from '../kernel/errors.ts'
import { silentLogger } from '../kernel/logger.ts'
import type { MessageRepository, MessageRow } from '../storage/index.ts'
import { GIVE_UP_AFTER_MS, Outbox, type OutboxDevice } from './outbox.ts'

const DAY_MS = 24 * 3600_000
const ACK: SendOutcome = { outcome: 'server_ack', timestamp: 5 }

class Rows implements Pick<MessageRepository, 'advance' | 'pending' | 'stale'> {
  readonly rows: MessageRow[] = []
  away = false

  readonly advance: MessageRepository['advance'] = async (deviceId, _chat, messageId, state, failureCode, more) => {
    this.#reach()
    const at = this.rows.findIndex((row) => row.deviceId === deviceId && row.messageId === messageId)
    const row = this.rows[at]
    if (row?.state !== 'accepted') return false
    more?.events(undefined)
    this.rows[at] = { ...row, state, failureCode, failureReason: more?.reason }
    return true
  }

  async pending(deviceId: string, limit: number): Promise<readonly MessageRow[]> {
    this.#reach()
    return this.rows.filter((row) => row.deviceId === deviceId && row.state === 'accepted').slice(0, limit)
  }

  async stale(before: number, limit: number): Promise<readonly MessageRow[]> {
    this.#reach()
    return this.rows.filter((row) => row.state === 'accepted' && row.timestamp < before).slice(0, limit)
  }

  state(messageId: string): string | undefined {
    return this.rows.find((row) => row.messageId === messageId)?.state
  }

  #reach(): void {
    if (this.away) throw new ParleyError('storage_unavailable', 'away')
  }
}

const setUp = () => {
  const clock = new FakeClock()
  const storage = new Rows()
  const told: string[] = []
  const outbox = new Outbox({
    messages: storage as unknown as MessageRepository,
    clock,
    logger: silentLogger,
    eventsOf: ({ messageId, state, failureReason }) => {
      told.push(`${messageId} ${state}${failureReason === undefined ? '' : `: ${failureReason}`}`)
      return []
    },
    onEvents: () => undefined,
  })
  const add = (messageId: string, changes: Partial<MessageRow> = {}): MessageRow => {
    const row: MessageRow = {
      deviceId: 'd',
      conversationId: 'c',
      chat: 'a@s.whatsapp.net',
      messageId,
      sender: 'me@s.whatsapp.net',
      senderContactId: undefined,
      fromMe: true,
      type: 'text',
      text: 'x',
      quotedMessageId: undefined,
      pushName: undefined,
      timestamp: Math.floor(clock.now() / 1000),
      state: 'accepted',
      failureCode: undefined,
      content: new Uint8Array([1]),
      ...changes,
    }
    storage.rows.push(row)
    return row
  }
  return { clock, storage, outbox, told, add }
}

/** A device that is open, unless `away`; `answer` is what the service says to a send. */
const deviceOf = (answer: (message: SendMessage) => SendOutcome | Promise<SendOutcome> = () => ACK) => {
  const sent: SendMessage[] = []
  const device = {
    deviceId: 'd',
    account: {} as object | undefined,
    away: false,
    get connection() {
      return device.away ? undefined : connection
    },
    waitUntilOpen: async () => {
      throw new ParleyError('not_connected', 'no')
    },
  }
  const connection = {
    send: async (message: SendMessage) => {
      sent.push(message)
      return answer(message)
    },
  } as unknown as EngineSession
  return { device: device as OutboxDevice & { account: object | undefined; away: boolean }, sent }
}

test('what is older than a day and in no line fails, and says so; what is younger stays', async () => {
  const { clock, storage, outbox, told, add } = setUp()
  add('OLD')
  await clock.advance(GIVE_UP_AFTER_MS - 1000)
  add('NEW', { deviceId: 'e' })
  await clock.advance(2000)
  assert.equal(await outbox.failStale(), 1)
  assert.deepEqual([storage.state('OLD'), storage.state('NEW')], ['failed', 'accepted'])
  assert.deepEqual(told, ['OLD failed: the message failed: no word from the server'])
  assert.equal(await outbox.failStale(), 0)
  await clock.advance(DAY_MS)
  assert.equal(await outbox.failStale(), 1)
})

test('one that waits in its line for a device that stays away fails there, once', async () => {
  const { clock, storage, outbox, told, add } = setUp()
  const { device } = deviceOf()
  device.away = true
  const fate = outbox.submit(device, add('M'))
  await clock.advance(DAY_MS / 2)
  assert.equal(storage.state('M'), 'accepted')
  await clock.advance(DAY_MS / 2 + 10_000)
  assert.equal((await fate).state, 'failed')
  assert.equal(await outbox.failStale(), 0)
  assert.equal(told.length, 1)
  assert.deepEqual([outbox.size, clock.pending], [0, 0])
})

test('a word of the server that cannot be stored yet is stored later, and nothing is sent again for it', async () => {
  const { clock, storage, outbox, add } = setUp()
  const { device, sent } = deviceOf(() => {
    storage.away = true
    return ACK
  })
  const fate = outbox.submit(device, add('M'))
  await clock.advance(60_000)
  assert.deepEqual([storage.state('M'), sent.length], ['accepted', 1])
  storage.away = false
  await clock.advance(10_000)
  assert.deepEqual([(await fate).state, storage.state('M'), sent.length], ['server_ack', 'server_ack', 1])
})

test('a device that was suspended and comes back as another takes over the lines of the first', async () => {
  const { clock, storage, outbox, add } = setUp()
  const first = deviceOf()
  first.device.away = true
  void outbox.submit(first.device, add('M'))
  const second = deviceOf()
  await outbox.recover(second.device)
  await clock.advance(70_000)
  assert.deepEqual([storage.state('M'), first.sent.length, second.sent.length], ['server_ack', 0, 1])
})

test('everything that an earlier run left is taken up, however much it is, in order', async () => {
  const { clock, storage, outbox, add } = setUp()
  const { device, sent } = deviceOf()
  const ids = Array.from({ length: 2_500 }, (_, index) => `M${index}`)
  for (const id of ids) add(id)
  const recovering = outbox.recover(device)
  for (let turn = 0; turn < 20 && outbox.size + sent.length < 2_500; turn++) await clock.advance(0)
  await recovering
  await clock.advance(0)
  assert.deepEqual(
    sent.map(({ messageId }) => messageId),
    ids,
  )
  assert.ok(storage.rows.every(({ state }) => state === 'server_ack'))
})

test('the code and the words of a refusal are kept', async () => {
  const { storage, outbox, told, add } = setUp()
  const { device } = deviceOf(() => ({ outcome: 'refused', whatsappCode: 463 }))
  await outbox.submit(device, add('M'))
  assert.equal(storage.rows[0]?.failureCode, 463)
  assert.match(storage.rows[0]?.failureReason ?? '', /restricts this account/)
  assert.match(told[0] ?? '', /^M failed: WhatsApp restricts this account/)
})

test('what an earlier run left goes before what is new, and as something that may have left already', async () => {
  const { outbox, add } = setUp()
  const { device, sent } = deviceOf()
  add('LEFT')
  const recovering = outbox.recover(device)
  const fate = outbox.submit(device, add('NEW'))
  await recovering
  await fate
  assert.deepEqual(
    sent.map(({ messageId, again }) => [messageId, again]),
    [
      ['LEFT', true],
      ['NEW', false],
    ],
  )
})
