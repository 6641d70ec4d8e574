/**
 * PORT: everything that is kept. One implementation on SQLite, one on PostgreSQL; one suite runs over both.
 * Times are milliseconds since the epoch; ids of rows are safe integers; encrypted columns are sealed inside.
 * Any method may throw `storage_unavailable` when the database is away.
 */
export type * from './port/accounts.ts'
export type * from './port/chats.ts'
export type * from './port/deliveries.ts'
export type * from './port/events.ts'
export type * from './port/idempotency.ts'
export type * from './port/identities.ts'
export type * from './port/messages.ts'
export type * from './port/signal-keys.ts'
export type * from './port/stanza-failures.ts'
export type * from './port/webhooks.ts'

import type { ApiKeyRepository, DeviceRepository, SettingRepository } from './port/accounts.ts'
import type { ChatRepository } from './port/chats.ts'
import type { DeliveryRepository } from './port/deliveries.ts'
import type { EventRepository } from './port/events.ts'
import type { IdempotencyRepository } from './port/idempotency.ts'
import type { IdentityRepository } from './port/identities.ts'
import type { IntakeRepository, MessageRepository } from './port/messages.ts'
import type { SignalKeyRepository } from './port/signal-keys.ts'
import type { StanzaFailureRepository } from './port/stanza-failures.ts'
import type { WebhookRepository } from './port/webhooks.ts'

export interface Storage extends AsyncDisposable {
  readonly kind: 'sqlite' | 'postgres'
  readonly apiKeys: ApiKeyRepository
  readonly devices: DeviceRepository
  readonly settings: SettingRepository
  readonly signalKeys: SignalKeyRepository
  readonly messages: MessageRepository
  readonly chats: ChatRepository
  readonly intake: IntakeRepository
  readonly identities: IdentityRepository
  readonly events: EventRepository
  readonly webhooks: WebhookRepository
  readonly deliveries: DeliveryRepository
  readonly idempotency: IdempotencyRepository
  readonly stanzaFailures: StanzaFailureRepository
  /** A trivial query. @throws storage_unavailable */
  ping(): Promise<void>
  /** Statements executed since the start; tests use it to show that a request made none. */
  statementCount(): number
  /**
   * The epoch of our ownership of this database: made by taking the owner lock (an OS lock on SQLite, a session
   * advisory lock on PostgreSQL, so that it ends with the process) and raising the stored epoch by one.
   * Every write of Signal keys checks it.
   */
  readonly ownerEpoch: number
}
