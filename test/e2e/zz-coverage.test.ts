import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { EVENTS } from '../../src/events/catalogue.ts'
import { dropRecording, readRecording, templateOf } from '../support/e2e/recording.ts'
import { ROOT } from '../support/e2e/stage.ts'

/**
 * The last of the end-to-end tests: the ones before it wrote down which route answered what through the production
 * adapter, and which events came. A row of a finished area that was never seen to succeed, or never seen to refuse, and an
 * event of the catalogue that nothing caused, fail here. It makes sense only at the end of a whole run: `node scripts/run-tests.ts test/e2e`.
 */

interface Row {
  readonly n: number | string | null
  readonly method: string
  readonly path: string
}

const rows: readonly Row[] = JSON.parse(readFileSync(join(ROOT, 'test', 'contract', 'endpoints.json'), 'utf8'))

const inRange = (n: Row['n'], from: number, to: number): boolean => typeof n === 'number' && n >= from && n <= to

const FINISHED = rows.filter(
  ({ n, path }) =>
    inRange(n, 1, 22) ||
    n === 40 ||
    inRange(n, 42, 45) ||
    n === 48 ||
    inRange(n, 98, 104) ||
    inRange(n, 124, 127) ||
    path.startsWith('/devices/me/login/passkey') ||
    path.endsWith('/link-preview') ||
    path === '/messages/media/retry-receipt' ||
    path.startsWith('/admin/whatsapp/version'),
)

/** They take no input and want no credential: there is nothing to refuse. */
const NEVER_REFUSES = new Set(['GET /', 'GET /docs/swagger.json', 'GET /docs/swagger.yaml'])

const recording = readRecording()
after(dropRecording)

test('the tests before this one were recorded', () => {
  assert.ok(recording.length > 0, 'nothing was recorded: this test ends a run of all of test/e2e')
})

test('each row of the finished areas was seen to succeed and to refuse', () => {
  assert.ok(FINISHED.length >= 39, `the contract names ${FINISHED.length} rows`)
  const seen = new Set(
    recording.flatMap((record) =>
      record.kind === 'call' ? [`${record.method} ${record.path} ${record.status < 400 ? 'succeeds' : 'refuses'}`] : [],
    ),
  )
  const missing = FINISHED.flatMap(({ method, path }) => {
    const row = `${method} ${path}`
    const wanted = NEVER_REFUSES.has(row) ? ['succeeds'] : ['succeeds', 'refuses']
    return wanted.map((outcome) => `${method} ${templateOf(path)} ${outcome}`).filter((line) => !seen.has(line))
  })
  assert.deepEqual(missing, [])
})

test('each event of the catalogue was caused, delivered, and held against its schema', () => {
  assert.ok(EVENTS.length >= 46, `the catalogue has ${EVENTS.length} events`)
  const seen = new Set(recording.flatMap((record) => (record.kind === 'event' ? [record.type] : [])))
  assert.deepEqual(
    EVENTS.map(({ name }) => name).filter((name) => !seen.has(name)),
    [],
    'events that nothing caused',
  )
})
