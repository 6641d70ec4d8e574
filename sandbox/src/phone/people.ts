// Everybody in the sandbox: creates people, gives them phones, and keeps their phones informed of their companions.
import { randomBytes } from 'node:crypto'
import { SoftwareAuthenticator } from '../passkey/software-authenticator.ts'
import type { Account } from '../service/account.ts'
import type { ServiceEvent } from '../service/peer.ts'
import type { Service } from '../service/service.ts'
import { Linking, type PasskeyDemand } from './linking.ts'
import { makePhoneKeys, Phone } from './phone.ts'

export interface Person {
  readonly account: Account
  readonly phone: Phone
  readonly linking: Linking
  /** Made when it is first needed. */
  readonly authenticator: SoftwareAuthenticator
}

export interface PersonSpec {
  readonly name: string
  /** Digits; a free number when absent. */
  readonly phone?: string
  readonly passkey?: PasskeyDemand
  readonly maxCompanions?: number
  readonly acceptsLinks?: boolean
}

/** 555 numbers belong to nobody: the first one given to people without a number of their own. */
const FIRST_NUMBER = 15_550_100_001

export class People {
  readonly service: Service
  readonly #clock: () => number
  readonly #byPn = new Map<string, Person>()
  /** Companions that had their welcome. */
  readonly #welcomed = new WeakSet<object>()
  #nextNumber = FIRST_NUMBER

  constructor(options: { readonly service: Service; readonly clock: () => number }) {
    this.service = options.service
    this.#clock = options.clock
    this.service.watch((event) => this.#onEvent(event))
  }

  /** Creates a person whose phone is online. @throws RangeError for a bad or taken number */
  add(spec: PersonSpec): Person {
    const { service } = this
    const { signal, keys } = makePhoneKeys()
    const account = service.accounts.create({
      pn: spec.phone ?? this.#freeNumber(),
      pushName: spec.name,
      primary: keys,
      ...(spec.maxCompanions !== undefined && { maxCompanions: spec.maxCompanions }),
    })
    const clock = this.#clock
    const phone = new Phone({ service, account, signal, rawId: randomBytes(4).readUInt32BE(), clock })
    const linking = new Linking({ service, phone, clock })
    const person = new SimulatedPerson(account, phone, linking)
    this.#byPn.set(account.pn, person)
    linking.accepts = spec.acceptsLinks ?? true
    this.setPasskey(person, spec.passkey ?? 'none')
    phone.goOnline()
    return person
  }

  setPasskey(person: Person, demand: PasskeyDemand): void {
    person.linking.passkey = demand
    if (demand !== 'none') person.linking.credential ??= person.authenticator.credential
  }

  byPhoneNumber(pn: string): Person | undefined {
    return this.#byPn.get(pn)
  }

  byAccount(account: Account | undefined): Person | undefined {
    return account && this.#byPn.get(account.pn)
  }

  list(): readonly Person[] {
    return Array.from(this.#byPn.values())
  }

  #freeNumber(): string {
    for (;;) {
      const pn = String(this.#nextNumber)
      this.#nextNumber += 1
      if (this.service.accounts.byPn(pn) === undefined) return pn
    }
  }

  #onEvent(event: ServiceEvent): void {
    if (event.type !== 'device_active' || event.device.id === 0 || this.#welcomed.has(event.device)) return
    const { device } = event
    const person = this.byAccount(device.account)
    if (person === undefined || !person.phone.online) return
    this.#welcomed.add(device)
    person.phone.welcome(device).catch((error: unknown) => {
      this.service.log.add(
        'internal',
        device.jid,
        `the welcome failed: ${error instanceof Error ? error.message : error}`,
      )
    })
  }
}

class SimulatedPerson implements Person {
  readonly account: Account
  readonly phone: Phone
  readonly linking: Linking
  #authenticator: SoftwareAuthenticator | undefined

  constructor(account: Account, phone: Phone, linking: Linking) {
    this.account = account
    this.phone = phone
    this.linking = linking
  }

  get authenticator(): SoftwareAuthenticator {
    this.#authenticator ??= new SoftwareAuthenticator()
    return this.#authenticator
  }
}
