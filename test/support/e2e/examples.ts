import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ReceivedEvent } from '../../../scripts/lib/receiver.ts'

/** What a receiver got in a recorded run, one file per event: the reference shows it. */
export const EXAMPLES = join(import.meta.dirname, '..', '..', 'fixtures', 'events')

/** Longer ones explain nothing: a test of long texts is no example. */
const MAX_BYTES = 3_000

/**
 * With RECORD_EVENTS set, keeps the first request of each event as its example. To record all of them anew: delete the
 * folder, run the end-to-end tests with it, then `npm run format` and `npm run docs`.
 */
export const keepExample = (event: ReceivedEvent['event']): void => {
  if (!process.env.RECORD_EVENTS) return
  const path = join(EXAMPLES, `${event.event_type}.json`)
  const text = `${JSON.stringify(event, null, 2)}\n`
  if (existsSync(path) || text.length > MAX_BYTES || event.attempt > 1 || event.sequence === 0) return
  mkdirSync(EXAMPLES, { recursive: true })
  writeFileSync(path, text)
}
