import { query, queryOne, sql } from '../database.ts'
import { type DeliveryDialect, type DueRecord, SELECT_DUE } from '../deliveries.ts'

const readOne = sql('deliveries_read', `${SELECT_DUE} where d.id = ? and d.state = 'pending'`)
const settleOne = sql(
  'deliveries_settle',
  `update deliveries set state = ?, attempt_count = ?, refusal_count = ?, last_error = ?, last_status_code = ?,
     last_latency_ms = ?, next_attempt_at = coalesce(?, next_attempt_at), updated_at = ? where id = ?`,
)

export const sqliteDeliveries: DeliveryDialect = {
  *read(ids) {
    const found: DueRecord[] = []
    for (const id of ids) {
      const row = yield* queryOne<DueRecord>(readOne, id)
      if (row) found.push(row)
    }
    return found
  },
  *settle(results, now) {
    for (const result of results)
      yield* query(
        settleOne,
        result.state,
        result.attemptCount,
        result.refusalCount,
        result.lastError,
        result.lastStatusCode,
        result.lastLatencyMs,
        result.nextAttemptAt,
        now,
        result.id,
      )
  },
}
