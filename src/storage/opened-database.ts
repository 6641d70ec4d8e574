import type { Clock } from '../kernel/clock.ts'
import type { Logger } from '../kernel/logger.ts'
import type { Bulk } from './bulk.ts'
import type { Database } from './database.ts'
import type { DeliveryDialect } from './deliveries.ts'
import type { OwnerLock } from './owner.ts'

/** A database of either kind, migrated, with what differs between kinds. */
export interface OpenedDatabase {
  readonly database: Database
  readonly bulk: Bulk
  readonly deliveries: DeliveryDialect
  /** Undefined when opened without ownership. */
  readonly lock: OwnerLock | undefined
}

export interface OpenDatabase {
  readonly clock: Clock
  readonly logger: Logger
  readonly own: boolean
  readonly onOwnerLost: (reason: Error) => void
}
