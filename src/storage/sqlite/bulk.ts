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
  'insert into events (device_id, sequence, event_id, type, order_key, payload, occurred_at, dedupe_key, created_at, log_position) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
)
const takePositions = sql(
  'event_log_take',
  'update event_log set last_position = last_position + ? where id = 1 returning last_position',
)
const insertDelivery = sql(
  'deliveries_insert',
  `insert into deliveries (webhook_id, device_id, sequence, event_type, order_key, state, next_attempt_at, created_at, updated_at)
   select id, ?, ?, ?, case when ? = '' and device_id is null then ? else ? end, 'pending', ?, ?, ? from webhooks
   where id = ? and active = 1 and (device_id = ? or device_id is null)`,
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
    const taken = yield* queryOne<{ last_position: number }>(takePositions, rows.length)
    let position = taken!.last_position - rows.length
    for (const row of rows) {
      position += 1
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
        position,
      )
    }
  },
  *insertDeliveries(deviceId, rows, now) {
    for (const row of rows)
      for (const webhookId of new Set(row.webhookIds)) {
        const key = row.orderKey ?? ''
        yield* query(
          insertDelivery,
          deviceId,
          row.sequence,
          row.type,
          key,
          deviceId,
          key,
          now,
          now,
          now,
          webhookId,
          deviceId,
        )
      }
  },
}
