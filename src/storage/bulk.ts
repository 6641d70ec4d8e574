import type { Work } from './database.ts'

/** Statements over many rows: SQLite repeats one prepared statement, PostgreSQL sends arrays once (`unnest`). */
export interface Bulk {
  putSignalKeys(deviceId: string, rows: readonly SealedKey[]): Work<void>
  deleteSignalKeys(deviceId: string, rows: readonly { readonly type: string; readonly id: string }[]): Work<void>
  getSignalKeys(deviceId: string, type: string, ids: readonly string[]): Work<readonly StoredKeyRow[]>
  /** Which of these dedupe keys the device's log has already. */
  knownDedupeKeys(deviceId: string, keys: readonly string[]): Work<readonly string[]>
  insertEvents(deviceId: string, rows: readonly StoredEvent[], now: number): Work<void>
  /** One pending delivery per event and active webhook of the device; webhooks that are gone are skipped. */
  insertDeliveries(deviceId: string, rows: readonly StoredEvent[], now: number): Work<void>
}

export interface SealedKey {
  readonly type: string
  readonly id: string
  readonly value: Uint8Array
}

export interface StoredKeyRow {
  readonly id: string
  readonly value: Uint8Array
}

export interface StoredEvent {
  readonly sequence: number
  readonly eventId: string
  readonly type: string
  readonly orderKey: string | undefined
  /** JSON. */
  readonly payload: string
  readonly occurredAt: number
  readonly dedupeKey: string | undefined
  readonly webhookIds: readonly number[]
}
