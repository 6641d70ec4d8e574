/**
 * Runs the test files, given as files or folders (none = all), and ends with the line `N passed, N failed`.
 * A skipped or unfinished test, a file without tests and a run without tests are failures: each looks like success and
 * shows nothing. End-to-end tests start whole processes, so they run one at a time, after the others.
 */
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative } from 'node:path'
import { run } from 'node:test'
import { findTestFiles } from './test-files.ts'
import { FileReport } from './test-report.ts'

const UNIT_TIMEOUT_MS = 60_000
const END_TO_END_TIMEOUT_MS = 180_000
/** A process that keeps a handle open never ends by itself; this long after the last test's limit it is ended. */
const GRACE_MS = 5_000

const root = join(import.meta.dirname, '..')
const totals = { passed: 0, failed: 0 }

const runFile = async (file: string, timeout: number): Promise<void> => {
  const report = new FileReport(file, relative(root, file))
  const started = performance.now()
  const guard = new AbortController()
  const giveUp = () =>
    guard.abort(new Error('its process did not end: something is still open (a server, a socket, a timer)'))
  let idle = setTimeout(giveUp, timeout + GRACE_MS)
  for await (const event of run({ files: [file], isolation: 'process', cwd: root, timeout, signal: guard.signal })) {
    report.add(event)
    if (event.type !== 'test:complete') continue
    clearTimeout(idle)
    idle = setTimeout(giveUp, timeout + GRACE_MS)
  }
  clearTimeout(idle)
  process.stdout.write(report.finish(performance.now() - started))
  totals.passed += report.passed
  totals.failed += report.failed
}

const runFiles = async (files: readonly string[], options: { workers: number; timeout: number }): Promise<void> => {
  const line = [...files]
  const work = async () => {
    for (let file = line.shift(); file !== undefined; file = line.shift()) await runFile(file, options.timeout)
  }
  await Promise.all(Array.from({ length: options.workers }, work))
}

/** One PostgreSQL server for all files that want one; they make databases of their own inside it. */
const startServices = async (files: readonly string[]): Promise<() => Promise<void>> => {
  const wanted = files.some((file) => /TEST_POSTGRES_URL|support\/postgres/.test(readFileSync(file, 'utf8')))
  if (!wanted || process.env.TEST_POSTGRES_URL) return async () => undefined
  const { startPostgres } = await import('../test/support/postgres.ts')
  const server = await startPostgres()
  process.env.TEST_POSTGRES_URL = server.url
  process.env.TEST_POSTGRES_SHARED = '1'
  return () => server.stop()
}

const runAll = async (files: readonly string[]): Promise<void> => {
  const isEndToEnd = (file: string) => relative(root, file).startsWith(join('test', 'e2e'))
  const stopServices = await startServices(files)
  const stopAndDie = (signal: NodeJS.Signals) => void stopServices().finally(() => process.kill(process.pid, signal))
  process.once('SIGINT', stopAndDie).once('SIGTERM', stopAndDie)
  try {
    const others = files.filter((file) => !isEndToEnd(file))
    await runFiles(others, { workers: Math.max(2, availableParallelism()), timeout: UNIT_TIMEOUT_MS })
    await runFiles(files.filter(isEndToEnd), { workers: 1, timeout: END_TO_END_TIMEOUT_MS })
  } finally {
    process.off('SIGINT', stopAndDie).off('SIGTERM', stopAndDie)
    await stopServices()
  }
}

try {
  await runAll(findTestFiles(root, process.argv.slice(2)))
  if (totals.passed + totals.failed === 0) throw new Error('no test ran')
} catch (error) {
  console.error(error)
  totals.failed += 1
}
process.stdout.write(`${totals.passed} passed, ${totals.failed} failed\n`)
process.exitCode = totals.failed === 0 ? 0 : 1
