import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { OutputGate } from './output-gate.ts'

const open = () => {
  const left: string[] = []
  const errors: string[] = []
  const socket = {
    send(frame: Uint8Array, done: (error?: Error) => void) {
      left.push(Buffer.from(frame).toString())
      done()
    },
  }
  const gate = new OutputGate()
  gate.guard(socket)
  const send = (name: string) =>
    socket.send(Buffer.from(name), (error) => {
      if (error) errors.push(`${name}: ${error.message}`)
    })
  return { gate, left, errors, send }
}

const unused = (error: unknown): never => {
  throw error
}

test('a frame without a commit before it leaves at once', () => {
  const { left, send } = open()
  send('a')
  assert.deepEqual(left, ['a'])
})

test('a frame waits for the commits begun before it, and not for later ones', async () => {
  const { gate, left, send } = open()
  const [one, two] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  gate.hold(one.promise, unused)
  send('a')
  gate.hold(two.promise, unused)
  send('b')
  two.resolve()
  await two.promise
  assert.deepEqual(left, [])
  one.resolve()
  await one.promise
  await Promise.resolve()
  assert.deepEqual(left, ['a', 'b'])
})

test('frames keep their order, and each leaves only after the commits before it, whatever ends when', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('frame', 'commit'), { maxLength: 30 }),
      fc.infiniteStream(fc.nat()),
      async (steps, dice) => {
        const { gate, left, send } = open()
        const under: { readonly number: number; readonly resolve: () => void }[] = []
        const done = new Set<number>()
        const needs = new Map<string, readonly number[]>()
        const begun: number[] = []
        for (const [at, step] of steps.entries()) {
          if (step === 'commit') {
            const { promise, resolve } = Promise.withResolvers<void>()
            under.push({ number: at, resolve })
            begun.push(at)
            gate.hold(promise, unused)
          } else {
            needs.set(String(at), [...begun])
            send(String(at))
          }
          const { value } = dice.next()
          const [ended] = value % 3 === 0 ? under.splice(value % Math.max(under.length, 1), 1) : []
          if (ended) {
            done.add(ended.number)
            ended.resolve()
            await new Promise(setImmediate)
          }
          for (const frame of left)
            for (const number of needs.get(frame)!) assert.ok(done.has(number), `${frame} left before ${number}`)
        }
        for (const { resolve } of under) resolve()
        await new Promise(setImmediate)
        assert.deepEqual(left, [...needs.keys()])
      },
    ),
    { numRuns: 200 },
  )
})

test('after a failed commit nothing leaves any more', async () => {
  const { gate, left, errors, send } = open()
  const failures: unknown[] = []
  gate.hold(Promise.reject(new Error('disk full')), (error) => failures.push(error))
  send('a')
  await new Promise(setImmediate)
  send('b')
  assert.deepEqual(left, [])
  assert.equal(failures.length, 1)
  assert.deepEqual(
    errors.map((one) => one.slice(0, 1)),
    ['a', 'b'],
  )
})
