import type { Clock } from './kernel/clock.ts'
import { messageOf } from './kernel/errors.ts'
import type { Logger } from './kernel/logger.ts'

/** Rows that nobody needs any more go in this rhythm. */
const ROUND_MS = 10 * 60_000

const DAY_MS = 24 * 3600_000

/** A stanza may come again for as long as WhatsApp keeps it; the journal answers for its content meanwhile. */
export const JOURNAL_KEPT_MS = 7 * DAY_MS
/** So may one whose content is known: its key stays longer, it is small. WhatsApp drops a device after 14 days away. */
export const STANZA_KEYS_KEPT_MS = 30 * DAY_MS
export const STANZA_FAILURES_KEPT_MS = 30 * DAY_MS

export interface Chore {
  /** What it does, for the log. */
  readonly name: string
  /** Answers how much it did. */
  run(now: number): Promise<number>
}

/** Does the chores again and again, whatever happens to one of them; answers how to stop. */
export const keepHouse = (
  chores: readonly Chore[],
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): (() => void) => {
  let cancel: () => void
  let isOver = false
  const round = async () => {
    for (const { name, run } of chores) {
      if (isOver) return
      try {
        const done = await run(clock.now())
        if (done > 0) logger.debug({ chore: name, rows: done }, 'housekeeping')
      } catch (error) {
        logger.warn({ chore: name, reason: messageOf(error) }, 'a chore was not done')
      }
    }
  }
  const next = () => {
    if (isOver) return
    cancel = clock.after(ROUND_MS, () => void round().finally(next))
  }
  next()
  return () => {
    isOver = true
    cancel()
  }
}
