import type { Clock } from '../kernel/clock.ts'
import { ParleyError } from '../kernel/errors.ts'
import { NIL_UUID } from '../kernel/ids.ts'
import type { Bulk, StoredEvent } from './bulk.ts'
import { type Database, query, queryOne, sql, sqlPair, type Work } from './database.ts'
import { lockDevice } from './device-lock.ts'
import { appendGatewayEvents, pruneGatewayEvents } from './gateway-events.ts'
import type { EventRepository, EventRow, LogPosition, NewEvent, PlacedEvent } from './port/events.ts'
import { SLICE } from './prune.ts'

const raiseSequence = sql(
  'devices_sequence',
  'update devices set event_sequence = event_sequence + ? where device_id = ? returning event_sequence',
)
const readSequence = sql('devices_sequence_get', 'select event_sequence from devices where device_id = ?')
const readEvents = sql(
  'events_read',
  'select device_id, sequence, event_id, type, order_key, payload, occurred_at from events where device_id = ? and sequence > ? order by sequence limit ?',
)
/** What devices have and what belongs to none, each read by its own index and no further than it takes. */
const placed = (settled: string) =>
  `select * from (
     select device_id, sequence, event_id, type, order_key, payload, occurred_at, log_position from events
     where (log_position, sequence) > (?, ?) ${settled} order by log_position, sequence limit ?) of_devices
   union all
   select * from (
     select '${NIL_UUID}' as device_id, sequence, event_id, type, null as order_key, payload, occurred_at, log_position
     from gateway_events
     where (log_position, sequence) > (?, ?) ${settled} order by log_position, sequence limit ?) of_gateway
   order by log_position, sequence limit ?`
const readPlaced = sqlPair('events_read_all', {
  sqlite: placed(''),
  // Only what every transaction under way is younger than: none of them can still add something before it.
  postgres: placed('and log_position < (select base + txid_snapshot_xmin(txid_current_snapshot()) from event_log)'),
})
const readBounds = sql(
  'devices_event_bounds',
  'select event_floor as floor, event_sequence as newest from devices where device_id = ?',
)
const readBoundsOfAll = sqlPair('event_log_bounds', {
  sqlite: 'select floor_position, floor_sequence, last_position as newest from event_log',
  postgres: `select floor_position, floor_sequence, base + txid_snapshot_xmin(txid_current_snapshot()) - 1 as newest
     from event_log`,
})
const pruneEvents = sql(
  'events_prune',
  `delete from events where (device_id, sequence) in (
     select e.device_id, e.sequence from events e
     where e.created_at < ? and not exists (
       select 1 from webhooks w join deliveries d on d.webhook_id = w.id
       where (w.device_id = e.device_id or w.device_id is null)
         and d.device_id = e.device_id and d.sequence = e.sequence and d.state = 'pending')
     order by e.created_at limit ?) returning device_id, sequence, log_position`,
)
const raiseFloor = sql(
  'devices_event_floor',
  'update devices set event_floor = ? where device_id = ? and event_floor < ?',
)
const raiseFloorOfAll = sql(
  'event_log_floor',
  `update event_log set floor_position = ?, floor_sequence = ?
   where (floor_position, floor_sequence) < (?, ?)`,
)

/** An event as `select` gives it. */
export interface EventRecord {
  readonly device_id: string
  readonly sequence: number
  readonly event_id: string
  readonly type: string
  readonly order_key: string | null
  readonly payload: string
  readonly occurred_at: number
}

export const toEventRow = (record: EventRecord): EventRow => ({
  deviceId: record.device_id,
  sequence: record.sequence,
  eventId: record.event_id,
  type: record.type,
  orderKey: record.order_key ?? undefined,
  payload: JSON.parse(record.payload) as Readonly<Record<string, unknown>>,
  occurredAt: record.occurred_at,
})

/** Inside a unit that holds the device's lock, once for each unit: appends events and their deliveries. Known dedupe keys are dropped. */
export function* appendEvents(
  bulk: Bulk,
  deviceId: string,
  events: readonly NewEvent[],
  now: number,
): Work<readonly EventRow[]> {
  const fresh = yield* dropKnown(bulk, deviceId, events)
  if (fresh.length === 0) return []
  const raised = yield* queryOne<{ event_sequence: number }>(raiseSequence, fresh.length, deviceId)
  if (!raised) throw deviceGone()
  const first = raised.event_sequence - fresh.length + 1
  const stored: StoredEvent[] = fresh.map((event, index) => ({
    sequence: first + index,
    eventId: event.eventId,
    type: event.type,
    orderKey: event.orderKey,
    payload: JSON.stringify(event.payload),
    occurredAt: event.occurredAt,
    dedupeKey: event.dedupeKey,
    webhookIds: event.webhookIds,
  }))
  yield* bulk.insertEvents(deviceId, stored, now)
  if (stored.some((event) => event.webhookIds.length > 0)) yield* bulk.insertDeliveries(deviceId, stored, now)
  return fresh.map(({ eventId, type, orderKey, payload, occurredAt }, index) => ({
    deviceId,
    sequence: first + index,
    eventId,
    type,
    orderKey,
    payload,
    occurredAt,
  }))
}

/** Inside a unit: lets go of some events, and remembers up to where, so that no reader takes the rest for everything. */
function* pruneSlice(before: number): Work<number> {
  const gone = yield* query<{ device_id: string; sequence: number; log_position: number }>(pruneEvents, before, SLICE)
  const floors = new Map<string, number>()
  let last: LogPosition = { position: 0, sequence: 0 }
  for (const { device_id, sequence, log_position: position } of gone) {
    floors.set(device_id, Math.max(sequence, floors.get(device_id) ?? 0))
    if (position > last.position || (position === last.position && sequence > last.sequence))
      last = { position, sequence }
  }
  for (const [deviceId, floor] of floors) yield* query(raiseFloor, floor, deviceId, floor)
  if (gone.length > 0) yield* query(raiseFloorOfAll, last.position, last.sequence, last.position, last.sequence)
  return gone.length
}

function* pruneGatewaySlice(before: number): Work<number> {
  const gone = yield* pruneGatewayEvents(before, SLICE)
  const last = gone.toSorted((a, b) => a.position - b.position || a.sequence - b.sequence).at(-1)
  if (last) yield* query(raiseFloorOfAll, last.position, last.sequence, last.position, last.sequence)
  return gone.length
}

function* dropKnown(bulk: Bulk, deviceId: string, events: readonly NewEvent[]): Work<readonly NewEvent[]> {
  const keys = events.flatMap((event) => event.dedupeKey ?? [])
  if (keys.length === 0) return events
  const seen = new Set(yield* bulk.knownDedupeKeys(deviceId, keys))
  return events.filter(({ dedupeKey }) => {
    if (dedupeKey === undefined) return true
    if (seen.has(dedupeKey)) return false
    seen.add(dedupeKey)
    return true
  })
}

export const deviceGone = () => new ParleyError('not_found', 'the device does not exist (any more)')

/** The append-only log. */
export class EventStore implements EventRepository {
  readonly #database: Database
  readonly #bulk: Bulk
  readonly #clock: Clock

  constructor(parts: { readonly database: Database; readonly bulk: Bulk; readonly clock: Clock }) {
    this.#database = parts.database
    this.#bulk = parts.bulk
    this.#clock = parts.clock
  }

  async append(deviceId: string, events: readonly NewEvent[]): Promise<readonly EventRow[]> {
    if (events.length === 0) return []
    const [bulk, now] = [this.#bulk, this.#clock.now()]
    return this.#database.write(function* () {
      if ((yield* lockDevice(deviceId)) === undefined) throw deviceGone()
      return yield* appendEvents(bulk, deviceId, events, now)
    }, deviceId)
  }

  appendToAll(events: readonly NewEvent[]): Promise<readonly EventRow[]> {
    const now = this.#clock.now()
    return this.#database.write(() => appendGatewayEvents(events, now))
  }

  async read(deviceId: string, after: number, limit: number): Promise<readonly EventRow[]> {
    const rows = await this.#database.read<EventRecord>(readEvents, deviceId, after, limit)
    return rows.map(toEventRow)
  }

  async lastSequence(deviceId: string): Promise<number> {
    const [row] = await this.#database.read<{ event_sequence: number }>(readSequence, deviceId)
    return row?.event_sequence ?? 0
  }

  async readAll(after: LogPosition, limit: number): Promise<readonly PlacedEvent[]> {
    const { position, sequence } = after
    const rows = await this.#database.read<EventRecord & { readonly log_position: number }>(
      readPlaced,
      position,
      sequence,
      limit,
      position,
      sequence,
      limit,
      limit,
    )
    return rows.map((row) => ({ ...toEventRow(row), position: row.log_position }))
  }

  async bounds(deviceId: string): Promise<{ readonly floor: number; readonly newest: number } | undefined> {
    const [row] = await this.#database.read<{ floor: number; newest: number }>(readBounds, deviceId)
    return row
  }

  async boundsOfAll(): Promise<{ readonly floor: LogPosition; readonly newest: number }> {
    const [row] = await this.#database.read<{ floor_position: number; floor_sequence: number; newest: number }>(
      readBoundsOfAll,
    )
    const { floor_position: position, floor_sequence: sequence, newest } = row!
    return { floor: { position, sequence }, newest }
  }

  async prune(before: number): Promise<number> {
    let total = 0
    for (const slice of [pruneSlice, pruneGatewaySlice])
      for (let gone = SLICE; gone === SLICE; total += gone) gone = await this.#database.write(() => slice(before))
    return total
  }
}
