import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ParleyError } from '../kernel/errors.ts'
import { SendLimits } from './send-limits.ts'

const setUp = (perHour = 1_000, perDevice?: { perMinute: number; burst: number }) => {
  const clock = { ms: 0, now: () => clock.ms }
  const quota = { perHour }
  const limits = new SendLimits({ clock, perDevice, quotaOf: () => ({ key: 'key 1', perHour: quota.perHour }) })
  const refusal = (deviceId: string, kind: 'text' | 'reaction' = 'text') => {
    try {
      limits.take(deviceId, kind)
      return undefined
    } catch (error) {
      assert.ok(error instanceof ParleyError && error.code === 'rate_limited')
      return error.retryAfterSeconds
    }
  }
  return { clock, quota, refusal, limits }
}

test('a device may send a burst, then as many as come back', () => {
  const { clock, refusal } = setUp(1_000, { perMinute: 20, burst: 2 })
  assert.deepEqual([refusal('a'), refusal('a'), refusal('a')], [undefined, undefined, 3])
  assert.equal(refusal('b'), undefined)
  clock.ms += 1_500
  assert.equal(refusal('a'), 2)
  clock.ms += 1_500
  assert.deepEqual([refusal('a'), refusal('a')], [undefined, 3])
})

test('the devices of a key share its hour, and a changed quota holds at once', () => {
  const { clock, quota, refusal } = setUp(2)
  assert.deepEqual([refusal('a'), refusal('b'), refusal('c')], [undefined, undefined, 1_800])
  clock.ms += 1_800_000
  assert.deepEqual([refusal('c'), refusal('c')], [undefined, 1_800])
  quota.perHour = 3
  assert.deepEqual([refusal('c'), refusal('a'), refusal('b'), refusal('b')], [undefined, undefined, undefined, 1_200])
})

test('what is refused for the key costs the device nothing', () => {
  const { quota, refusal } = setUp(1, { perMinute: 60, burst: 2 })
  assert.deepEqual([refusal('a'), refusal('a'), refusal('a')], [undefined, 3_600, 3_600])
  quota.perHour = 100
  assert.deepEqual([refusal('a'), refusal('a')], [undefined, 1])
})

test('what was not sent after all is given back, to the device and to the key', () => {
  const { quota, refusal, limits } = setUp(2, { perMinute: 60, burst: 2 })
  for (let i = 0; i < 5; i++) limits.take('a', 'text')()
  limits.take('a', 'reaction')()
  assert.deepEqual([refusal('a'), refusal('a'), refusal('b')], [undefined, undefined, 1_800])
  quota.perHour = 0
  limits.take('b', 'text')()
  assert.deepEqual([refusal('b'), refusal('b'), refusal('b')], [undefined, undefined, 1])
})

test('reactions, edits and revocations are not limited', () => {
  const { refusal } = setUp(1, { perMinute: 1, burst: 1 })
  assert.deepEqual(
    [refusal('a'), refusal('a', 'reaction'), refusal('a', 'reaction')],
    [undefined, undefined, undefined],
  )
})
