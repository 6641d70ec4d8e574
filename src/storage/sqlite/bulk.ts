import type { Bulk, StoredKeyRow } from '../bulk.ts'
import { query, queryOne, sql } from '../database.ts'

const putKey = sql(
  'signal_keys_put',
  'insert into signal_keys (device_id, type, id, value) values (?, ?, ?, ?) on conflict (device_id, type, id) do update set value = excluded.value',
)
const deleteKey = sql('signal_keys_delete', 'delete from signal_keys where device_id = ? and type = ? and id = ?')
const getKey = sql('signal_keys_get', 'select id, value from signal_keys where device_id = ? and type = ? and id = ?')
const findDedupe = sql('events_dedupe', 'select 1 from events where device_id = ? and dedupe_key = ?')
const insertEvent = sql(
  'events_insert',
  'insert into events (device_id, sequence, event_id, type, order_key, payload, occurred_at, dedupe_key, created_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?)',
)
const insertDelivery = sql(
  'deliveries_insert',
  `insert into deliveries (webhook_id, device_id, sequence, event_type, order_key, state, next_attempt_at, created_at, updated_at)
   select id, device_id, ?, ?, ?, 'pending', ?, ?, ? from webhooks where id = ? and device_id = ? and active = 1`,
)

export const sqliteBulk: Bulk = {
  *putSignalKeys(deviceId, rows) {
    for (const { type, id, value } of rows) yield* query(putKey, deviceId, type, id, value)
  },
  *deleteSignalKeys(deviceId, rows) {
    for (const { type, id } of rows) yield* query(deleteKey, deviceId, type, id)
  },
  *getSignalKeys(deviceId, type, ids) {
    const found: StoredKeyRow[] = []
    for (const id of ids) {
      const row = yield* queryOne<StoredKeyRow>(getKey, deviceId, type, id)
      if (row) found.push(row)
    }
    return found
  },
  *knownDedupeKeys(deviceId, keys) {
    const known: string[] = []
    for (const key of keys) if (yield* queryOne(findDedupe, deviceId, key)) known.push(key)
    return known
  },
  *insertEvents(deviceId, rows, now) {
    for (const row of rows)
      yield* query(
        insertEvent,
        deviceId,
        row.sequence,
        row.eventId,
        row.type,
        row.orderKey,
        row.payload,
        row.occurredAt,
        row.dedupeKey,
        now,
      )
  },
  *insertDeliveries(deviceId, rows, now) {
    for (const row of rows)
      for (const webhookId of new Set(row.webhookIds))
        yield* query(insertDelivery, row.sequence, row.type, row.orderKey ?? '', now, now, now, webhookId, deviceId)
  },
}
