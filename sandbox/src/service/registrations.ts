import type { AccountRegistry } from './account-registry.ts'
import type { DeviceDirectory } from './device-directory.ts'
import type { Faults } from './faults.ts'
import type { Metrics } from './metrics.ts'
import type { Peer, Registration, ServiceEvent } from './peer.ts'
import type { ProblemLog } from './problem-log.ts'
import { OpenRegistration } from './registration.ts'
import type { RegistrationPayload } from './registration-payload.ts'

export interface RegistrationsOptions {
  readonly clock: () => number
  readonly accounts: AccountRegistry
  readonly directory: DeviceDirectory
  readonly faults: Faults
  readonly log: ProblemLog
  readonly metrics: Metrics
  readonly emit: (event: ServiceEvent) => void
  readonly refLifetimes: { readonly first: number; readonly next: number }
}

/** The clients that wait to be linked. */
export class Registrations {
  readonly #options: RegistrationsOptions
  readonly #open = new Set<OpenRegistration>()
  #counter = 0

  constructor(options: RegistrationsOptions) {
    this.#options = options
  }

  list(): readonly Registration[] {
    return [...this.#open]
  }

  /** Whose QR code shows this ref, while the ref may be scanned. */
  findByRef(ref: string): Registration | undefined {
    return this.list().find((registration) => registration.refs.includes(ref))
  }

  /** The newest client that asked for a link code for this number (digits). */
  findByPhoneNumber(pn: string): Registration | undefined {
    return this.list().findLast((registration) => registration.linkCode?.phoneNumber === pn)
  }

  /** A client without an account has finished its handshake; its refs go out. */
  start(peer: Peer, noiseKey: Uint8Array, payload: RegistrationPayload): OpenRegistration {
    this.#counter += 1
    const registration = new OpenRegistration({
      ...this.#options,
      id: `r${this.#counter}`,
      peer,
      noiseKey,
      payload,
      emit: (event) => {
        if (event.type === 'registration_closed') this.#open.delete(registration)
        this.#options.emit(event)
      },
    })
    this.#open.add(registration)
    this.#options.metrics.registrations += 1
    registration.begin()
    this.#options.emit({ type: 'registration_opened', registration })
    return registration
  }
}
