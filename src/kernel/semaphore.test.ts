import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Semaphore } from './semaphore.ts'

test('no more than the permitted number run at once, in the order they came', async () => {
  const semaphore = new Semaphore(2)
  const started: number[] = []
  let running = 0
  let most = 0
  const gates = Array.from({ length: 5 }, () => Promise.withResolvers<void>())
  const tasks = gates.map((gate, i) =>
    semaphore.run(async () => {
      started.push(i)
      running += 1
      most = Math.max(most, running)
      await gate.promise
      running -= 1
    }),
  )
  for (const gate of gates) {
    gate.resolve()
    await new Promise(setImmediate)
  }
  await Promise.all(tasks)
  assert.deepEqual(started, [0, 1, 2, 3, 4])
  assert.equal(most, 2)
})

test('a task that throws gives its permit back', async () => {
  const semaphore = new Semaphore(1)
  await assert.rejects(
    semaphore.run(async () => Promise.reject(new Error('broken'))),
    /broken/,
  )
  assert.equal(await semaphore.run(async () => 'next'), 'next')
})

test('one who gives up leaves the line, and the permit goes to the next', async () => {
  const semaphore = new Semaphore(1)
  const release = await semaphore.acquire()
  const abort = new AbortController()
  const impatient = semaphore.acquire(abort.signal)
  const patient = semaphore.acquire()
  abort.abort(new Error('gave up'))
  await assert.rejects(impatient, /gave up/)
  assert.equal(semaphore.waiting, 1)
  release()
  release()
  const releaseNext = await patient
  assert.equal(semaphore.waiting, 0)
  const third = semaphore.acquire()
  assert.equal(semaphore.waiting, 1)
  releaseNext()
  ;(await third)()
})

test('an aborted signal is refused before a permit is taken', async () => {
  const semaphore = new Semaphore(1)
  await assert.rejects(semaphore.acquire(AbortSignal.abort(new Error('too late'))), /too late/)
  ;(await semaphore.acquire())()
})
