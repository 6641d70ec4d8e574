import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { KeyedQueue } from './keyed-queue.ts'

test('tasks of one key run one after another, whatever each takes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.nat({ max: 3 })), { maxLength: 30 }),
      async (tasks) => {
        const queue = new KeyedQueue<string>()
        const busy = new Set<string>()
        const ended: Record<string, number[]> = { a: [], b: [], c: [] }
        const all = tasks.map(([key, turns], i) =>
          queue.run(key, async () => {
            assert.equal(busy.has(key), false)
            busy.add(key)
            for (let turn = 0; turn < turns; turn += 1) await undefined
            busy.delete(key)
            ended[key]!.push(i)
          }),
        )
        await Promise.all(all)
        for (const order of Object.values(ended))
          assert.deepEqual(
            order,
            order.toSorted((x, y) => x - y),
          )
        await queue.idle()
        assert.equal(queue.size, 0)
      },
    ),
    { numRuns: 50 },
  )
})

test('a stuck key holds up nobody else', async () => {
  const queue = new KeyedQueue<string>()
  const gate = Promise.withResolvers<string>()
  const stuck = queue.run('stuck', () => gate.promise)
  assert.equal(await queue.run('other', () => 'done'), 'done')
  gate.resolve('at last')
  assert.equal(await stuck, 'at last')
})

test('a failed task fails alone', async () => {
  const queue = new KeyedQueue<string>()
  const failed = queue.run('k', () => Promise.reject(new Error('first')))
  const next = queue.run('k', () => 'second')
  await assert.rejects(failed, /first/)
  assert.equal(await next, 'second')
})

test('one who gives up while waiting is never run, and does not break the order', async () => {
  const queue = new KeyedQueue<string>()
  const gate = Promise.withResolvers<void>()
  const abort = new AbortController()
  const ran: string[] = []
  const first = queue.run('k', () => gate.promise.then(() => void ran.push('first')))
  const second = queue.run('k', () => void ran.push('second'), abort.signal)
  const third = queue.run('k', () => void ran.push('third'))
  abort.abort(new Error('gave up'))
  await assert.rejects(second, /gave up/)
  assert.deepEqual(ran, [])
  gate.resolve()
  await Promise.all([first, third])
  assert.deepEqual(ran, ['first', 'third'])
})

test('keys without tasks are forgotten', async () => {
  const queue = new KeyedQueue<number>()
  for (let key = 0; key < 1_000; key += 1) void queue.run(key, () => undefined)
  assert.equal(queue.size, 1_000)
  await queue.idle()
  await new Promise(setImmediate)
  assert.equal(queue.size, 0)
})
