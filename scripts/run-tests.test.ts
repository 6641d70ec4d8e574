import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'

const runner = join(import.meta.dirname, 'run-tests.ts')

/** Runs test files of the given contents; what counts is the exit code and the last line. */
const runTests = (t: TestContext, ...contents: readonly string[]) => {
  const folder = mkdtempSync(join(tmpdir(), 'parley-runner-'))
  t.after(() => rmSync(folder, { recursive: true }))
  contents.forEach((content, i) => {
    writeFileSync(join(folder, `${i}.test.ts`), `import { test } from 'node:test'\n${content}\n`)
  })
  // Without it the inner run would take itself for a part of ours.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const { status, stdout } = spawnSync(process.execPath, [runner, folder], { env, encoding: 'utf8' })
  return { status, last: stdout.trimEnd().split('\n').at(-1), stdout }
}

test('all passed: exit code 0', (t) => {
  const { status, last } = runTests(t, `test('a', () => {})`, `test('b', async (t) => { await t.test('c', () => {}) })`)
  assert.deepEqual({ status, last }, { status: 0, last: '3 passed, 0 failed' })
})

test('failed and skipped tests and files that do not load: exit code 1, each told', (t) => {
  const { status, last, stdout } = runTests(
    t,
    `test('good', () => {}); test('bad', () => { throw new Error('on purpose') })`,
    `test.skip('left out', () => {})`,
    `import './missing.ts'`,
  )
  assert.deepEqual({ status, last }, { status: 1, last: '1 passed, 3 failed' })
  for (const told of [/x bad\n\s+Error: on purpose/, /x left out\n\s+skipped/, /missing\.ts/])
    assert.match(stdout, told)
})

test('no tests: exit code 1', (t) => {
  const { status, last } = runTests(t)
  assert.deepEqual({ status, last }, { status: 1, last: '0 passed, 1 failed' })
})
