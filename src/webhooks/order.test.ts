import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { answered, makeDispatching, type Seen, unreachable, webhookRow } from '../../test/support/dispatching.ts'
import type { Answer } from './client.ts'

const CHATS = ['a', 'b', 'c', undefined] as const

/** What a receiver may do with a request; the list is gone through once, then it answers 200. */
const fault = fc.constantFrom<readonly ['answer', Answer] | readonly ['late' | 'lost', number]>(
  ['answer', answered(200)],
  ['answer', answered(404)],
  ['answer', answered(410)],
  ['answer', answered(429, { retryAfter: '3' })],
  ['answer', answered(500)],
  ['answer', unreachable],
  ['late', 700],
  ['late', 4_000],
  ['lost', 2_000],
)

type History = [
  (readonly ['answer', Answer] | readonly ['late' | 'lost', number])[],
  { chat: 'a' | 'b' | 'c' | undefined; pause: number }[],
  number[],
]

/** What failed once, and why. */
const FOUND: History[] = [
  // A result became durable while the next time was being read from the queue: nobody set a timer for it.
  [
    [
      ['lost', 2_000],
      ['lost', 2_000],
      ['answer', answered(200)],
      ['answer', answered(500)],
      ['answer', unreachable],
    ],
    [
      { chat: 'a', pause: 0 },
      { chat: undefined, pause: 2_500 },
      { chat: 'b', pause: 2_500 },
    ],
    [],
  ],
]

test('whatever the receiver does and whenever the process dies, a chat arrives in order and complete', {
  timeout: 60_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fault, { maxLength: 40 }),
      fc.array(fc.record({ chat: fc.constantFrom(...CHATS), pause: fc.constantFrom(0, 0, 0, 300, 2_500) }), {
        minLength: 1,
        maxLength: 25,
      }),
      fc.array(fc.integer({ min: 0, max: 24 }), { maxLength: 3 }),
      async (faults, messages, deaths) => {
        const script = [...faults]
        /** When the receiver had taken a message in, as it sees it. */
        const taken: Seen[] = []
        const world = makeDispatching(async (seen) => {
          const [kind, what] = script.shift() ?? (['answer', answered(200)] as const)
          if (kind === 'answer') {
            if (what.kind === 'answered' && what.status === 200) taken.push(seen)
            return what
          }
          taken.push(seen)
          await world.clock.sleep(what)
          // Lost: the receiver has it, and we never hear of that.
          return kind === 'late' ? answered(200) : unreachable
        })
        world.subscriptions.set(webhookRow(1))
        let dispatcher = await world.start('killable')
        const sent: { readonly id: number; readonly chat: string; readonly label: string }[] = []
        for (const [index, { chat, pause }] of messages.entries()) {
          const label = `m${index}`
          sent.push({ id: world.deliveries.add(1, chat, label, world.clock.now()), chat: chat ?? '', label })
          dispatcher.wake([1])
          await world.pass(pause)
          if (deaths.includes(index)) {
            world.kill()
            dispatcher = await world.start('killable')
          }
        }
        for (let i = 0; i < 400 && world.deliveries.count('pending') > 0; i++) await world.pass(5_000)
        await dispatcher[Symbol.asyncDispose]()

        assert.equal(world.deliveries.count('pending'), 0)
        for (const chat of new Set(sent.map((one) => one.chat))) {
          const own = sent.filter((one) => one.chat === chat)
          const positionOf = new Map(own.map(({ label }, index) => [label, index]))
          // Attempts never go back in a chat, and never skip ahead of one that is not done.
          const attempts = world.seen.flatMap(({ label }) => positionOf.get(label) ?? [])
          for (const [at, position] of attempts.entries())
            assert.ok(at === 0 || position === attempts[at - 1] || position === attempts[at - 1]! + 1)
          for (const { id, label } of own) {
            const { state, refusalCount, lastStatusCode } = world.deliveries.get(id)
            if (state === 'success') assert.ok(taken.some((seen) => seen.label === label))
            else assert.ok(refusalCount >= 3 || lastStatusCode === 410)
          }
        }
      },
    ),
    { numRuns: 100, examples: FOUND },
  )
})
