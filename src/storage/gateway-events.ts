import { NIL_UUID } from '../kernel/ids.ts'
import { query, queryOne, sql, sqlPair, type Work } from './database.ts'
import type { EventRow, LogPosition, NewEvent } from './port/events.ts'

// As of every event: on SQLite a number of its own, on PostgreSQL that of the transaction.
const takePosition = sqlPair('gateway_events_position', {
  sqlite: 'update event_log set last_position = last_position + 1 where id = 1 returning last_position as position',
  postgres: 'select base + txid_current() as position from event_log',
})
const insert = sql(
  'gateway_events_insert',
  `insert into gateway_events (event_id, type, payload, occurred_at, created_at, log_position)
   values (?, ?, ?, ?, ?, ?) returning sequence`,
)
const prune = sql(
  'gateway_events_prune',
  `delete from gateway_events where sequence in (
     select sequence from gateway_events where created_at < ? order by created_at limit ?)
   returning sequence, log_position`,
)

/** Inside a unit: appends what belongs to no device. */
export function* appendGatewayEvents(events: readonly NewEvent[], now: number): Work<readonly EventRow[]> {
  const rows: EventRow[] = []
  for (const { eventId, type, payload, occurredAt } of events) {
    const { position } = (yield* queryOne<{ position: number }>(takePosition))!
    const inserted = yield* queryOne<{ sequence: number }>(
      insert,
      eventId,
      type,
      JSON.stringify(payload),
      occurredAt,
      now,
      position,
    )
    rows.push({
      deviceId: NIL_UUID,
      sequence: inserted!.sequence,
      eventId,
      type,
      orderKey: undefined,
      payload,
      occurredAt,
    })
  }
  return rows
}

/** Inside a unit: answers the places of those that went. */
export function* pruneGatewayEvents(before: number, limit: number): Work<readonly LogPosition[]> {
  const gone = yield* query<{ sequence: number; log_position: number }>(prune, before, limit)
  return gone.map(({ sequence, log_position }) => ({ position: log_position, sequence }))
}
