import type { Account, Engine, EngineSession, EngineSignal, Intake, LinkRequest } from '../engine/index.ts'
import type { Backoff } from '../kernel/backoff.ts'
import { isParleyError, messageOf } from '../kernel/errors.ts'
import type { Semaphore } from '../kernel/semaphore.ts'
import type { LinkStart, LinkState, LiveStatus, PairingFailure } from './index.ts'
import { OpenWaiters } from './open-waiters.ts'
import { Pairing } from './pairing.ts'
import { nextStep } from './reconnect-policy.ts'
import { type RecorderDeps, StateRecorder } from './state-recorder.ts'

export interface DeviceSessionDeps extends RecorderDeps {
  readonly proxyUrl: string | undefined
  readonly engine: Engine
  readonly intake: Intake
  readonly backoff: Backoff
  /** Bounds how many devices connect at once. */
  readonly gate: Semaphore
  readonly refreshVersion: () => Promise<void>
  /** Called with each open connection: what waited to be sent goes out. */
  readonly onOpen: (session: DeviceSession) => void
  readonly onLateAck: (ack: Extract<EngineSignal, { type: 'late_ack' }>) => void
}

/** How long a login may take before the connection is given up. */
const LOGIN_DEADLINE_MS = 60_000

/**
 * The life of one device in this process.
 *
 *   idle --link--> linking --paired, 515--> connecting --success--> open
 *   idle --start-> connecting <--delay-- waiting <--lost-- open
 *   open --401--> idle (forgotten)     open --440, 403, 406, local--> stopped --reconnect--> connecting
 *
 * There is at most one engine session at any time: a new one is opened only after the old one said `closed`. What an
 * old one still says is not heard.
 */
export class DeviceSession {
  readonly deviceId: string
  readonly #deps: DeviceSessionDeps
  readonly #recorder: StateRecorder
  readonly #waiters: OpenWaiters
  #phase: 'idle' | 'linking' | 'connecting' | 'open' | 'waiting' | 'stopped' = 'idle'
  #stopReason = ''
  #engine: EngineSession | undefined
  /** Counts engine sessions: what an earlier one still says is not heard. */
  #generation = 0
  /** Settles when the current engine session has closed. */
  #closed: Promise<void> = Promise.resolve()
  #account: Account | undefined
  #pairing: Pairing | undefined
  #failures = 0
  #attempt = 0
  #keepaliveLost = false
  #cancelRetry: () => void = () => undefined
  #forgetting: Promise<void> = Promise.resolve()
  #disposed = false

  constructor(deps: DeviceSessionDeps, account: Account | undefined) {
    this.deviceId = deps.deviceId
    this.#deps = deps
    this.#recorder = new StateRecorder(deps)
    this.#waiters = new OpenWaiters(deps.clock)
    this.#account = account
  }

  get account(): Account | undefined {
    return this.#account
  }

  /** The connection, when messages can be sent over it. */
  get connection(): EngineSession | undefined {
    return this.#phase === 'open' ? this.#engine : undefined
  }

  get status(): LiveStatus {
    const isLoggedIn = this.#account !== undefined
    const isConnected = this.#phase === 'open'
    const clientLoaded = this.#phase !== 'idle'
    const error = isConnected
      ? ''
      : this.#phase === 'stopped' && this.#stopReason !== ''
        ? `client not connected: ${this.#stopReason}`
        : isLoggedIn
          ? 'client not connected'
          : 'client not logged in'
    return { clientLoaded, isConnected, isLoggedIn, error }
  }

  get linkState(): LinkState {
    if (this.#pairing) return this.#pairing.state
    return this.#account ? { state: 'linked', jid: this.#account.jid } : { state: 'idle' }
  }

  get pairing(): Pairing | undefined {
    return this.#pairing?.isOver ? undefined : this.#pairing
  }

  /** The engine session of a linking that is under way. */
  get linkingSession(): EngineSession | undefined {
    return this.pairing ? this.#engine : undefined
  }

  /** Connects a linked device; does nothing when it is connecting or open. */
  start(): void {
    if (this.#disposed || !this.#account) return
    if (this.#phase === 'open' || this.#phase === 'connecting' || this.#phase === 'linking') return
    this.#cancelRetry()
    void this.#connect()
  }

  /** Starts linking, or joins the linking of the same kind that is under way. */
  async link(request: LinkRequest): Promise<LinkStart> {
    if (this.#account) {
      this.start()
      return { kind: 'already_linked' }
    }
    const running = this.pairing
    if (running?.takesIn(request)) return { kind: 'offer', offer: await running.offer() }
    if (running) {
      const message = 'another linking took its place'
      running.fail('expired', message)
      this.#engine?.close({ kind: 'local', message })
      this.#engine = undefined
      this.#generation++
    }
    const pairing = new Pairing({
      request,
      clock: this.#deps.clock,
      passkey: () => this.#engine?.passkey.status(),
      onDeadline: (reason) => this.#onPairingDeadline(pairing, reason),
    })
    this.#pairing = pairing
    this.#phase = 'linking'
    // two callers that come at once: the second finds the first one's pairing above, and one socket is opened
    void this.#openForLinking(pairing)
    return { kind: 'offer', offer: await pairing.offer() }
  }

  /** Resolves when open; @throws not_connected when it does not come about within `timeoutMs` */
  waitUntilOpen(timeoutMs: number): Promise<void> {
    return this.#phase === 'open' ? Promise.resolve() : this.#waiters.wait(timeoutMs)
  }

  /** True when a connection is there or being made or planned. */
  get isComing(): boolean {
    return this.#phase === 'open' || this.#phase === 'connecting' || this.#phase === 'waiting'
  }

  /** Closes what is open and connects again. @throws not_connected */
  async reconnect(timeoutMs: number): Promise<void> {
    this.#cancelRetry()
    const engine = this.#engine
    this.#phase = 'stopped'
    engine?.close({ kind: 'local', message: 'reconnect' })
    await this.#closed
    this.#failures = 0
    this.start()
    await this.waitUntilOpen(timeoutMs)
  }

  /** Logs out on WhatsApp where it can, and forgets the account. */
  async logout(): Promise<void> {
    this.#cancelRetry()
    const connection = this.connection
    if (connection)
      await connection.logout().catch((error: unknown) => {
        this.#deps.logger.warn(
          { device_id: this.deviceId, reason: messageOf(error) },
          'logout was not confirmed by WhatsApp',
        )
      })
    this.#engine?.close({ kind: 'logged_out' })
    await this.#closed
    // a connection that closed as logged out has done this already
    if (this.#account) void this.#forget({ type: 'closed', cause: { kind: 'logged_out' } })
    await this.#forgetting
  }

  /** Ends the connection and every plan, without touching the account. */
  async dispose(): Promise<void> {
    this.#disposed = true
    this.#cancelRetry()
    this.#pairing?.fail('expired', 'the gateway is stopping')
    this.#phase = 'stopped'
    this.#engine?.close({ kind: 'local', message: 'stopping' })
    await this.#closed
    await this.#recorder.end()
  }

  async #openForLinking(pairing: Pairing): Promise<void> {
    await this.#closed
    if (this.#pairing !== pairing || pairing.isOver) return
    await this.#open(pairing.request)
  }

  async #connect(): Promise<void> {
    this.#phase = 'connecting'
    const { gate, clock } = this.#deps
    await gate.run(async () => {
      await this.#closed
      if (this.#phase !== 'connecting' || this.#disposed) return
      await this.#open(undefined)
      // the permit is held until the login is decided, so that a thousand devices do not log in at once
      const cancel = clock.after(LOGIN_DEADLINE_MS, () => {
        if (this.#phase === 'connecting') this.#engine?.close({ kind: 'network', message: 'the login took too long' })
      })
      await Promise.race([this.waitUntilOpen(LOGIN_DEADLINE_MS + 10_000).catch(() => undefined), this.#closed])
      cancel()
    })
  }

  async #open(link: LinkRequest | undefined): Promise<void> {
    const { engine, deviceId, proxyUrl, intake } = this.#deps
    const closed = Promise.withResolvers<void>()
    this.#closed = closed.promise
    const generation = ++this.#generation
    let wasOpen = false
    let isOver = false
    const onSignal = (signal: EngineSignal) => {
      if (signal.type === 'open') wasOpen = true
      if (signal.type === 'closed') isOver = true
      if (generation === this.#generation) this.#onSignal(signal, wasOpen)
      if (signal.type === 'closed') closed.resolve()
    }
    try {
      const session = await engine.open({
        deviceId,
        intake,
        onSignal,
        signalsStored: () => this.#recorder.settled(),
        ...(link ? { link } : {}),
        ...(proxyUrl ? { proxyUrl } : {}),
      })
      if (generation === this.#generation && !isOver) this.#engine = session
      if (generation !== this.#generation || this.#disposed) session.close({ kind: 'local', message: 'stopping' })
    } catch (error) {
      const kind = isParleyError(error, 'data_damaged') ? 'keys_damaged' : 'network'
      onSignal({ type: 'closed', cause: { kind, message: messageOf(error) } })
    }
  }

  #onSignal(signal: EngineSignal, wasOpen: boolean): void {
    if (signal.type === 'late_ack') this.#deps.onLateAck(signal)
    else if (signal.type === 'closed') this.#onClosed(signal, wasOpen)
    else this.#onProgress(signal, wasOpen)
  }

  #onProgress(signal: EngineSignal, wasOpen: boolean): void {
    this.#pairing?.onSignal(signal)
    this.#tell(signal, wasOpen)
    if (signal.type === 'open') this.#onOpen()
    if (signal.type === 'push_name' && this.#account) {
      this.#account = { ...this.#account, pushName: signal.name }
      this.#recorder.save({ pushName: signal.name })
    }
  }

  #onOpen(): void {
    this.#phase = 'open'
    this.#failures = 0
    this.#attempt = 0
    this.#account = this.#engine?.account ?? this.#account
    const account = this.#account
    if (account) {
      this.#recorder.save({
        jid: account.jid,
        lid: account.lid,
        status: 'active',
        statusReason: undefined,
        lastActiveAt: this.#deps.clock.now(),
        ...(account.pushName ? { pushName: account.pushName } : {}),
      })
      this.#pairing?.succeed(account.jid)
    }
    this.#pairing = undefined
    if (this.#keepaliveLost) {
      this.#keepaliveLost = false
      this.#tell({ type: 'keepalive_restored' }, true)
    }
    this.#waiters.open()
    this.#deps.onOpen(this)
  }

  #onClosed(signal: Extract<EngineSignal, { type: 'closed' }>, wasOpen: boolean): void {
    const { cause } = signal
    const { clock } = this.#deps
    this.#account = this.#engine?.account ?? this.#account
    this.#engine = undefined
    if (cause.kind === 'keepalive_timeout') {
      this.#keepaliveLost = true
      this.#tell({ type: 'keepalive_missed', count: 1, lastHeardAt: clock.now() }, wasOpen)
    }
    const pairing = this.pairing
    if (pairing) this.#onPairingClosed(pairing, signal)
    else if (this.#phase === 'linking') this.#phase = 'idle'
    else if (this.#phase !== 'stopped' && !this.#disposed) this.#onLost(signal, wasOpen)
  }

  #onLost(signal: Extract<EngineSignal, { type: 'closed' }>, wasOpen: boolean): void {
    const { cause } = signal
    if (cause.kind !== 'restart_required') this.#tell(signal, wasOpen)
    const next = nextStep(cause, this.#failures, {
      backoff: this.#deps.backoff,
      now: this.#deps.clock.now(),
      random: this.#deps.random,
    })
    if (!wasOpen) this.#failures++
    if (next.step === 'forget') void this.#forget(undefined)
    else if (next.step === 'stop') this.#stop(next.reason)
    else {
      this.#recorder.save({ status: 'disconnected', statusReason: cause.kind })
      this.#planConnect(next.delayMs, next.refreshVersion)
    }
  }

  #onPairingClosed(pairing: Pairing, signal: Extract<EngineSignal, { type: 'closed' }>): void {
    switch (pairing.onClosed(signal.cause)) {
      case 'restart':
        // the account is stored; the login that follows is an ordinary connection
        if (!this.#account) {
          pairing.fail('network', 'the account could not be stored')
          this.#phase = 'idle'
          return
        }
        this.#phase = 'waiting'
        this.#planConnect(0, false)
        return
      case 'retry':
        void this.#deps.refreshVersion().finally(() => this.#openForLinking(pairing))
        return
      case 'over': {
        this.#phase = 'idle'
        const { state } = pairing
        if (state.state === 'failed') this.#tell(signal, false)
      }
    }
  }

  #onPairingDeadline(pairing: Pairing, reason: PairingFailure): void {
    if (this.#pairing !== pairing) return
    this.#engine?.close({ kind: 'local', message: reason })
    if (!this.#engine) this.#phase = this.#account ? this.#phase : 'idle'
  }

  #planConnect(delayMs: number, refreshVersion: boolean): void {
    this.#phase = 'waiting'
    this.#attempt = delayMs === 0 ? 0 : this.#attempt + 1
    const go = () => {
      if (this.#phase === 'waiting' && !this.#disposed) void this.#connect()
    }
    this.#cancelRetry = this.#deps.clock.after(delayMs, () => {
      if (refreshVersion) void this.#deps.refreshVersion().finally(go)
      else go()
    })
  }

  #stop(reason: string): void {
    this.#phase = 'stopped'
    this.#stopReason = reason
    this.#recorder.save({ status: 'disconnected', statusReason: reason || undefined })
    this.#waiters.refuse(reason || 'it was stopped')
  }

  #forget(signal: Extract<EngineSignal, { type: 'closed' }> | undefined): Promise<void> {
    this.#forgetting = this.#deleteAccount(signal)
    return this.#forgetting
  }

  async #deleteAccount(signal: Extract<EngineSignal, { type: 'closed' }> | undefined): Promise<void> {
    if (signal) this.#tell(signal, true)
    this.#account = undefined
    this.#phase = 'idle'
    this.#waiters.refuse('it was logged out')
    this.#recorder.save({ status: 'logged_out', statusReason: 'logged_out', jid: undefined, lid: undefined })
    await this.#recorder.settled()
    await this.#deps.engine.forget(this.deviceId).catch((error: unknown) => {
      this.#deps.logger.error({ device_id: this.deviceId, reason: messageOf(error) }, 'keys were not deleted')
    })
  }

  #tell(signal: EngineSignal, wasOpen: boolean): void {
    this.#recorder.tell(signal, {
      account: this.#account,
      wasOpen,
      attempt: this.#attempt,
      now: this.#deps.clock.now(),
    })
  }
}
