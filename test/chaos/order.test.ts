import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Arrival } from './ledger.ts'
import { countEventInversions, countLaneInversions } from './order.ts'
import type { WireEntry } from './sandbox-feeds.ts'

const arrivals = (...texts: string[]): Arrival[] =>
  texts.map((text) => ({ text, messageId: text, identity: `event of ${text}`, chat: 'c' }))

/** `3:a` = a is delivered on connection 3; `3:a!` = its receipt. */
const wireOf = (...steps: string[]): WireEntry[] =>
  steps.map((step, index) => {
    const [connection, what] = step.split(':') as [string, string]
    const confirms = what.endsWith('!')
    return {
      seq: index + 1,
      device: 'd',
      connection: Number(connection),
      direction: confirms ? 'in' : 'out',
      tag: confirms ? 'receipt' : 'message',
      id: what.replace('!', ''),
      again: false,
      type: null,
    }
  })

test('a lane may have gaps, but may not go back', () => {
  assert.deepEqual(countLaneInversions(arrivals('a to b 1', 'c to b 1', 'a to b 3', 'c to b 2')), [])
  assert.deepEqual(countLaneInversions(arrivals('a to b 1', 'a to b 3', 'a to b 2')), [
    '"a to b 2" came after number 3',
  ])
})

test('events in the order of delivery are in order, whatever was repeated', () => {
  const wire = wireOf('1:a', '1:b', '2:a', '2:b', '2:a!', '2:b!', '2:c', '2:b')
  assert.deepEqual(countEventInversions(arrivals('a', 'b', 'c'), wire), [])
})

test('an event before that of an earlier delivery is out of order', () => {
  assert.equal(countEventInversions(arrivals('b', 'a'), wireOf('1:a', '1:b', '1:b!', '1:a!')).length, 1)
  assert.equal(countEventInversions(arrivals('c', 'a', 'b'), wireOf('1:a', '1:b', '1:c')).length, 2)
})

test('what the service itself delivered first, while the other was unconfirmed, may come first', () => {
  assert.deepEqual(countEventInversions(arrivals('b', 'a'), wireOf('1:b', '1:a')), [])
  // held back by the service until the connection ended
  assert.deepEqual(countEventInversions(arrivals('b', 'a'), wireOf('1:a', '2:b', '2:b!', '3:a')), [])
  // but not when the earlier one was confirmed before
  assert.equal(countEventInversions(arrivals('b', 'a'), wireOf('1:a', '1:a!', '2:b')).length, 1)
})

test('chats have nothing to do with each other', () => {
  const [a, b] = arrivals('a', 'b') as [Arrival, Arrival]
  assert.deepEqual(countEventInversions([b, { ...a, chat: 'other' }], wireOf('1:a', '1:b')), [])
})
