import { ParleyError } from '../kernel/errors.ts'
import type { EventRepository, EventRow, LogPosition, PlacedEvent } from '../storage/index.ts'
import { matches } from './catalogue.ts'
import type { EventFeed } from './feed.ts'

/** What a reader may ask for. */
export interface LogQuery<Cursor> {
  /** The last event it knows; undefined = everything that is kept. */
  readonly after: Cursor | undefined
  /** Names and patterns as in a subscription; none = all. */
  readonly types: readonly string[]
  /** At most so many events, 1 or more. */
  readonly limit: number
}

export interface LogPage<Event, Cursor> {
  readonly events: readonly Event[]
  /** Where to go on: after everything that was looked at, also what the types left out. */
  readonly next: Cursor
  /** True when there may be more already. */
  readonly more: boolean
}

/** Rows read at once: some ms at worst. */
const CHUNK = 200
/** A filter that lets nothing through must not keep a call reading for ever. */
const MAX_CHUNKS = 20
/** Held in memory for one reader who follows: what it must take before more is read. */
const FOLLOW_CHUNK = 50

/**
 * Reads the log by cursor: every transport that is not a webhook reads here, so all of them give the same events in the
 * same order. A cursor is the last event that a reader knows; one from before what retention has let go of is refused,
 * because something may be missing after it.
 */
export class EventLog {
  readonly #log: Pick<EventRepository, 'read' | 'readAll' | 'bounds' | 'boundsOfAll'>
  readonly #feed: EventFeed

  constructor(parts: {
    readonly log: Pick<EventRepository, 'read' | 'readAll' | 'bounds' | 'boundsOfAll'>
    readonly feed: EventFeed
  }) {
    this.#log = parts.log
    this.#feed = parts.feed
  }

  /** @throws gone, bad_request (`after` is ahead of the log), not_found */
  async read(deviceId: string, { after, types, limit }: LogQuery<number>): Promise<LogPage<EventRow, number>> {
    const start = after ?? (await this.#bounds(deviceId)).floor
    const page = await collect<EventRow, number>(
      (from, size) => this.#log.read(deviceId, from, size),
      ({ sequence }) => sequence,
      { after: start, types, limit },
    )
    await this.#check(deviceId, start)
    return page
  }

  /** The same over all devices. @throws gone, bad_request */
  async readAll({ after, types, limit }: LogQuery<LogPosition>): Promise<LogPage<PlacedEvent, LogPosition>> {
    const start = after ?? (await this.#log.boundsOfAll()).floor
    const page = await collect<PlacedEvent, LogPosition>(
      (from, size) => this.#log.readAll(from, size),
      ({ position, sequence }) => ({ position, sequence }),
      { after: start, types, limit },
    )
    // Asked after reading: what was let go of meanwhile counts.
    const { floor, newest } = await this.#log.boundsOfAll()
    if (isBefore(start, floor)) throw lost({ oldest: textOfPosition(floor) })
    if (start.position > newest) throw ahead(textOfPosition({ position: newest, sequence: 0 }))
    return page
  }

  /**
   * Everything after the cursor (undefined = what happens from now on), then what comes, in batches, until `signal`
   * aborts. The next batch is read when the last one has been taken: a slow reader holds one batch and no more.
   * Resolves when the cursor has been found good. @throws gone, bad_request, not_found
   */
  async follow(
    deviceId: string,
    { after, types }: Pick<LogQuery<number>, 'after' | 'types'>,
  ): Promise<(signal: AbortSignal) => AsyncIterable<readonly EventRow[]>> {
    const start = after ?? (await this.#bounds(deviceId)).newest
    await this.#check(deviceId, start)
    return (signal) => this.#run(deviceId, start, types, signal)
  }

  async *#run(
    deviceId: string,
    start: number,
    types: readonly string[],
    signal: AbortSignal,
  ): AsyncGenerator<readonly EventRow[]> {
    using tail = this.#feed.watch(deviceId)
    let cursor = start
    while (!signal.aborted) {
      tail.reset()
      const rows = await this.#log.read(deviceId, cursor, FOLLOW_CHUNK)
      await this.#check(deviceId, cursor)
      const wanted = rows.filter(({ type }) => matches(types, type))
      if (wanted.length > 0) yield wanted
      cursor = rows.at(-1)?.sequence ?? cursor
      if (rows.length < FOLLOW_CHUNK) await tail.more(signal)
    }
  }

  async #bounds(deviceId: string): Promise<{ readonly floor: number; readonly newest: number }> {
    const bounds = await this.#log.bounds(deviceId)
    if (!bounds) throw new ParleyError('not_found', 'the device does not exist (any more)')
    return bounds
  }

  async #check(deviceId: string, after: number): Promise<void> {
    const { floor, newest } = await this.#bounds(deviceId)
    if (after < floor) throw lost({ oldest: floor })
    if (after > newest) throw ahead(newest)
  }
}

/** Reads chunks until there are enough events that fit, or none are left, or it takes too long. */
const collect = async <E extends EventRow, C>(
  read: (after: C, size: number) => Promise<readonly E[]>,
  placeOf: (event: E) => C,
  { after, types, limit }: LogQuery<C> & { readonly after: C },
): Promise<LogPage<E, C>> => {
  const events: E[] = []
  let next = after
  for (let chunk = 0; chunk < MAX_CHUNKS; chunk++) {
    // Without a filter every row counts, so no more than those are read.
    const size = types.length === 0 ? Math.min(CHUNK, limit - events.length) : CHUNK
    const rows = await read(next, size)
    for (const row of rows) {
      next = placeOf(row)
      if (matches(types, row.type)) events.push(row)
      if (events.length === limit) return { events, next, more: true }
    }
    if (rows.length < size) return { events, next, more: false }
    // Other work gets its turn between two chunks.
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { events, next, more: true }
}

const isBefore = (a: LogPosition, b: LogPosition): boolean =>
  a.position < b.position || (a.position === b.position && a.sequence < b.sequence)

/** `oldest`: the cursor from which everything is still there. */
const lost = (data: { readonly oldest: string | number }) =>
  new ParleyError(
    'gone',
    `after: events after this cursor are not kept any more (EVENT_RETENTION); the oldest one that can be used is ${data.oldest}`,
    { field: 'after', data },
  )

const ahead = (newest: string | number) =>
  new ParleyError('bad_request', `after: is ahead of the log, whose newest cursor is ${newest}`, {
    field: 'after',
    data: { newest },
  })

/** A cursor over all devices as callers see it: opaque to them. */
export const textOfPosition = ({ position, sequence }: LogPosition): string => `${position}.${sequence}`

/** @throws bad_request naming `field` */
export const positionOf = (text: string, field: string): LogPosition => {
  const found = /^(\d{1,15})\.(\d{1,15})$/.exec(text)
  if (!found) throw new ParleyError('bad_request', `${field}: must be a cursor that an earlier reply gave`, { field })
  return { position: Number(found[1]), sequence: Number(found[2]) }
}
