import type { Account, Device } from './account.ts'
import type { AccountRegistry } from './account-registry.ts'
import type { Faults } from './faults.ts'
import type { Metrics } from './metrics.ts'
import type { Attachment, Peer, PhoneRole, ServiceEvent } from './peer.ts'
import type { ProblemLog } from './problem-log.ts'
import type { Registrations } from './registrations.ts'

/** The simulated WhatsApp service, whatever its clients are connected by. */
export interface Service {
  readonly accounts: AccountRegistry
  readonly registrations: Registrations
  readonly log: ProblemLog
  readonly faults: Faults
  readonly metrics: Metrics
  /** Connects the phone (device 0) of an account; a phone attached before is closed as `replaced`. */
  attachPhone(account: Account, peer: Peer, role: PhoneRole): Attachment
  /** Takes a companion off its account, as a phone does under "Linked devices" > "Log out". */
  removeDevice(device: Device): void
  /** Calls `watcher` for every event from now on; the result stops that. */
  watch(watcher: (event: ServiceEvent) => void): () => void
}
