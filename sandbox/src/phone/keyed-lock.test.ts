import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KeyedLock } from './keyed-lock.ts'

test('tasks of one key take turns, in order, also after a failure; others do not wait', async () => {
  const lock = new KeyedLock()
  const order: string[] = []
  const first = Promise.withResolvers<void>()
  const tasks = [
    lock.run('a', async () => {
      await first.promise
      order.push('a1')
      throw new Error('failed')
    }),
    lock.run('a', async () => order.push('a2')),
    lock.run('b', async () => order.push('b1')),
  ]
  await tasks[2]
  assert.deepEqual(order, ['b1'])
  first.resolve()
  const results = await Promise.allSettled(tasks)
  assert.deepEqual(
    results.map(({ status }) => status),
    ['rejected', 'fulfilled', 'fulfilled'],
  )
  assert.deepEqual(order, ['b1', 'a1', 'a2'])
})
