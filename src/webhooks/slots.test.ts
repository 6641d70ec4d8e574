import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock } from '../../test/support/fake-clock.ts'
import { Slots } from './slots.ts'

test('a fast slot that is held for a second becomes a slow one, while there are any', async () => {
  const clock = new FakeClock()
  const slots = new Slots(clock, { fast: 2, slow: 1 })
  const called: string[] = []
  const note = (name: string) => () => void called.push(name)
  const [a, b] = [slots.take(false, () => undefined)!, slots.take(false, () => undefined)!]
  assert.equal(slots.take(false, note('c')), undefined)
  await clock.advance(999)
  assert.equal(called.length, 0)
  await clock.advance(1)
  assert.equal(called.join(), 'c')
  assert.deepEqual([a.slow, b.slow], [true, false])
  assert.ok(slots.take(false, note('c')))
  // Now the slow ones are taken too: the next waits for a release.
  assert.equal(slots.take(false, note('d')), undefined)
  await clock.advance(60_000)
  assert.equal(called.join(), 'c')
  assert.equal(clock.pending, 0)
  slots.release(a)
  assert.equal(called.join(), 'c,d')
  assert.equal(slots.taken, 2)
})

test('suspects wait only for their like', () => {
  const slots = new Slots(new FakeClock(), { fast: 1, slow: 1 })
  const called: string[] = []
  const note = (name: string) => () => void called.push(name)
  const suspect = slots.take(true, note('x'))!
  assert.equal(slots.take(true, note('second suspect')), undefined)
  const good = slots.take(false, note('x'))!
  slots.release(good)
  assert.equal(called.length, 0)
  slots.release(suspect)
  assert.deepEqual(called, ['second suspect'])
  let idle = 0
  slots.whenIdle(() => (idle += 1))
  assert.equal(idle, 1)
})
