import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TokenBucket } from './token-bucket.ts'

const bucketAt = (capacity: number, refillMs: number) => {
  const clock = { at: 0, now: () => clock.at }
  return { clock, bucket: new TokenBucket({ capacity, refillMs, clock }) }
}

test('a burst up to the capacity passes, the next hears how long to wait', () => {
  const { clock, bucket } = bucketAt(3, 1_000)
  assert.deepEqual([bucket.take(), bucket.take(), bucket.take()], [0, 0, 0])
  assert.equal(bucket.take(), 1_000)
  clock.at += 400
  assert.equal(bucket.take(), 600)
  clock.at += 600
  assert.equal(bucket.take(), 0)
})

test('idle time fills it to the capacity and no further', () => {
  const { clock, bucket } = bucketAt(2, 1_000)
  bucket.take(2)
  assert.equal(bucket.isFull, false)
  clock.at += 60_000
  assert.equal(bucket.isFull, true)
  assert.deepEqual([bucket.take(), bucket.take()], [0, 0])
  assert.equal(bucket.take(), 1_000)
})

test('a clock that is set back takes nothing away and gives nothing', () => {
  const { clock, bucket } = bucketAt(1, 1_000)
  clock.at = 5_000
  bucket.take()
  clock.at = 1_000
  assert.equal(bucket.take(), 1_000)
  clock.at = 2_000
  assert.equal(bucket.take(), 0)
})

test('what can never be served is refused instead of waited for', () => {
  const { bucket } = bucketAt(2, 1_000)
  assert.throws(() => bucket.take(3), RangeError)
  assert.throws(() => bucketAt(0, 1_000), RangeError)
})
