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
  /** Attempts that got an HTTP answer or failed to. */
  readonly attemptCount: number
  /** Those of them that the receiver refused (4xx): what WEBHOOK_RETRY_LIMIT counts. */
  readonly refusalCount: number
  readonly lastError: string
  readonly lastStatusCode: number | undefined
  readonly lastLatencyMs: number | undefined
  readonly createdAt: number
  readonly updatedAt: number
}

export interface DueDelivery {
  readonly delivery: DeliveryRow
  readonly event: EventRow
  readonly orderKey: string | undefined
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
  /** Deletes finished deliveries older than this. */
  prune(before: number): Promise<number>
}
