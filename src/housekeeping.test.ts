import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock } from '../test/support/fake-clock.ts'
import { keepHouse } from './housekeeping.ts'
import { silentLogger } from './kernel/logger.ts'

test('chores are done round after round, each whatever became of the one before', async () => {
  const clock = new FakeClock(0)
  const done: string[] = []
  const stop = keepHouse(
    [
      { name: 'broken', run: () => Promise.reject(new Error('no')) },
      {
        name: 'good',
        run: async (now) => {
          done.push(`good at ${now / 60_000}`)
          return 1
        },
      },
    ],
    { clock, logger: silentLogger },
  )
  await clock.advance(35 * 60_000)
  assert.deepEqual(done, ['good at 10', 'good at 20', 'good at 30'])
  stop()
  await clock.advance(60 * 60_000)
  assert.equal(done.length, 3)
  assert.equal(clock.pending, 0)
})

test('a stop in the middle of a round ends it', async () => {
  const clock = new FakeClock(0)
  const gate = Promise.withResolvers<number>()
  let second = 0
  const stop = keepHouse(
    [
      { name: 'slow', run: () => gate.promise },
      { name: 'next', run: async () => ++second },
    ],
    { clock, logger: silentLogger },
  )
  await clock.advance(10 * 60_000)
  stop()
  gate.resolve(0)
  await clock.advance(60 * 60_000)
  assert.deepEqual([second, clock.pending], [0, 0])
})
