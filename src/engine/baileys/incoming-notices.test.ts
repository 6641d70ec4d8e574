import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type BinaryNode, initAuthCreds, makeWASocket, NACK_REASONS } from 'baileys'
import { messageNode, setUp } from '../../../test/support/incoming-stanzas.ts'
import { ParleyError } from '../../kernel/errors.ts'
import { silentLogger } from '../../kernel/logger.ts'
import { createBaileysLogger } from './baileys-logger.ts'
import { ATTEMPTS } from './poison.ts'
import { StockHandlers } from './stock-handlers.ts'

/** Notifications, calls and retry requests: Baileys acts on them, and we acknowledge when that is stored. */
const notice = (id: string, attrs: Record<string, string> = {}): BinaryNode => ({
  tag: 'notification',
  attrs: { id, from: '4915112345678@s.whatsapp.net', type: 'server_sync', t: '1795348800', ...attrs },
})
const call = (id: string): BinaryNode => ({ tag: 'call', attrs: { id, from: '4915112345678@s.whatsapp.net' } })
const retry = (id: string): BinaryNode => ({
  tag: 'receipt',
  attrs: { id, from: '4915112345678@s.whatsapp.net', type: 'retry' },
})

for (const [name, make] of Object.entries({ notification: notice, call, 'retry request': retry })) {
  test(`a ${name} is acknowledged once, when what came of it is stored`, async () => {
    const { state, acks, hear, settled } = await setUp()
    const stored = Promise.withResolvers<void>()
    const handled: BinaryNode[] = []
    state.stock = async (node) => void handled.push(node)
    state.settled = () => stored.promise
    await hear({ ...make('N1'), attrs: { ...make('N1').attrs, offline: '1' } })
    assert.deepEqual([handled.length, acks], [1, []], 'handled, not acknowledged')
    // with the mark Baileys would only put it into a queue
    assert.equal(handled[0]?.attrs.offline, undefined)
    stored.resolve()
    await settled()
    assert.deepEqual(acks, [['N1', undefined]])
  })

  test(`a ${name} that breaks Baileys comes again, is counted, and is put aside the fifth time`, async () => {
    const { state, acks, failures, told, hear } = await setUp()
    state.stock = async (node) => {
      if (node.attrs.id === 'BAD') throw new TypeError('x is not a function')
    }
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      assert.ok(!acks.some(([id]) => id === 'BAD'), `not acknowledged after ${attempt - 1}`)
      await hear(make('BAD'), make(`GOOD${attempt}`))
      assert.equal(failures.noted.length, attempt)
    }
    assert.deepEqual(
      acks.map(([id]) => id).toSorted(),
      ['BAD', ...Array.from({ length: ATTEMPTS }, (_, index) => `GOOD${index + 1}`)].toSorted(),
    )
    assert.equal(failures.noted[0]?.error, 'x is not a function')
    assert.deepEqual(told, [])
  })

  test(`a ${name} that could not be stored is left, and the connection is closed`, async () => {
    const { state, acks, failures, told, hear } = await setUp()
    state.settled = async () => {
      throw new ParleyError('storage_unavailable', 'away')
    }
    await hear(make('N1'))
    await hear(make('N2'))
    assert.deepEqual([acks, failures.noted, told], [[], [], ['storage']])
  })

  test(`a ${name} that fails because the connection has gone is not counted`, async () => {
    const { ws, state, acks, failures, told, hear } = await setUp()
    state.stock = async () => {
      ws.isOpen = false
      throw new Error('Connection Closed')
    }
    await hear(make('N1'))
    assert.deepEqual([acks, failures.noted, told], [[], [], []])
  })
}

test('a notification whose news the database refuses is counted; one that cannot be stored now closes the connection', async () => {
  const { state, acks, failures, told, hear } = await setUp()
  let handled = 0
  state.stock = async () => void handled++
  state.onNotification = async () => {
    throw new ParleyError('internal', 'the database refused a statement')
  }
  await hear(notice('N1'))
  assert.deepEqual([handled, acks, failures.noted.length, told], [0, [], 1, []])
  state.onNotification = async () => {
    throw new ParleyError('storage_unavailable', 'away')
  }
  await hear(notice('N2'))
  assert.deepEqual([handled, acks, failures.noted.length, told], [0, [], 1, ['storage']])
})

test('a notification that takes long holds up no message', async () => {
  const { state, taken, receipts, acks, hear } = await setUp()
  const asking = Promise.withResolvers<void>()
  state.stock = () => asking.promise
  await hear(notice('N1'), messageNode('M1'))
  assert.deepEqual([taken.length, receipts, acks], [1, ['M1'], []])
  asking.resolve()
})

test('key shares and histories that break Baileys are put aside in the end, too', async () => {
  const { state, acks, receipts, failures, hear } = await setUp()
  const { proto } = await import('baileys')
  state.decrypt = async () =>
    Buffer.concat([proto.Message.encode({ protocolMessage: { type: 6 } }).finish(), Buffer.from([1])])
  state.upsert = async () => {
    throw new Error('no such history')
  }
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    assert.deepEqual([acks, receipts], [[], []])
    await hear(messageNode('KEYS'))
  }
  assert.deepEqual([acks, failures.noted.length], [[['KEYS', NACK_REASONS.UnhandledError]], ATTEMPTS])
})

test('Baileys itself: its acknowledgement is withheld, and what it swallows is told', async () => {
  const stock = new StockHandlers()
  const said: string[] = []
  const logger = createBaileysLogger(
    { ...silentLogger, error: (_: object, words: string) => void said.push(words) } as typeof silentLogger,
    'error',
    undefined,
    stock,
  )
  const creds = { ...initAuthCreds(), me: { id: '4915100000000:3@s.whatsapp.net' } }
  const keys = { get: async () => ({}), set: async () => undefined }
  // nothing is ever sent: whatever gets past the logger fails with "Connection Closed" and is told at `error`
  const sock = makeWASocket({
    auth: { creds, keys },
    logger,
    waWebSocketUrl: 'ws://127.0.0.1:1/',
    connectTimeoutMs: 60_000,
  })
  const listener = (task: string) => sock.ws.listeners(`CB:${task}`)[0] as (node: BinaryNode) => unknown
  try {
    await stock.run('notification', listener('notification'), notice('N1', { type: 'picture' }))
    await stock.run('receipt', listener('receipt'), {
      ...retry('R1'),
      attrs: { ...retry('R1').attrs, recipient: '4915112345679@s.whatsapp.net' },
    })
    await stock.run('call', listener('call'), { ...call('C1'), content: [{ tag: 'offer', attrs: { 'call-id': 'C' } }] })
    assert.equal(said.join(), '', 'nothing was tried to be sent')
    // broken inside: neither `<retry>` nor `<count>` nor an offer
    await assert.rejects(stock.run('receipt', listener('receipt'), retry('R2')), /TypeError/)
    await assert.rejects(
      stock.run('notification', listener('notification'), {
        ...notice('N2', { from: '@s.whatsapp.net', type: 'encrypt' }),
        content: [],
      }),
      TypeError,
    )
    await assert.rejects(stock.run('call', listener('call'), call('C2')), /Missing call info/)
    assert.ok(!said.some((words) => words.startsWith('failed to ack')), said.join())
    // the same stanza handled by Baileys alone is acknowledged
    await listener('notification')(notice('N3', { type: 'picture' }))
    assert.ok(said.includes('failed to ack notification'), said.join())
  } finally {
    await sock.end(undefined)
  }
})
