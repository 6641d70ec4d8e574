import { parseJid } from '../wire/jid.ts'
import { Account, type Device } from './account.ts'
import { assertValidKeys } from './key-validation.ts'
import type { AccountSpec } from './peer.ts'

/** Everybody who has an account, by phone number and by LID. */
export class AccountRegistry {
  readonly #clock: () => number
  readonly #byPn = new Map<string, Account>()
  readonly #byLid = new Map<string, Account>()

  constructor(clock: () => number) {
    this.#clock = clock
  }

  /** Creates an account with its phone as device 0. Throws a RangeError for a bad or taken number or LID, or bad keys. */
  create(spec: AccountSpec, createdAt = this.#clock()): Account {
    if (!/^[1-9]\d{5,14}$/.test(spec.pn)) throw new RangeError(`not a phone number: ${spec.pn}`)
    if (this.#byPn.has(spec.pn)) throw new RangeError(`the number ${spec.pn} has an account already`)
    const lid = spec.lid ?? this.#deriveLid(spec.pn)
    if (!/^[1-9]\d{5,19}$/.test(lid)) throw new RangeError(`not a LID: ${lid}`)
    if (this.#byLid.has(lid)) throw new RangeError(`the LID ${lid} belongs to another account`)
    assertValidKeys(spec.primary)
    const account = new Account({ ...spec, lid }, createdAt)
    this.#byPn.set(account.pn, account)
    this.#byLid.set(account.lid, account)
    return account
  }

  /** Forgets an account; numbers of deleted accounts are unknown to usync. The caller closes its connections first. */
  delete(account: Account): void {
    this.#byPn.delete(account.pn)
    this.#byLid.delete(account.lid)
  }

  byPn(pn: string): Account | undefined {
    return this.#byPn.get(pn)
  }

  byLid(lid: string): Account | undefined {
    return this.#byLid.get(lid)
  }

  /** The account that any address of it names, by phone number or LID, with or without a device. */
  byJid(jid: string | undefined): Account | undefined {
    const parsed = parseJid(jid)
    if (parsed === undefined) return undefined
    if (parsed.server === 'lid') return this.#byLid.get(parsed.user)
    return parsed.server === 's.whatsapp.net' || parsed.server === 'c.us' ? this.#byPn.get(parsed.user) : undefined
  }

  deviceByJid(jid: string | undefined): Device | undefined {
    return this.byJid(jid)?.devices.get(parseJid(jid)!.device)
  }

  list(): readonly Account[] {
    return Array.from(this.#byPn.values())
  }

  /** 15 digits that look nothing like the number, the same on every run. */
  #deriveLid(pn: string): string {
    for (let attempt = 0n; ; attempt += 1n) {
      const mixed = ((BigInt(pn) + attempt) * 6364136223846793005n + 1442695040888963407n) % 900_000_000_000_000n
      const lid = String(100_000_000_000_000n + mixed)
      if (!this.#byLid.has(lid)) return lid
    }
  }
}
