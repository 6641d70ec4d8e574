import type { EventRow } from './events.ts'

export type DeliveryState = 'pending' | 'success' | 'failed'

/** One event on its way to one webhook. */
export interface DeliveryRow {
  readonly id: number
  readonly webhookId: number
  readonly deviceId: string
  readonly sequence: number
  readonly eventType: string
  readonly state: DeliveryState
  /** It was given up once and put in line again. */
  readonly redelivered: boolean
  /** Attempts that got an HTTP answer or failed to. */
  readonly attemptCount: number
  /** Those of them that the receiver refused (4xx): what WEBHOOK_RETRY_LIMIT counts. */
  readonly refusalCount: number
  readonly lastError: string
  readonly lastStatusCode: number | undefined
  readonly lastLatencyMs: number | undefined
  /** When it was (last) put in line. */
  readonly createdAt: number
  readonly updatedAt: number
}

export interface DueDelivery {
  readonly delivery: DeliveryRow
  readonly event: EventRow
  readonly orderKey: string | undefined
}

/** A delivery that was given up; without its event when retention has let go of that. */
export interface DeadLetter {
  readonly delivery: DeliveryRow
  readonly event: EventRow | undefined
}

/** What became of a delivery. */
export interface FinishedDelivery {
  readonly state: 'success' | 'failed'
  /** Of the last attempt; undefined when there was none. */
  readonly latencyMs: number | undefined
  /** From being put in line to being done. */
  readonly totalMs: number
}

export interface WebhookStats {
  readonly pending: number
  /** When the oldest pending one was put in line. */
  readonly oldestPendingAt: number | undefined
  readonly deadLetters: number
  /** The newest ones. */
  readonly finished: readonly FinishedDelivery[]
}

export interface DeliveryResult {
  readonly id: number
  readonly state: DeliveryState
  readonly attemptCount: number
  readonly refusalCount: number
  readonly lastError: string
  readonly lastStatusCode: number | undefined
  readonly lastLatencyMs: number | undefined
  /** When a pending one is due again. */
  readonly nextAttemptAt: number | undefined
}

export interface DeliveryStats {
  readonly totalDeliveries: number
  readonly successDeliveries: number
  readonly failedDeliveries: number
  readonly pendingDeliveries: number
}

/**
 * The queue. Deliveries of one webhook with the same order key are handed out strictly one after another: the head
 * (lowest sequence) of each chat only, never one whose predecessor is still pending.
 */
export interface DeliveryRepository {
  /**
   * Due heads of one webhook, those due longest first, skipping the order keys in `busy` (`` = the device as a whole).
   * `now` in ms.
   */
  due(webhookId: number, now: number, limit: number, busy: ReadonlySet<string>): Promise<readonly DueDelivery[]>
  /** When the next pending delivery of a webhook becomes due after `now`; undefined when none waits for a time. */
  nextDue(webhookId: number, now: number): Promise<number | undefined>
  /** Webhooks that have pending deliveries, with the earliest time one is due. */
  waiting(): Promise<readonly { readonly webhookId: number; readonly dueAt: number }[]>
  /** Records outcomes, many in one transaction. */
  settle(results: readonly DeliveryResult[], now: number): Promise<void>
  /**
   * Gives up up to `limit` pending deliveries created before `createdBefore`: they become `failed`, their last error
   * says so. Answers how many.
   */
  expire(createdBefore: number, now: number, limit: number): Promise<number>
  /** The newest `limit` deliveries of a webhook that were attempted or finished. */
  logs(webhookId: number, limit: number): Promise<readonly DeliveryRow[]>
  stats(): Promise<DeliveryStats>
  /** Up to `limit` given up ones of a webhook, newest first, with ids below `before`. */
  deadLetters(webhookId: number, before: number | undefined, limit: number): Promise<readonly DeadLetter[]>
  /**
   * Puts up to `limit` given up deliveries in line again, oldest first: all of the webhook's, or those among `ids`. Those
   * whose event is gone stay. Answers their ids.
   */
  redrive(webhookId: number, ids: readonly number[] | undefined, now: number, limit: number): Promise<readonly number[]>
  /** What waits for a time is due now. */
  hasten(webhookId: number, now: number): Promise<void>
  /** Of one webhook; `finished` up to `window`. */
  statsOf(webhookId: number, window: number): Promise<WebhookStats>
  /** Deletes finished deliveries older than this. */
  prune(before: number): Promise<number>
}
