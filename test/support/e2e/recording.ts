import { appendFileSync, existsSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describedRoutes } from '../../../src/features/all-routes.ts'

/**
 * What the end-to-end tests of one run saw: which route answered what, and which events came. Each test file is a
 * process of its own with the runner as its parent, so the runner's id names the file they share.
 */
const PATH = join(tmpdir(), `parley-e2e-${process.ppid}.jsonl`)

export interface RecordedCall {
  readonly kind: 'call'
  readonly method: string
  /** The template: `/webhooks/{webhook_id}`; the path itself where no route is behind it. */
  readonly path: string
  readonly status: number
}

export interface RecordedEvent {
  readonly kind: 'event'
  readonly type: string
}

const DOCS = ['/docs/swagger.json', '/docs/swagger.yaml', '/docs/*']

const templates = [...new Set([...describedRoutes().map(({ path }) => path), ...DOCS])].map((path) => ({
  path,
  // a literal segment wins over a parameter, as in the router
  parameters: path.split(/[{*]/).length - 1,
  matches: new RegExp(`^${path.replace(/\{[^}]+\}/g, '[^/]+').replace('*', '.*')}$`),
}))
templates.sort((a, b) => a.parameters - b.parameters)

export const templateOf = (path: string): string => templates.find(({ matches }) => matches.test(path))?.path ?? path

export const recordCall = (method: string, path: string, status: number): void =>
  append({ kind: 'call', method, path: templateOf(path), status })

export const recordEvent = (type: string): void => append({ kind: 'event', type })

const seen = new Set<string>()
const append = (record: RecordedCall | RecordedEvent): void => {
  const line = JSON.stringify(record)
  if (seen.has(line)) return
  seen.add(line)
  appendFileSync(PATH, `${JSON.stringify({ ...record, at: Date.now() })}\n`)
}

/** Process ids come again: what is older belongs to another run. No run takes as long. */
const RUN_MS = 30 * 60_000

/** Everything recorded by this run so far. */
export const readRecording = (): readonly (RecordedCall | RecordedEvent)[] =>
  existsSync(PATH)
    ? readFileSync(PATH, 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as (RecordedCall | RecordedEvent) & { readonly at: number })
        .filter(({ at }) => at > Date.now() - RUN_MS)
    : []

/** For the last test of the run. */
export const dropRecording = (): void => rmSync(PATH, { force: true })
