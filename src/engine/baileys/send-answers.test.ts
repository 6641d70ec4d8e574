import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock } from '../../../test/support/fake-clock.ts'
import { SendAnswers } from './send-answers.ts'

const ack = (id: string) => ({ tag: 'ack', attrs: { id, class: 'message' } })

test('each message gets its own answer, and others are nobody’s', async () => {
  const answers = new SendAnswers(new FakeClock())
  const [one, two] = [answers.expect('1', 1_000), answers.expect('2', 1_000)]
  assert.equal(answers.take(ack('2')), true)
  assert.equal(answers.take(ack('3')), false)
  assert.equal((await two)?.attrs.id, '2')
  answers.forget('1')
  assert.equal(await one, undefined)
  assert.equal(answers.take(ack('1')), false)
})

test('the wait ends with the time, and with the connection', async () => {
  const clock = new FakeClock()
  const answers = new SendAnswers(clock)
  const late = answers.expect('late', 1_000)
  await clock.advance(1_000)
  assert.equal(await late, undefined)
  assert.equal(answers.take(ack('late')), false)
  const cut = answers.expect('cut', 1_000)
  answers.close()
  assert.equal(await cut, undefined)
})
