import type { CloseCause, EngineSignal, LinkRequest, PasskeyStatus } from '../engine/index.ts'
import type { Clock } from '../kernel/clock.ts'
import { ParleyError } from '../kernel/errors.ts'
import type { LinkOffer, LinkState, PairingFailure } from './index.ts'

/**
 * The linking of one device, from the first connection to the first login.
 *
 *   connecting -> waiting_for_scan | waiting_for_code -> finishing -> linked
 *                        |      \-> passkey_required -/      |
 *                        v                v                  v
 *                     failed (version_rejected, expired, network, rejected, passkey_required, too_many_devices)
 *
 * Every state but the last two has a deadline. A new code replaces the offer; the callers who wait for the first one are
 * answered when it comes, or told why there is none.
 */
export class Pairing {
  readonly request: LinkRequest
  readonly #clock: Clock
  readonly #passkey: () => PasskeyStatus | undefined
  readonly #onDeadline: (reason: PairingFailure) => void
  readonly #first = Promise.withResolvers<LinkOffer>()
  #state: LinkState = { state: 'connecting' }
  #cancelDeadline: () => void = () => undefined
  #versionRefreshed = false

  constructor(deps: {
    readonly request: LinkRequest
    readonly clock: Clock
    /** How the passkey part stands, from the engine. */
    readonly passkey: () => PasskeyStatus | undefined
    /** A deadline passed: the owner closes the connection. `fail` has been called already. */
    readonly onDeadline: (reason: PairingFailure) => void
  }) {
    this.request = deps.request
    this.#clock = deps.clock
    this.#passkey = deps.passkey
    this.#onDeadline = deps.onDeadline
    // nobody may be waiting when it fails
    this.#first.promise.catch(() => undefined)
    this.#enter({ state: 'connecting' }, CONNECT_DEADLINE_MS, 'network')
  }

  get state(): LinkState {
    const passkey = this.#state.state === 'passkey_required' ? this.#passkey() : undefined
    return passkey ? { state: 'passkey_required', passkey } : this.#state
  }

  /**
   * Whether a caller who wants this joins what is under way. Once the phone has taken the code, asking for a QR code must
   * not undo that: the page that shows the passkey steps asks so. A new pairing code does begin anew.
   */
  takesIn(request: LinkRequest): boolean {
    if (this.#state.state === 'finishing') return true
    return request.method === 'qr' && (this.request.method === 'qr' || this.#state.state === 'passkey_required')
  }

  get isOver(): boolean {
    return this.#state.state === 'linked' || this.#state.state === 'failed'
  }

  /** The offer to show now, or the first one when it comes. @throws pairing_failed, conflict */
  offer(): Promise<LinkOffer> {
    const { state } = this.#state
    if (this.#state.state === 'waiting_for_scan' || this.#state.state === 'waiting_for_code')
      return Promise.resolve(this.#state.offer)
    if (state === 'passkey_required')
      return Promise.reject(
        new ParleyError('conflict', 'the code was taken; the linking now waits for a passkey', { data: { state } }),
      )
    if (state === 'finishing')
      return Promise.reject(
        new ParleyError('conflict', 'the code was taken; the linking is being finished', { data: { state } }),
      )
    return this.#first.promise
  }

  /** Takes what the engine says; `closed` goes to `onClosed`. */
  onSignal(signal: EngineSignal): void {
    if (this.isOver) return
    switch (signal.type) {
      case 'qr':
      case 'pairing_code': {
        const offer = { code: signal.code, expiresAt: signal.expiresAt }
        const state = signal.type === 'qr' ? 'waiting_for_scan' : 'waiting_for_code'
        this.#enter({ state, offer }, signal.expiresAt - this.#clock.now() + GRACE_MS, 'expired')
        this.#first.resolve(offer)
        return
      }
      case 'passkey_required':
        this.#enter(
          { state: 'passkey_required', passkey: this.#passkey() ?? waitingForAssertion(signal) },
          signal.expiresAt - this.#clock.now() + GRACE_MS,
          'passkey_required',
        )
        return
      case 'paired':
        this.#enter({ state: 'finishing' }, FINISH_DEADLINE_MS, 'network')
        return
      case 'open':
        return
      default:
        return
    }
  }

  /** The device is logged in. */
  succeed(jid: string): void {
    this.#enter({ state: 'linked', jid })
  }

  /**
   * The linking connection ended. `retry` = open another one (an outdated client, once, with a refreshed version);
   * `restart` = the phone agreed, log in now; `over` = it failed, and the state says why.
   */
  onClosed(cause: CloseCause): 'retry' | 'restart' | 'over' {
    if (this.isOver) return 'over'
    if (this.#state.state === 'finishing')
      return cause.kind === 'logged_out'
        ? this.#over('rejected', 'the account refused this device right after linking')
        : 'restart'
    switch (cause.kind) {
      case 'outdated':
        if (!this.#versionRefreshed) {
          this.#versionRefreshed = true
          this.#enter({ state: 'connecting' }, CONNECT_DEADLINE_MS, 'network')
          return 'retry'
        }
        return this.#over('version_rejected', 'WhatsApp does not accept the client version')
      case 'codes_used_up':
        return this.#over('expired', 'no phone took the code in time')
      case 'pairing_error':
        return this.#over('rejected', cause.message)
      case 'refused':
        return TOO_MANY_DEVICES.test(cause.message)
          ? this.#over('too_many_devices', 'the account has as many linked devices as it may have')
          : this.#over('rejected', `WhatsApp refused the linking (${cause.code})`)
      case 'network':
      case 'keepalive_timeout':
        // while codes are shown the service ends the connection when it runs out of them
        return this.#state.state === 'connecting'
          ? this.#over(
              'network',
              `WhatsApp could not be reached${cause.kind === 'network' ? `: ${cause.message}` : ''}`,
            )
          : this.#over('network', 'the connection was lost during linking')
      case 'local':
        return this.#over('expired', cause.message)
      default:
        return this.#over('rejected', `WhatsApp ended the linking (${cause.kind})`)
    }
  }

  fail(reason: PairingFailure, message: string): void {
    if (!this.isOver) this.#over(reason, message)
  }

  #over(reason: PairingFailure, message: string): 'over' {
    this.#enter({ state: 'failed', reason, message })
    this.#first.reject(new ParleyError('pairing_failed', message, { data: { reason } }))
    return 'over'
  }

  #enter(state: LinkState, deadlineMs?: number, reason: PairingFailure = 'expired'): void {
    this.#cancelDeadline()
    this.#cancelDeadline = () => undefined
    this.#state = state
    if (deadlineMs !== undefined)
      this.#cancelDeadline = this.#clock.after(deadlineMs, () => {
        this.#over(reason, DEADLINE_WORDS[reason] ?? 'the linking took too long')
        this.#onDeadline(reason)
      })
  }
}

const CONNECT_DEADLINE_MS = 40_000
const FINISH_DEADLINE_MS = 90_000
/** The service ends a linking by itself; this is how long we wait for it beyond the last code. */
const GRACE_MS = 10_000

const TOO_MANY_DEVICES = /too many (linked )?devices|device limit/i

const DEADLINE_WORDS: Partial<Record<PairingFailure, string>> = {
  network: 'WhatsApp did not answer in time',
  expired: 'no phone took the code in time',
  passkey_required: 'the account demands a passkey and no assertion was handed over in time',
}

const waitingForAssertion = (signal: Extract<EngineSignal, { type: 'passkey_required' }>): PasskeyStatus => ({
  state: 'waiting_for_assertion',
  options: signal.options,
  confirmationCode: undefined,
  expiresAt: signal.expiresAt,
})
