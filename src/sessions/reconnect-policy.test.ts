import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CloseCause } from '../engine/index.ts'
import { nextStep } from './reconnect-policy.ts'

const context = { backoff: { baseMs: 2000, capMs: 30_000, jitter: 'none' as const }, now: 1_000_000, random: () => 0.5 }
const step = (cause: CloseCause, failures = 0) => nextStep(cause, failures, context)

test('the restart after pairing is immediate', () => {
  assert.deepEqual(step({ kind: 'restart_required' }), { step: 'connect', delayMs: 0, refreshVersion: false })
})

test('a logged-out device is forgotten, a replaced, locked or banned one stops', () => {
  assert.deepEqual(step({ kind: 'logged_out' }), { step: 'forget' })
  assert.deepEqual(step({ kind: 'replaced' }), { step: 'stop', reason: 'replaced' })
  assert.deepEqual(step({ kind: 'locked' }), { step: 'stop', reason: 'locked' })
  assert.deepEqual(step({ kind: 'banned' }), { step: 'stop', reason: 'banned' })
})

test('a temporary ban is waited out, with an hour when its end is not known', () => {
  assert.deepEqual(step({ kind: 'temporary_ban', code: 101, expiresAt: 1_090_000 }), {
    step: 'connect',
    delayMs: 90_000,
    refreshVersion: false,
  })
  const unknown = step({ kind: 'temporary_ban', code: 101, expiresAt: undefined })
  assert.equal(unknown.step === 'connect' && unknown.delayMs, 3_600_000)
})

test('an outdated client refreshes its version and gives up after some tries', () => {
  const first = step({ kind: 'outdated' })
  assert.equal(first.step === 'connect' && first.refreshVersion, true)
  assert.deepEqual(step({ kind: 'outdated' }, 4), { step: 'stop', reason: 'client_outdated' })
})

test('network trouble backs off up to the cap', () => {
  const delays = [0, 1, 2, 3, 10].map((failures) => {
    const next = step({ kind: 'network', message: 'reset' }, failures)
    return next.step === 'connect' ? next.delayMs : -1
  })
  assert.deepEqual(delays, [2000, 4000, 8000, 16_000, 30_000])
})
