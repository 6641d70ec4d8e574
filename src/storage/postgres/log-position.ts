import { type Database, query, sql } from '../database.ts'

/**
 * Log positions follow the transaction numbers of the server. One that a dump was restored on counts from lower down:
 * without this, new events would come before old ones.
 */
const align = sql(
  'event_log_align',
  `update event_log set base = used.newest + 1 - txid_current()
   from (select greatest(l.floor_position, coalesce((select max(log_position) from events), 0),
           coalesce((select max(log_position) from gateway_events), 0)) as newest
         from event_log l) used
   where event_log.base + txid_current() <= used.newest`,
)

/** Once at the start, before anything is appended. */
export const alignLogPosition = async (database: Database): Promise<void> => {
  await database.write(() => query(align))
}
