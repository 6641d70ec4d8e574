import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock } from './fake-clock.ts'

test('timers fire in the order they fall due, each at its own instant', async () => {
  const clock = new FakeClock(0)
  const seen: [string, number][] = []
  clock.after(20, () => seen.push(['late', clock.now()]))
  clock.after(10, () => seen.push(['early', clock.now()]))
  clock.after(10, () => seen.push(['early too', clock.now()]))
  await clock.advance(15)
  assert.deepEqual(seen, [
    ['early', 10],
    ['early too', 10],
  ])
  assert.equal(clock.now(), 15)
  await clock.advance(5)
  assert.deepEqual(seen.at(-1), ['late', 20])
})

test('a loop of sleeps goes round as often as the time allows', async () => {
  const clock = new FakeClock(0)
  const abort = new AbortController()
  let rounds = 0
  const loop = (async () => {
    for (;;) {
      await clock.sleep(10, abort.signal)
      rounds += 1
    }
  })()
  await clock.advance(100)
  assert.equal(rounds, 10)
  abort.abort(new Error('enough'))
  await assert.rejects(loop, /enough/)
  assert.equal(clock.pending, 0)
})

test('a cancelled timer never fires', async () => {
  const clock = new FakeClock(0)
  let fired = false
  const cancel = clock.after(10, () => {
    fired = true
  })
  cancel()
  await clock.advance(100)
  assert.equal(fired, false)
})
