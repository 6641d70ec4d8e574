import type { Bulk, StoredKeyRow } from '../bulk.ts'
import { query, sql } from '../database.ts'

const putKeys = sql(
  'signal_keys_put',
  `insert into signal_keys (device_id, type, id, value)
   select ?, type, id, value from unnest(?::text[], ?::text[], ?::bytea[]) as given (type, id, value)
   on conflict (device_id, type, id) do update set value = excluded.value`,
)
const deleteKeys = sql(
  'signal_keys_delete',
  `delete from signal_keys where device_id = ? and (type, id) in (
     select type, id from unnest(?::text[], ?::text[]) as given (type, id))`,
)
const getKeys = sql(
  'signal_keys_get',
  'select id, value from signal_keys where device_id = ? and type = ? and id = any(?::text[])',
)
const findDedupe = sql(
  'events_dedupe',
  'select dedupe_key from events where device_id = ? and dedupe_key = any(?::text[])',
)
const insertEvents = sql(
  'events_insert',
  `insert into events
     (device_id, sequence, event_id, type, order_key, payload, occurred_at, dedupe_key, created_at, log_position)
   select ?, sequence, event_id, type, order_key, payload, occurred_at, dedupe_key, ?::bigint,
     (select base + txid_current() from event_log)
   from unnest(?::bigint[], ?::text[], ?::text[], ?::text[], ?::text[], ?::bigint[], ?::text[])
     as given (sequence, event_id, type, order_key, payload, occurred_at, dedupe_key)`,
)
// The lock makes a webhook that is being deleted count as gone, instead of failing the foreign key later.
const insertDeliveries = sql(
  'deliveries_insert',
  `insert into deliveries
     (webhook_id, device_id, sequence, event_type, order_key, state, next_attempt_at, created_at, updated_at)
   select w.id, at.device_id, given.sequence, given.type,
     case when given.order_key = '' and w.device_id is null then at.device_id else given.order_key end,
     'pending', at.now, at.now, at.now
   from unnest(?::bigint[], ?::bigint[], ?::text[], ?::text[]) as given (webhook_id, sequence, type, order_key)
   cross join (select ?::bigint as now, ?::text as device_id) as at
   join webhooks w on w.id = given.webhook_id and (w.device_id = at.device_id or w.device_id is null) and w.active
   order by given.sequence
   for key share of w`,
)

export const postgresBulk: Bulk = {
  *putSignalKeys(deviceId, rows) {
    yield* query(
      putKeys,
      deviceId,
      rows.map((row) => row.type),
      rows.map((row) => row.id),
      rows.map((row) => row.value),
    )
  },
  *deleteSignalKeys(deviceId, rows) {
    yield* query(
      deleteKeys,
      deviceId,
      rows.map((row) => row.type),
      rows.map((row) => row.id),
    )
  },
  *getSignalKeys(deviceId, type, ids) {
    return yield* query<StoredKeyRow>(getKeys, deviceId, type, ids)
  },
  *knownDedupeKeys(deviceId, keys) {
    const rows = yield* query<{ dedupe_key: string }>(findDedupe, deviceId, keys)
    return rows.map((row) => row.dedupe_key)
  },
  *insertEvents(deviceId, rows, now) {
    yield* query(
      insertEvents,
      deviceId,
      now,
      rows.map((row) => row.sequence),
      rows.map((row) => row.eventId),
      rows.map((row) => row.type),
      rows.map((row) => row.orderKey),
      rows.map((row) => row.payload),
      rows.map((row) => row.occurredAt),
      rows.map((row) => row.dedupeKey),
    )
  },
  *insertDeliveries(deviceId, rows, now) {
    const pairs = rows.flatMap((row) => [...new Set(row.webhookIds)].map((webhookId) => ({ ...row, webhookId })))
    yield* query(
      insertDeliveries,
      pairs.map((pair) => pair.webhookId),
      pairs.map((pair) => pair.sequence),
      pairs.map((pair) => pair.type),
      pairs.map((pair) => pair.orderKey ?? ''),
      now,
      deviceId,
    )
  },
}
