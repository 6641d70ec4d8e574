import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NACK_REASONS, proto } from 'baileys'
import { messageNode, padded, receiptNode, setUp } from '../../../test/support/incoming-stanzas.ts'
import { ParleyError } from '../../kernel/errors.ts'
import { ATTEMPTS } from './poison.ts'
import { STORAGE_FAILURE, STORAGE_REFUSAL } from './signal-repository.ts'

test('a message is taken in, then acknowledged', async () => {
  const { taken, receipts, told, hear } = await setUp()
  await hear(messageNode('M1'), receiptNode('R1'))
  assert.deepEqual(
    taken.map((occurrence) => occurrence.kind),
    ['message', 'receipt'],
  )
  assert.deepEqual([receipts, told], [['M1'], []])
})

test('a message in the clear is taken from a channel, and from nobody else', async () => {
  const { taken, told, acks, hear } = await setUp()
  const inTheClear = (id: string, from: string) => ({
    ...messageNode(id, { from }),
    content: [
      { tag: 'plaintext', attrs: {}, content: proto.Message.encode({ conversation: `text of ${id}` }).finish() },
    ],
  })
  await hear(inTheClear('CHANNEL', '120363000000000009@newsletter'))
  assert.deepEqual(
    taken.map((one) => one.kind === 'message' && [one.messageId, one.text]),
    [['CHANNEL', 'text of CHANNEL']],
  )
  assert.deepEqual([told, acks], [[], [['CHANNEL', undefined]]])
  for (const from of ['4915112345678@s.whatsapp.net', '111@lid', '120363000000000009@g.us', 'status@broadcast'])
    await hear(inTheClear(from, from))
  assert.equal(taken.length, 1)
  assert.deepEqual(told, Array(4).fill('plaintext'))
  assert.ok(acks.slice(1).every(([, code]) => code === NACK_REASONS.UnrecognizedStanza))
})

test('a stanza that breaks us stays unacknowledged, is counted, and is put aside the fifth time', async () => {
  const { state, taken, acks, receipts, failures, told, hear } = await setUp()
  state.intake = async (occurrence) => {
    if (occurrence.kind === 'message' && occurrence.messageId === 'BAD') throw new TypeError('x is not a function')
  }
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    assert.deepEqual(acks, [], `after ${attempt - 1}`)
    // the server marks what waited: it is the same stanza all the same
    await hear(messageNode('BAD', attempt > 1 ? { offline: '1' } : {}), messageNode(`GOOD${attempt}`))
  }
  assert.deepEqual(acks, [['BAD', NACK_REASONS.UnhandledError]])
  assert.equal(receipts.length, ATTEMPTS)
  assert.equal(taken.length, ATTEMPTS)
  assert.equal(new Set(failures.noted.map(({ key }) => key)).size, 1)
  assert.deepEqual([failures.noted[0]?.tag, failures.noted[0]?.error], ['message', 'x is not a function'])
  assert.ok(Buffer.from(failures.noted[0]!.stanza).includes('BAD'))
  assert.deepEqual(told, [])
  // its acknowledgement was lost: it is not tried for ever
  await hear(messageNode('BAD'))
  assert.equal(acks.length, 2)
})

test('a receipt that is put aside gets a plain acknowledgement', async () => {
  const { state, acks, hear } = await setUp()
  state.intake = async () => {
    throw new Error('no')
  }
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) await hear(receiptNode('R'))
  assert.deepEqual(acks, [['R', undefined]])
})

test('a stanza that the database refuses for its content is poison, wherever it is refused', async () => {
  for (const error of [
    new ParleyError('conflict', 'this conflicts with what is stored already'),
    new ParleyError('internal', 'the database refused a statement'),
  ]) {
    const { state, failures, told, hear } = await setUp()
    state.intake = async () => {
      throw error
    }
    await hear(messageNode('M1'))
    assert.deepEqual([failures.noted.length, told], [1, []])
  }
  const { state, failures, told, taken, hear } = await setUp()
  state.decrypt = async () => {
    throw new Error(`${STORAGE_REFUSAL}: the database refused a statement`)
  }
  await hear(messageNode('M1'))
  // not "undecryptable": it is not the sender's fault
  assert.deepEqual([failures.noted.length, told, taken], [1, [], []])
})

test('a storage that fails is no fault of the stanza: nothing is counted or taken any more', async () => {
  const { state, failures, told, taken, acks, receipts, hear } = await setUp()
  state.intake = async () => {
    throw new ParleyError('storage_unavailable', 'away')
  }
  await hear(messageNode('M1'), messageNode('M2'), receiptNode('R1'))
  assert.deepEqual([told, taken, acks, receipts, failures.noted], [['storage'], [], [], [], []])
  for (const error of [
    new ParleyError('conflict', 'another process took over', { data: { reason: 'not_the_owner' } }),
    new ParleyError('data_damaged', 'a sealed value does not open'),
    new Error(`${STORAGE_FAILURE}: away`),
  ]) {
    const other = await setUp()
    other.state.decrypt = async () => {
      throw error instanceof ParleyError ? new Error(`${STORAGE_FAILURE}: ${error.message}`, { cause: error }) : error
    }
    await other.hear(messageNode('M1'))
    assert.deepEqual([other.told, other.failures.noted, other.acks], [['storage'], [], []])
  }
})

test('when the failure cannot be counted for want of the storage, the stanza waits', async () => {
  const { state, failures, told, acks, hear } = await setUp()
  state.intake = async () => {
    throw new Error('bad')
  }
  failures.failure = new ParleyError('storage_unavailable', 'away')
  await hear(messageNode('M1'))
  assert.deepEqual([told, acks], [['storage'], []])
})

test('a message whose sender key could not be stored waits, although Baileys goes on', async () => {
  const { incoming, state, told, taken, receipts, hear } = await setUp()
  state.decrypt = async () => {
    incoming.onKeyFailure(new ParleyError('storage_unavailable', 'away'))
    return padded('x')
  }
  await hear(messageNode('M1'))
  assert.deepEqual([told, taken, receipts], [['storage'], [], []])
})

test('ids of any length do not make a stanza that cannot be stored', async () => {
  const { taken, hear } = await setUp()
  const long = 'X'.repeat(100_000)
  await hear(messageNode(long), receiptNode(long), messageNode('M', { from: `${'9'.repeat(5_000)}@s.whatsapp.net` }))
  assert.equal(taken.length, 3)
  const [message, receipt, stranger] = taken
  assert.ok(message?.kind === 'message' && receipt?.kind === 'receipt')
  assert.match(message.messageId, /^sha256:[0-9a-f]{64}$/)
  // the same name for the same id, so that a receipt finds its message
  assert.deepEqual(receipt.messageIds, [message.messageId])
  for (const occurrence of taken) {
    const named = JSON.stringify({ ...occurrence, text: '', content: '' })
    assert.ok(named.length < 3_000, named.slice(0, 200))
  }
  assert.match(stranger!.sender, /^sha256:/)
})

test('times that nobody can have meant are no obstacle', async () => {
  const { taken, hear } = await setUp()
  for (const t of ['', 'x', '-1', '1e300', '0.5', '99999999999999999999'])
    await hear(messageNode(`M${t}`, { t }), {
      ...receiptNode(`R${t}`),
      attrs: { id: `R${t}`, from: '4915112345678@s.whatsapp.net', t },
    })
  assert.equal(taken.length, 12)
  assert.ok(taken.every(({ timestamp }) => timestamp === 0))
})

test('beyond the bound nothing is taken; what was taken is handled, then the socket is closed', async () => {
  const { state, taken, told, receipts, hear, settled } = await setUp({ mostWaiting: 10 })
  const gate = Promise.withResolvers<void>()
  state.intake = () => gate.promise
  await hear(...Array.from({ length: 30 }, (_, index) => messageNode(`M${index}`)))
  assert.deepEqual([taken.length, told], [0, []])
  gate.resolve()
  await settled()
  // one more than the bound: the one that showed it
  assert.deepEqual(
    receipts,
    Array.from({ length: 11 }, (_, index) => `M${index}`),
  )
  assert.deepEqual(told, ['overload'])
  await hear(messageNode('LATE'))
  assert.equal(taken.length, 11)
})

test('as many as the bound at a time are no overload, however many come', async () => {
  const { told, taken, hear } = await setUp({ mostWaiting: 10 })
  for (let round = 0; round < 5; round++)
    await hear(...Array.from({ length: 10 }, (_, index) => messageNode(`M${round}.${index}`)))
  assert.deepEqual([taken.length, told], [50, []])
})

test('stanzas of different people are handed over in order without waiting for each other’s commits', async () => {
  const { state, taken, receipts, hear, settled } = await setUp()
  const gates = new Map<string, PromiseWithResolvers<void>>()
  const offered: string[] = []
  state.intake = (occurrence) => {
    const id = occurrence.kind === 'message' ? occurrence.messageId : ''
    const gate = Promise.withResolvers<void>()
    gates.set(id, gate)
    offered.push(id)
    return gate.promise
  }
  const first = Promise.withResolvers<void>()
  const decrypt = state.decrypt
  state.decrypt = async (body) => {
    if (Buffer.from(body).toString() === 'M1') await first.promise
    return decrypt(body)
  }
  const from = (person: number) => ({ from: `49151000000${person}@s.whatsapp.net` })
  await hear(messageNode('M1', from(1)), messageNode('M2', from(2)), messageNode('M3', from(3)))
  assert.deepEqual(offered, [], 'M1 is still being opened')
  first.resolve()
  await settled()
  assert.deepEqual(offered, ['M1', 'M2', 'M3'])
  assert.deepEqual([taken.length, receipts], [0, []])
  gates.get('M2')!.resolve()
  await settled()
  assert.deepEqual(receipts, [], 'acknowledged in order')
  gates.get('M1')!.resolve()
  gates.get('M3')!.resolve()
  await settled()
  assert.deepEqual(receipts, ['M1', 'M2', 'M3'])
})

test('what is behind a stanza that could not be stored may not be committed', async () => {
  const { state, mayCommit, receipts, told, hear } = await setUp()
  const away = Promise.withResolvers<void>()
  const asked: boolean[] = []
  state.intake = async (occurrence) => {
    if (occurrence.kind !== 'message') return
    if (occurrence.messageId === 'M1') return away.promise
    await away.promise.catch(() => undefined)
    // the next transaction
    await new Promise((resolve) => setImmediate(resolve))
    asked.push(mayCommit())
    if (!mayCommit()) throw new ParleyError('storage_unavailable', 'what came before this could not be stored')
  }
  const hearing = hear(messageNode('M1'), messageNode('M2'))
  await new Promise((resolve) => setImmediate(resolve))
  away.reject(new ParleyError('storage_unavailable', 'no disk'))
  await hearing
  assert.deepEqual([asked, receipts], [[false], []])
  assert.equal(told[0], 'storage')
})
