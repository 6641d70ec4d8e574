import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EventLog } from './event-log.ts'

interface Entry {
  readonly seq: number
  readonly text: string
}
const add = (log: EventLog<Entry>, text: string) => log.add((seq) => ({ seq, text }))
const any = () => true

test('entries are numbered from 1, and a reader gets those after a number', () => {
  const log = new EventLog<Entry>(10)
  for (const text of ['a', 'b', 'c']) add(log, text)
  assert.deepEqual(log.list(1), [
    { seq: 2, text: 'b' },
    { seq: 3, text: 'c' },
  ])
  assert.equal(log.findLast(({ text }) => text < 'c')?.seq, 2)
})

test('a waiting reader wakes for an entry that fits, not for another', async () => {
  const log = new EventLog<Entry>(10)
  const waiting = log.wait(0, ({ text }) => text === 'b', new AbortController().signal)
  add(log, 'a')
  add(log, 'b')
  assert.deepEqual(await waiting, [{ seq: 2, text: 'b' }])
})

test('waiting ends with the signal', async () => {
  const controller = new AbortController()
  const waiting = new EventLog<Entry>(10).wait(0, any, controller.signal)
  controller.abort()
  assert.deepEqual(await waiting, [])
  assert.deepEqual(await new EventLog<Entry>(10).wait(0, any, AbortSignal.abort()), [])
})

test('the oldest entries go, the numbers stay', () => {
  const log = new EventLog<Entry>(4)
  for (let n = 0; n < 20; n += 1) add(log, String(n))
  const seqs = log.list().map(({ seq }) => seq)
  assert.ok(seqs.length <= 5)
  assert.equal(seqs.at(-1), 20)
})
