// Everybody in the sandbox: creates people, gives them phones, and keeps their phones informed of their companions.
import { randomBytes } from 'node:crypto'
import { type AuthenticatorState, SoftwareAuthenticator } from '../passkey/software-authenticator.ts'
import type { Account, Device } from '../service/account.ts'
import type { ServiceEvent } from '../service/peer.ts'
import type { Service } from '../service/service.ts'
import { Linking, type PasskeyDemand } from './linking.ts'
import { makePhoneKeys, Phone, type PhoneState } from './phone.ts'
import { SignalEndpoint } from './signal-endpoint.ts'

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

interface PersonState {
  readonly pn: string
  readonly phone: PhoneState
  readonly online: boolean
  readonly passkey: PasskeyDemand
  readonly accepts: boolean
  readonly authenticator: AuthenticatorState | undefined
  /** Device ids of the companions that had their welcome. */
  readonly welcomed: readonly number[]
}

/** What people keep when the sandbox restarts, as plain data. */
export interface PeopleSnapshot {
  readonly persons: readonly PersonState[]
}

/** 555 numbers belong to nobody: the first one given to people without a number of their own. */
const FIRST_NUMBER = 15_550_100_001

export class People {
  readonly service: Service
  readonly #clock: () => number
  readonly #byPn = new Map<string, SimulatedPerson>()
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
    const phone = new Phone({ service, account, signal, rawId: randomBytes(4).readUInt32BE(), clock: this.#clock })
    const person = this.#settle(account, phone)
    person.linking.accepts = spec.acceptsLinks ?? true
    this.setPasskey(person, spec.passkey ?? 'none')
    phone.goOnline()
    return person
  }

  snapshot(): PeopleSnapshot {
    return {
      persons: Array.from(this.#byPn.values(), ({ account, phone, linking, passkeyState }) => ({
        pn: account.pn,
        phone: phone.snapshot(),
        online: phone.online,
        passkey: linking.passkey,
        accepts: linking.accepts,
        authenticator: passkeyState,
        welcomed: account.companions.filter((device) => this.#welcomed.has(device)).map(({ id }) => id),
      })),
    }
  }

  /** Brings back people whose accounts the service has already restored. @throws Error when an account is missing */
  restore(snapshot: PeopleSnapshot): void {
    const { service } = this
    const clock = this.#clock
    for (const state of snapshot.persons) {
      const account = service.accounts.byPn(state.pn)
      if (account === undefined) throw new Error(`the saved state lacks the account of ${state.pn}`)
      const { rawId, appStateKeys } = state.phone
      const signal = SignalEndpoint.restore(state.phone.signal)
      const phone = new Phone({ service, account, signal, rawId, clock, appStateKeys })
      const person = this.#settle(account, phone, state.authenticator)
      person.linking.accepts = state.accepts
      this.setPasskey(person, state.passkey)
      for (const device of account.companions) if (state.welcomed.includes(device.id)) this.#welcomed.add(device)
      if (state.online) phone.goOnline()
    }
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

  #settle(account: Account, phone: Phone, authenticator?: AuthenticatorState): SimulatedPerson {
    const linking = new Linking({ service: this.service, phone, clock: this.#clock })
    const person = new SimulatedPerson(account, phone, linking, authenticator)
    this.#byPn.set(account.pn, person)
    return person
  }

  #freeNumber(): string {
    for (;;) {
      const pn = String(this.#nextNumber)
      this.#nextNumber += 1
      if (this.service.accounts.byPn(pn) === undefined) return pn
    }
  }

  #onEvent(event: ServiceEvent): void {
    if (event.type !== 'device_active') return
    const { device } = event
    const waiting = device.id === 0 ? device.account.companions : [device]
    // A phone that comes back is heard of before it holds its attachment: hence a moment later.
    queueMicrotask(() => {
      for (const companion of waiting) this.#welcome(companion)
    })
  }

  /** Once per companion, as soon as both it and the phone are connected. */
  #welcome(companion: Device): void {
    const person = this.byAccount(companion.account)
    if (!companion.active || person?.phone.online !== true || this.#welcomed.has(companion)) return
    this.#welcomed.add(companion)
    person.phone.welcome(companion).catch((error: unknown) => {
      this.#welcomed.delete(companion)
      const reason = error instanceof Error ? error.message : String(error)
      this.service.log.add('internal', companion.jid, `the welcome failed: ${reason}`)
    })
  }
}

class SimulatedPerson implements Person {
  readonly account: Account
  readonly phone: Phone
  readonly linking: Linking
  #authenticator: SoftwareAuthenticator | undefined

  constructor(account: Account, phone: Phone, linking: Linking, authenticator: AuthenticatorState | undefined) {
    this.account = account
    this.phone = phone
    this.linking = linking
    this.#authenticator = authenticator && new SoftwareAuthenticator(authenticator)
  }

  /** Undefined while there is no authenticator yet. */
  get passkeyState(): AuthenticatorState | undefined {
    return this.#authenticator?.snapshot()
  }

  get authenticator(): SoftwareAuthenticator {
    this.#authenticator ??= new SoftwareAuthenticator()
    return this.#authenticator
  }
}
