import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isNewReceipt, mayAdvance } from './message-state.ts'

const STATES = ['accepted', 'server_ack', 'delivered', 'read', 'played', 'failed', 'received'] as const

test('exactly these steps are allowed', () => {
  const allowed = Object.fromEntries(STATES.map((from) => [from, STATES.filter((to) => mayAdvance(from, to))]))
  assert.deepEqual(allowed, {
    accepted: ['server_ack', 'delivered', 'read', 'played', 'failed'],
    server_ack: ['delivered', 'read', 'played'],
    delivered: ['read', 'played'],
    read: ['played'],
    played: [],
    failed: ['delivered', 'read', 'played'],
    received: ['read', 'played'],
  })
})

test('a receipt is new when it says more than is known of the recipient', () => {
  const times = (delivered: number | null, read: number | null, played: number | null) => ({
    delivered_at: delivered,
    read_at: read,
    played_at: played,
  })
  assert.equal(isNewReceipt(undefined, 'delivered'), true)
  assert.equal(isNewReceipt(times(1, null, null), 'delivered'), false)
  assert.equal(isNewReceipt(times(1, null, null), 'read'), true)
  assert.equal(isNewReceipt(times(null, 1, null), 'delivered'), false)
  assert.equal(isNewReceipt(times(null, 1, null), 'played'), true)
  assert.equal(isNewReceipt(times(1, 1, 1), 'played'), false)
})
