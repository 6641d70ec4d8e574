import { query, sql } from '../database.ts'
import { type DeliveryDialect, type DueRecord, SELECT_DUE } from '../deliveries.ts'

const readMany = sql('deliveries_read', `${SELECT_DUE} where d.id = any(?::bigint[]) and d.state = 'pending'`)
// Rows are locked in the order of their ids, so that two batches cannot wait for each other.
const settleMany = sql(
  'deliveries_settle',
  `update deliveries d set state = r.state, attempt_count = r.attempt_count, refusal_count = r.refusal_count,
     last_error = r.last_error, last_status_code = r.last_status_code, last_latency_ms = r.last_latency_ms,
     next_attempt_at = coalesce(r.next_attempt_at, d.next_attempt_at), updated_at = ?
   from (select l.id, u.* from (select id from deliveries where id = any(?::bigint[]) order by id for update) l
     join unnest(?::bigint[], ?::text[], ?::int[], ?::int[], ?::text[], ?::int[], ?::int[], ?::bigint[])
       as u (row_id, state, attempt_count, refusal_count, last_error, last_status_code, last_latency_ms, next_attempt_at)
       on u.row_id = l.id) r
   where d.id = r.id`,
)

export const postgresDeliveries: DeliveryDialect = {
  *read(ids) {
    return yield* query<DueRecord>(readMany, ids)
  },
  *settle(results, now) {
    const ids = results.map((result) => result.id)
    yield* query(
      settleMany,
      now,
      ids,
      ids,
      results.map((result) => result.state),
      results.map((result) => result.attemptCount),
      results.map((result) => result.refusalCount),
      results.map((result) => result.lastError),
      results.map((result) => result.lastStatusCode ?? null),
      results.map((result) => result.lastLatencyMs ?? null),
      results.map((result) => result.nextAttemptAt ?? null),
    )
  },
}
