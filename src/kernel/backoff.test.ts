import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { backoffDelay } from './backoff.ts'

const plan = { baseMs: 1_000, capMs: 30_000 } as const

test('waits double from the base up to the cap', () => {
  const waits = [1, 2, 3, 4, 5, 6, 7, 2_000].map((n) => backoffDelay({ ...plan, jitter: 'none' }, n))
  assert.deepEqual(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000])
})

test('full jitter spans zero to the wait, equal jitter its upper half', () => {
  assert.equal(
    backoffDelay({ ...plan, jitter: 'full' }, 3, () => 0),
    0,
  )
  assert.equal(
    backoffDelay({ ...plan, jitter: 'equal' }, 3, () => 0),
    2_000,
  )
  for (const jitter of ['full', 'equal'] as const) {
    assert.equal(
      backoffDelay({ ...plan, jitter }, 3, () => 1),
      4_000,
    )
  }
})

test('no failure count and no dice lead beyond the cap or below zero', () => {
  const dice = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
  fc.assert(
    fc.property(
      fc.constantFrom('none', 'full', 'equal'),
      fc.integer({ min: 0, max: 5_000 }),
      dice,
      (jitter, n, roll) => {
        const wait = backoffDelay({ ...plan, jitter }, n, () => roll)
        return wait >= 0 && wait <= plan.capMs
      },
    ),
  )
})
