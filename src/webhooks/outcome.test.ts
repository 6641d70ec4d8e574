import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { DeliveryRow } from '../storage/index.ts'
import type { Answer } from './client.ts'
import { resultOf, retryAfterMs, tooOld, verdictOf } from './outcome.ts'

const policy = { retryLimit: 3, maxAgeMs: 86_400_000, random: () => 0 }
const delivery: DeliveryRow = {
  id: 1,
  webhookId: 1,
  deviceId: 'd',
  sequence: 1,
  eventType: 'test.ping',
  state: 'pending',
  redelivered: false,
  attemptCount: 0,
  refusalCount: 0,
  lastError: '',
  lastStatusCode: undefined,
  lastLatencyMs: undefined,
  createdAt: 1_000,
  updatedAt: 1_000,
}
const subscription = { secret: 'topsecret', headers: { Authorization: 'Bearer abcdef', 'X-Short': 'ab' } }
const answer = (status: number, more: { excerpt?: string; retryAfter?: string } = {}): Answer => ({
  kind: 'answered',
  status,
  latencyMs: 12,
  excerpt: more.excerpt ?? '',
  retryAfter: more.retryAfter,
})
const judge = (given: Answer, more: Partial<DeliveryRow> = {}) =>
  resultOf({ delivery: { ...delivery, ...more }, subscription, answer: given, now: 2_000, notBefore: 9_000 }, policy)

test('what an answer means', () => {
  for (const status of [200, 201, 204, 299]) assert.equal(verdictOf(answer(status)), 'delivered')
  for (const status of [301, 302, 307, 400, 401, 403, 404, 405, 409, 413, 422, 451])
    assert.equal(verdictOf(answer(status)), 'refused')
  for (const status of [408, 425, 429, 500, 502, 503, 504, 599]) assert.equal(verdictOf(answer(status)), 'down')
  assert.equal(verdictOf(answer(410)), 'gone')
  assert.equal(verdictOf({ kind: 'failed', latencyMs: 1, error: 'x' }), 'down')
})

test('Retry-After', () => {
  assert.equal(retryAfterMs('120', 0), 120_000)
  assert.equal(retryAfterMs(' 0 ', 0), 0)
  assert.equal(retryAfterMs('Sun, 22 Nov 2026 12:00:10 GMT', Date.UTC(2026, 10, 22, 12)), 10_000)
  assert.equal(retryAfterMs('Sun, 22 Nov 2020 12:00:10 GMT', Date.UTC(2026, 10, 22, 12)), 0)
  for (const bad of [undefined, '', 'soon', '-5', '99999999999'])
    assert.ok(retryAfterMs(bad, Date.now()) === 0, String(bad))
})

describe('the row after an attempt', () => {
  test('says when a refused one is due again, by its own count or as the endpoint asks', () => {
    assert.deepEqual(judge(answer(404)), {
      id: 1,
      state: 'pending',
      attemptCount: 1,
      refusalCount: 1,
      lastError: 'HTTP 404',
      lastStatusCode: 404,
      lastLatencyMs: 12,
      nextAttemptAt: 3_000,
    })
    assert.equal(judge(answer(404), { refusalCount: 1 }).nextAttemptAt, 4_000)
    assert.equal(judge(answer(404, { retryAfter: '60' })).nextAttemptAt, 62_000)
    assert.equal(judge(answer(404), { refusalCount: 2, attemptCount: 9 }).state, 'failed')
    assert.equal(judge(answer(302)).lastError, 'HTTP 302 (not followed)')
  })

  test('waits with the endpoint when that is down, and is given up when it would be too old', () => {
    assert.equal(judge(answer(500)).nextAttemptAt, 9_000)
    assert.equal(judge(answer(500)).refusalCount, 0)
    const old = judge(answer(500, { excerpt: 'oops' }), { createdAt: 9_000 - 86_400_001 })
    assert.deepEqual([old.state, old.lastError, old.nextAttemptAt], ['failed', 'gave up: HTTP 500: oops', undefined])
    assert.equal(tooOld({ ...delivery, lastError: 'HTTP 500' }).lastError, 'gave up: HTTP 500')
    assert.equal(tooOld(delivery).lastError, 'gave up: too old')
  })

  test('keeps nothing secret of an endpoint that echoes, and no control characters', () => {
    const { lastError } = judge(answer(500, { excerpt: 'got\r\nAuthorization: Bearer abcdef\u0000\nkey topsecret ab' }))
    assert.equal(lastError, 'HTTP 500: got Authorization: *** key *** ab')
  })
})
