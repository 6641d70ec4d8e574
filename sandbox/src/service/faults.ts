import type { Account, Device } from './account.ts'

/** How a connected device loses its connection. */
export type Disconnect =
  | { readonly kind: 'close' }
  /** Half open: the socket stays, but nothing is read or written any more. */
  | { readonly kind: 'stall' }
  | { readonly kind: 'stream_error'; readonly code: number }
  | { readonly kind: 'replaced' }
  | { readonly kind: 'device_removed' }
  | { readonly kind: 'failure'; readonly reason: number; readonly expireSeconds?: number }
  | { readonly kind: 'xmlstreamend' }

export type TamperTarget =
  | 'enc' // one bit of the next encrypted payload to a device
  | 'certificate' // the signature of the intermediate Noise certificate, at the next handshakes
  | 'adv_hmac' // the HMAC of the next pair-success blobs
  | 'adv_account_signature' // the account signature in the next pair-success blobs
  | 'signed_pre_key' // the signature in the next key bundles fetched of an account
  | 'device_account_signature' // the account's signature in the device identity that comes with the next first messages
  | 'device_signature' // the device's own in the same place
  | 'plaintext' // the next encrypted payloads to a device are replaced by a text in the clear
  | 'app_state_patch_mac' // of the next patches of the app state that a companion fetches: the MAC of a patch,
  | 'app_state_snapshot_mac' // the MAC of the state after it,
  | 'app_state_value' // an encrypted value,
  | 'app_state_value_mac' // the MAC of a value,
  | 'app_state_index_mac' // or the MAC of an index

/** A fault waiting for its occasions. `account` restricts it to that account's devices; `times` is 1 when absent. */
export type Fault = { readonly account?: Account; readonly times?: number } & (
  | { readonly kind: 'fail_login'; readonly reason: number; readonly expireSeconds?: number }
  | { readonly kind: 'fail_registration'; readonly reason: number; readonly expireSeconds?: number }
  /** Error ack for messages to that user or group (any address of it; every message when absent). */
  | { readonly kind: 'reject_message'; readonly code: number; readonly to?: string }
  /** Messages are accepted and delivered, but their sender (in `account`, or `device` alone) gets no ack. */
  | { readonly kind: 'swallow_ack'; readonly device?: Device }
  /** Messages are thrown away and their sender gets no ack. */
  | { readonly kind: 'drop_message'; readonly device?: Device }
  /** The next stanzas to a device of `account` are delivered twice. */
  | { readonly kind: 'duplicate' }
  /** The next stanza to a device of `account` is held back until after the one that follows it. */
  | { readonly kind: 'reorder' }
  /** IQs of this namespace get this error instead of an answer; code 0: no answer at all. */
  | { readonly kind: 'fail_iq'; readonly xmlns: string; readonly code: number }
  | { readonly kind: 'tamper'; readonly target: TamperTarget }
)

export type FaultKind = Fault['kind']

export interface ArmedFault {
  readonly id: number
  readonly fault: Fault
  /** Occasions left. */
  readonly left: number
}

/** Faults that tests arm and the service's own code paths ask for. An empty list costs one comparison per stanza. */
export class Faults {
  readonly #disconnect: (device: Device, how: Disconnect) => boolean
  #armed: { id: number; fault: Fault; left: number }[] = []
  #nextId = 1

  constructor(disconnect: (device: Device, how: Disconnect) => boolean) {
    this.#disconnect = disconnect
  }

  /** Ends or stalls the connection a device has now; false when it has none. */
  disconnect(device: Device, how: Disconnect): boolean {
    return this.#disconnect(device, how)
  }

  /** Arms a fault; the id takes it back. */
  arm(fault: Fault): number {
    const id = this.#nextId
    this.#nextId += 1
    this.#armed.push({ id, fault, left: fault.times ?? 1 })
    return id
  }

  disarm(id: number): boolean {
    const before = this.#armed.length
    this.#armed = this.#armed.filter((armed) => armed.id !== id)
    return this.#armed.length < before
  }

  /** Whether any fault is armed: false spares its callers the preparation. */
  get armed(): boolean {
    return this.#armed.length > 0
  }

  list(): readonly ArmedFault[] {
    return this.#armed.map((armed) => ({ ...armed }))
  }

  clear(): void {
    this.#armed = []
  }

  /** Uses up one occasion of the first armed fault of this kind that fits; undefined when none does. */
  take<K extends FaultKind>(
    kind: K,
    account?: Account,
    fits: (fault: Extract<Fault, { kind: K }>) => boolean = () => true,
  ): Extract<Fault, { kind: K }> | undefined {
    if (this.#armed.length === 0) return undefined
    const armed = this.#armed.find(
      ({ fault }) =>
        fault.kind === kind &&
        (fault.account === undefined || fault.account === account) &&
        fits(fault as Extract<Fault, { kind: K }>),
    )
    if (armed === undefined) return undefined
    armed.left -= 1
    if (armed.left <= 0) this.disarm(armed.id)
    return armed.fault as Extract<Fault, { kind: K }>
  }

  /**
   * `bytes`, with one bit flipped when a `tamper` fault for this target is armed: the twelfth byte from the end. The very
   * last ones of a pkmsg are ids that no MAC covers, and that nobody looks at where a session is open already.
   */
  tamper(target: TamperTarget, account: Account | undefined, bytes: Uint8Array): Uint8Array {
    if (this.take('tamper', account, (fault) => fault.target === target) === undefined) return bytes
    const copy = Buffer.from(bytes)
    copy[Math.max(0, copy.length - 12)]! ^= 1
    return copy
  }
}
