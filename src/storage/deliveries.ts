import { type Database, query, queryOne, sql, type Work } from './database.ts'
import { type EventRecord, toEventRow } from './events.ts'
import type {
  DeadLetter,
  DeliveryRepository,
  DeliveryResult,
  DeliveryRow,
  DeliveryState,
  DeliveryStats,
  DueDelivery,
  WebhookStats,
} from './port/deliveries.ts'
import { pruneInSlices } from './prune.ts'

/** A delivery as `select` gives it. */
export interface DeliveryRecord {
  readonly id: number
  readonly webhook_id: number
  readonly device_id: string
  readonly sequence: number
  readonly event_type: string
  readonly order_key: string
  readonly state: DeliveryState
  readonly redelivered: boolean | 0 | 1
  readonly attempt_count: number
  readonly refusal_count: number
  readonly last_error: string
  readonly last_status_code: number | null
  readonly last_latency_ms: number | null
  readonly created_at: number
  readonly updated_at: number
}

/** A delivery with its event. */
export type DueRecord = DeliveryRecord &
  Pick<EventRecord, 'event_id' | 'payload' | 'occurred_at'> & { readonly event_order_key: string | null }

type DeadRecord = DeliveryRecord & {
  readonly [K in 'event_id' | 'payload' | 'occurred_at' | 'event_order_key']: DueRecord[K] | null
}

/** What SQLite and PostgreSQL do in different ways. */
export interface DeliveryDialect {
  /** The pending ones of these rows, each with its event, in any order. */
  read(ids: readonly number[]): Work<readonly DueRecord[]>
  settle(results: readonly DeliveryResult[], now: number): Work<void>
}

const COLUMNS = `d.id, d.webhook_id, d.device_id, d.sequence, d.event_type, d.order_key, d.state, d.redelivered,
  d.attempt_count, d.refusal_count, d.last_error, d.last_status_code, d.last_latency_ms, d.created_at, d.updated_at`

/** To be completed with a `where`. */
export const SELECT_DUE = `select ${COLUMNS}, e.event_id, e.payload, e.occurred_at, e.order_key as event_order_key
  from deliveries d join events e on e.device_id = d.device_id and e.sequence = d.sequence`

interface HeadRecord {
  readonly id: number
  readonly order_key: string
  readonly is_head: boolean | 0 | 1
}

// Two ways to the heads, because either alone has a bad case. With 100 000 rows waiting (SQLite): the window costs
// 0.2 ms however many there are, but finds nothing when one chat's rows fill it; the skip scan costs about 3 us for each
// chat that waits, however long its queue.
const windowOfDue = sql(
  'deliveries_window',
  `select w.id, w.order_key, not exists (
     select 1 from deliveries p where p.webhook_id = w.webhook_id and p.order_key = w.order_key
       and p.state = 'pending' and p.sequence < w.sequence) as is_head
   from (select id, webhook_id, order_key, sequence, next_attempt_at from deliveries
     where webhook_id = ? and state = 'pending' and next_attempt_at <= ? order by next_attempt_at, id limit ?) w
   order by w.next_attempt_at, w.id`,
)
const skipScan = sql(
  'deliveries_heads',
  `with recursive chats (order_key) as (
     select (select min(order_key) from deliveries where webhook_id = ? and state = 'pending')
     union all
     select (select min(d.order_key) from deliveries d
       where d.webhook_id = ? and d.state = 'pending' and d.order_key > chats.order_key)
     from chats where chats.order_key is not null)
   select d.id, d.order_key, 1 as is_head
   from chats join deliveries d on d.id = (
     select p.id from deliveries p where p.webhook_id = ? and p.order_key = chats.order_key and p.state = 'pending'
     order by p.sequence limit 1)
   where d.next_attempt_at <= ? order by d.next_attempt_at, d.id limit ?`,
)
const earliestAfter = sql(
  'deliveries_next_due',
  `select min(next_attempt_at) as due_at from deliveries where webhook_id = ? and state = 'pending' and next_attempt_at > ?`,
)
const waitingWebhooks = sql(
  'deliveries_waiting',
  `select webhook_id, min(next_attempt_at) as due_at from deliveries where state = 'pending' group by webhook_id`,
)
const expireOld = sql(
  'deliveries_expire',
  `update deliveries set state = 'failed', updated_at = ?,
     last_error = case last_error when '' then 'gave up: too old' else 'gave up: ' || last_error end
   where id in (select id from deliveries where state = 'pending' and created_at < ? order by created_at limit ?)
   returning 1 as gone`,
)
const newestAttempts = sql(
  'deliveries_logs',
  `select * from (select ${COLUMNS} from deliveries d where d.webhook_id = ? and d.state <> 'pending'
       order by d.updated_at desc, d.id desc limit ?) finished
   union all
   select * from (select ${COLUMNS} from deliveries d
       where d.webhook_id = ? and d.state = 'pending' and d.attempt_count > 0
       order by d.updated_at desc, d.id desc limit ?) retrying
   order by updated_at desc, id desc limit ?`,
)
const countByState = sql(
  'deliveries_stats',
  `select (select count(*) from deliveries where state = 'pending') as pending,
     (select count(*) from deliveries where state <> 'pending') as finished,
     (select count(*) from deliveries where state = 'failed') as failed`,
)
const selectDead = sql(
  'deliveries_dead',
  `select ${COLUMNS}, e.event_id, e.payload, e.occurred_at, e.order_key as event_order_key
   from deliveries d left join events e on e.device_id = d.device_id and e.sequence = d.sequence
   where d.webhook_id = ? and d.state = 'failed' and d.id < ? order by d.id desc limit ?`,
)
const PUT_IN_LINE = `update deliveries set state = 'pending', redelivered = true, refusal_count = 0,
     next_attempt_at = ?, created_at = ?, updated_at = ?`
const redriveAll = sql(
  'deliveries_redrive_all',
  `${PUT_IN_LINE}
   where id in (
     select d.id from deliveries d join events e on e.device_id = d.device_id and e.sequence = d.sequence
     where d.webhook_id = ? and d.state = 'failed' order by d.id limit ?)
   returning id`,
)
const redriveOne = sql(
  'deliveries_redrive',
  `${PUT_IN_LINE}
   where id = ? and webhook_id = ? and state = 'failed' and exists (
     select 1 from events e where e.device_id = deliveries.device_id and e.sequence = deliveries.sequence)
   returning id`,
)
const hastenAll = sql(
  'deliveries_hasten',
  `update deliveries set next_attempt_at = ? where webhook_id = ? and state = 'pending' and next_attempt_at > ?`,
)
const countOfWebhook = sql(
  'deliveries_stats_of',
  `select (select count(*) from deliveries where webhook_id = ? and state = 'pending') as pending,
     (select min(created_at) from deliveries where webhook_id = ? and state = 'pending') as oldest,
     (select count(*) from deliveries where webhook_id = ? and state = 'failed') as failed`,
)
const newestFinished = sql(
  'deliveries_finished',
  `select state, last_latency_ms, updated_at - created_at as total_ms from deliveries
   where webhook_id = ? and state <> 'pending' order by updated_at desc limit ?`,
)
const forget = sql(
  'deliveries_forget_device',
  'delete from deliveries where device_id = ? and webhook_id in (select id from webhooks where device_id is null)',
)
const pruneFinished = sql(
  'deliveries_prune',
  `delete from deliveries where id in (
     select d.id from webhooks w join deliveries d on d.webhook_id = w.id
     where d.state <> 'pending' and d.updated_at < ? limit ?) returning 1 as gone`,
)

/** Inside a unit that deletes a device: what waits for the webhooks of every device goes with it. */
export function* forgetDeliveries(deviceId: string): Work<void> {
  yield* query(forget, deviceId)
}

export class DeliveryStore implements DeliveryRepository {
  readonly #database: Database
  readonly #dialect: DeliveryDialect

  constructor(parts: { readonly database: Database; readonly dialect: DeliveryDialect }) {
    this.#database = parts.database
    this.#dialect = parts.dialect
  }

  async due(webhookId: number, now: number, limit: number, busy: ReadonlySet<string>): Promise<readonly DueDelivery[]> {
    // The caller's set changes while we wait; a key that is freed meanwhile may be that of a row we saw as pending.
    const skip = new Set(busy)
    const ids = await this.#headIds(webhookId, now, limit, skip)
    if (ids.length === 0) return []
    const records = await this.#database.readAll(this.#dialect.read(ids))
    const found = new Map(records.map((record) => [record.id, toDue(record)]))
    return ids.flatMap((id) => found.get(id) ?? [])
  }

  async nextDue(webhookId: number, now: number): Promise<number | undefined> {
    const [row] = await this.#database.read<{ due_at: number | null }>(earliestAfter, webhookId, now)
    return row?.due_at ?? undefined
  }

  async waiting(): Promise<readonly { readonly webhookId: number; readonly dueAt: number }[]> {
    const rows = await this.#database.read<{ webhook_id: number; due_at: number }>(waitingWebhooks)
    return rows.map((row) => ({ webhookId: row.webhook_id, dueAt: row.due_at }))
  }

  async settle(results: readonly DeliveryResult[], now: number): Promise<void> {
    if (results.length === 0) return
    await this.#database.write(() => this.#dialect.settle(results, now))
  }

  async expire(createdBefore: number, now: number, limit: number): Promise<number> {
    const gone = await this.#database.write(() => query(expireOld, now, createdBefore, limit))
    return gone.length
  }

  async logs(webhookId: number, limit: number): Promise<readonly DeliveryRow[]> {
    const rows = await this.#database.read<DeliveryRecord>(newestAttempts, webhookId, limit, webhookId, limit, limit)
    return rows.map(toRow)
  }

  async stats(): Promise<DeliveryStats> {
    const counts = await this.#database.readAll(
      queryOne<{ pending: number; finished: number; failed: number }>(countByState),
    )
    const { pending, finished, failed } = counts!
    return {
      totalDeliveries: pending + finished,
      successDeliveries: finished - failed,
      failedDeliveries: failed,
      pendingDeliveries: pending,
    }
  }

  async deadLetters(webhookId: number, before: number | undefined, limit: number): Promise<readonly DeadLetter[]> {
    const rows = await this.#database.read<DeadRecord>(selectDead, webhookId, before ?? Number.MAX_SAFE_INTEGER, limit)
    return rows.map((row) => ({
      delivery: toRow(row),
      event: row.event_id === null ? undefined : toDue(row as DueRecord).event,
    }))
  }

  redrive(
    webhookId: number,
    ids: readonly number[] | undefined,
    now: number,
    limit: number,
  ): Promise<readonly number[]> {
    return this.#database.write(function* () {
      if (ids === undefined) {
        const rows = yield* query<{ id: number }>(redriveAll, now, now, now, webhookId, limit)
        return rows.map(({ id }) => id)
      }
      const done: number[] = []
      for (const id of ids.slice(0, limit).toSorted((a, b) => a - b))
        if (yield* queryOne(redriveOne, now, now, now, id, webhookId)) done.push(id)
      return done
    })
  }

  async hasten(webhookId: number, now: number): Promise<void> {
    await this.#database.write(() => query(hastenAll, now, webhookId, now))
  }

  async statsOf(webhookId: number, window: number): Promise<WebhookStats> {
    const [counts] = await this.#database.read<{ pending: number; oldest: number | null; failed: number }>(
      countOfWebhook,
      webhookId,
      webhookId,
      webhookId,
    )
    const finished = await this.#database.read<{
      state: 'success' | 'failed'
      last_latency_ms: number | null
      total_ms: number
    }>(newestFinished, webhookId, window)
    return {
      pending: counts!.pending,
      oldestPendingAt: counts!.oldest ?? undefined,
      deadLetters: counts!.failed,
      finished: finished.map((row) => ({
        state: row.state,
        latencyMs: row.last_latency_ms ?? undefined,
        totalMs: Math.max(0, row.total_ms),
      })),
    }
  }

  prune(before: number): Promise<number> {
    return pruneInSlices(this.#database, pruneFinished, before)
  }

  async #headIds(webhookId: number, now: number, limit: number, skip: ReadonlySet<string>): Promise<readonly number[]> {
    const size = 2 * (limit + skip.size)
    const window = await this.#database.read<HeadRecord>(windowOfDue, webhookId, now, size)
    const heads = window.filter((row) => row.is_head && !skip.has(row.order_key))
    if (window.length < size || heads.length >= limit) return firstIds(heads, limit)
    const all = await this.#database.read<HeadRecord>(skipScan, webhookId, webhookId, webhookId, now, limit + skip.size)
    return firstIds(
      all.filter((row) => !skip.has(row.order_key)),
      limit,
    )
  }
}

const firstIds = (heads: readonly HeadRecord[], limit: number): readonly number[] =>
  heads.slice(0, limit).map(({ id }) => id)

const toRow = (record: DeliveryRecord): DeliveryRow => ({
  id: record.id,
  webhookId: record.webhook_id,
  deviceId: record.device_id,
  sequence: record.sequence,
  eventType: record.event_type,
  state: record.state,
  redelivered: Boolean(record.redelivered),
  attemptCount: record.attempt_count,
  refusalCount: record.refusal_count,
  lastError: record.last_error,
  lastStatusCode: record.last_status_code ?? undefined,
  lastLatencyMs: record.last_latency_ms ?? undefined,
  createdAt: record.created_at,
  updatedAt: record.updated_at,
})

const toDue = (record: DueRecord): DueDelivery => {
  const event = toEventRow({
    device_id: record.device_id,
    sequence: record.sequence,
    event_id: record.event_id,
    type: record.event_type,
    order_key: record.event_order_key,
    payload: record.payload,
    occurred_at: record.occurred_at,
  })
  return { delivery: toRow(record), event, orderKey: record.order_key === '' ? undefined : record.order_key }
}
