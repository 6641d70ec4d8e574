import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FileReport, type TestEvent } from './test-report.ts'

const PATH = 'src/thing.test.ts'
const pass = (name: string, more: object = {}): TestEvent => ({
  type: 'test:pass',
  data: { name, nesting: 0, details: { type: 'test' }, ...more },
})
const fail = (name: string, failureType: string, more: object = {}): TestEvent => ({
  type: 'test:fail',
  data: {
    name,
    nesting: 0,
    details: { type: 'test', error: Object.assign(new Error('test failed'), { failureType }) },
    ...more,
  },
})
const file = `/somewhere/${PATH}`

const reportOf = (...events: readonly TestEvent[]) => {
  const report = new FileReport(file, PATH)
  for (const event of events) report.add(event)
  const text = report.finish(12)
  return { passed: report.passed, failed: report.failed, text }
}

test('tests count, suites and the file itself do not', () => {
  const suite = pass('a suite', { details: { type: 'suite' } })
  const { passed, failed, text } = reportOf(pass('one'), pass('two', { nesting: 1 }), suite, pass(file))
  assert.deepEqual({ passed, failed }, { passed: 2, failed: 0 })
  assert.match(text, /^ok {3}src\/thing\.test\.ts \(2 passed, 12 ms\)\n$/)
})

test('a failure is told with its message, once, however deep it is nested', () => {
  const cause = new Error('1 is not 2')
  const error = Object.assign(new Error('test failed', { cause }), { failureType: 'testCodeFailure' })
  const { failed, text } = reportOf(
    fail('deep', '', { nesting: 1, details: { type: 'test', error } }),
    fail('its suite', 'subtestsFailed', {
      details: {
        type: 'suite',
        error: Object.assign(new Error('1 subtest failed'), { failureType: 'subtestsFailed' }),
      },
    }),
    fail(file, 'subtestsFailed'),
  )
  assert.equal(failed, 1)
  assert.match(text, /FAIL src\/thing\.test\.ts[\s\S]+x deep[\s\S]+1 is not 2/)
})

test('skipped and unwritten tests fail, with the reason given', () => {
  const { passed, failed, text } = reportOf(pass('s', { skip: 'no database' }), pass('t', { todo: true }), pass(file))
  assert.deepEqual({ passed, failed }, { passed: 0, failed: 2 })
  assert.match(text, /skipped: no database[\s\S]+not written yet/)
})

test('a file without tests fails', () => {
  assert.equal(reportOf(pass(file)).failed, 1)
  assert.equal(reportOf().failed, 1)
})

test('a file that passes its tests and then ends badly fails, with what it printed', () => {
  const stderr: TestEvent = { type: 'test:stderr', data: { message: 'Error: late\n' } }
  const { passed, failed, text } = reportOf(pass('one'), stderr, fail(file, 'testCodeFailure'))
  assert.deepEqual({ passed, failed }, { passed: 1, failed: 1 })
  assert.match(text, /Error: late/)
})
