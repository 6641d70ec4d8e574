import type { Account, Engine, EngineSession, PasskeyAssertion, PasskeyStatus } from '../engine/index.ts'
import type { Clock } from '../kernel/clock.ts'
import { isParleyError, messageOf, ParleyError } from '../kernel/errors.ts'
import { KeyedQueue } from '../kernel/keyed-queue.ts'
import type { Logger } from '../kernel/logger.ts'
import { Semaphore } from '../kernel/semaphore.ts'
import type { DeviceRepository, DeviceRow, SignalKeyRepository } from '../storage/index.ts'
import { DeviceSession, type DeviceSessionDeps } from './device-session.ts'
import type { LinkStart, LinkState, LiveStatus, ReconnectResult, SendRequest, SentMessage, Sessions } from './index.ts'
import { connectionOf, type MessageSender } from './message-sender.ts'
import type { Outbox } from './outbox.ts'
import type { Recipients } from './recipients.ts'

export interface RegistryOptions {
  readonly concurrency: number
  readonly jitterMaxMs: number
  readonly backoffBaseMs: number
  readonly backoffMaxMs: number
  /** Proxy of devices that have none of their own. */
  readonly proxyUrl: string | undefined
}

type Shared = Pick<DeviceSessionDeps, 'intake' | 'announce' | 'saveDevice' | 'refreshVersion'>

/** Login and coming back may take this long before `reconnect` answers that it did not. */
const RECONNECT_WAIT_MS = 30_000

/** Most people whose presence one device watches; whoever was asked for longest ago goes first. */
const MOST_WATCHED = 1_000

const UNLOADED: LiveStatus = { clientLoaded: false, isConnected: false, isLoggedIn: false, error: 'client not loaded' }

/** All devices of this process. A device has an entry from its first linking or its restoration on. */
export class SessionRegistry implements Sessions, AsyncDisposable {
  readonly #engine: Engine
  readonly #devices: DeviceRepository
  readonly #keys: SignalKeyRepository
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #random: () => number
  readonly #options: RegistryOptions
  readonly #shared: Shared
  readonly #sender: MessageSender
  readonly #outbox: Outbox
  readonly #recipients: Recipients
  /** Whose presence each device watches. */
  readonly #watched = new Map<string, Set<string>>()
  readonly #gate: Semaphore
  readonly #sessions = new Map<string, DeviceSession>()
  readonly #creating = new KeyedQueue<string>()
  readonly #stopping = new AbortController()

  constructor(
    deps: {
      readonly engine: Engine
      readonly devices: DeviceRepository
      readonly keys: SignalKeyRepository
      readonly messages: MessageSender
      readonly outbox: Outbox
      readonly recipients: Recipients
      readonly clock: Clock
      readonly logger: Logger
      readonly random: () => number
      readonly options: RegistryOptions
    } & Shared,
  ) {
    this.#engine = deps.engine
    this.#devices = deps.devices
    this.#keys = deps.keys
    this.#sender = deps.messages
    this.#outbox = deps.outbox
    this.#recipients = deps.recipients
    this.#clock = deps.clock
    this.#logger = deps.logger
    this.#random = deps.random
    this.#options = deps.options
    this.#shared = deps
    this.#gate = new Semaphore(deps.options.concurrency)
  }

  /** Brings every linked device back, spread over the jitter; answers how many there are. Does not wait for them. */
  async restore(): Promise<number> {
    const linked = new Set(await this.#keys.devicesWithCredentials())
    let restored = 0
    for (const row of await this.#devices.list()) {
      if (!linked.has(row.deviceId) || !row.keyActive) continue
      restored++
      void this.#clock
        .sleep(this.#random() * this.#options.jitterMaxMs, this.#stopping.signal)
        .then(() => this.#load(row.deviceId))
        .then((session) => session.start())
        .catch((error: unknown) => {
          if (!this.#stopping.signal.aborted)
            this.#logger.error({ device_id: row.deviceId, reason: messageOf(error) }, 'a device could not be restored')
        })
    }
    return restored
  }

  status(deviceId: string): LiveStatus {
    return this.#sessions.get(deviceId)?.status ?? UNLOADED
  }

  /** The linked account of a loaded device, from memory. */
  accountOf(deviceId: string) {
    return this.#sessions.get(deviceId)?.account
  }

  count(): number {
    let loaded = 0
    for (const session of this.#sessions.values()) if (session.status.clientLoaded) loaded++
    return loaded
  }

  async linkByQr(deviceId: string): Promise<LinkStart> {
    return (await this.#load(deviceId)).link({ method: 'qr' })
  }

  async linkByCode(deviceId: string, phone: string): Promise<LinkStart> {
    return (await this.#load(deviceId)).link({ method: 'code', phone })
  }

  linkState(deviceId: string): LinkState {
    return this.#sessions.get(deviceId)?.linkState ?? { state: 'idle' }
  }

  passkeyStatus(deviceId: string): PasskeyStatus {
    const status = this.#sessions.get(deviceId)?.linkingSession?.passkey.status()
    if (!status) throw new ParleyError('conflict', 'no linking is waiting for a passkey')
    return status
  }

  submitPasskey(deviceId: string, assertion: PasskeyAssertion): Promise<PasskeyStatus> {
    return this.#passkeyPort(deviceId, 'no linking is waiting for a passkey').submit(assertion)
  }

  confirmPasskey(deviceId: string): Promise<PasskeyStatus> {
    return this.#passkeyPort(deviceId, 'no code is waiting to be confirmed').confirm()
  }

  async reconnect(deviceId: string): Promise<void> {
    const session = await this.#load(deviceId)
    if (!session.account) throw new ParleyError('not_linked', 'the device is not linked to a WhatsApp account')
    await session.reconnect(RECONNECT_WAIT_MS)
  }

  async reconnectAll(): Promise<readonly ReconnectResult[]> {
    const linked = new Set(await this.#keys.devicesWithCredentials())
    const rows = await this.#devices.list()
    return Promise.all(rows.map((row) => this.#reconnectOne(row, linked.has(row.deviceId))))
  }

  async logout(deviceId: string): Promise<void> {
    const session = await this.#load(deviceId)
    if (!session.account) throw new ParleyError('not_linked', 'the device is not linked to a WhatsApp account')
    await session.logout()
  }

  async suspend(deviceId: string): Promise<void> {
    const session = this.#sessions.get(deviceId)
    this.#sessions.delete(deviceId)
    await session?.dispose()
  }

  async resume(deviceId: string): Promise<void> {
    try {
      const session = await this.#load(deviceId)
      session.start()
    } catch (error) {
      this.#logger.warn({ device_id: deviceId, reason: messageOf(error) }, 'a device was not resumed')
    }
  }

  async remove(deviceId: string): Promise<void> {
    try {
      const session = await this.#load(deviceId)
      if (session.account) await session.logout()
      await session.dispose()
      await this.#engine.forget(deviceId)
    } catch (error) {
      this.#logger.warn({ device_id: deviceId, reason: messageOf(error) }, 'a device was not removed cleanly')
    } finally {
      this.#sessions.delete(deviceId)
      this.#watched.delete(deviceId)
    }
  }

  async send(deviceId: string, request: SendRequest): Promise<SentMessage> {
    return this.#sender.send(await this.#load(deviceId), request)
  }

  async connection(deviceId: string): Promise<EngineSession> {
    return connectionOf(await this.#load(deviceId))
  }

  async resolve(deviceId: string, chat: string, field: string): Promise<{ readonly jid: string }> {
    return this.#recipients.resolve(await this.connection(deviceId), chat, field)
  }

  async watchPresence(deviceId: string, jid: string): Promise<void> {
    const connection = await this.connection(deviceId)
    await connection.subscribePresence(jid)
    const watched = this.#watched.get(deviceId) ?? new Set()
    watched.delete(jid)
    watched.add(jid)
    if (watched.size > MOST_WATCHED) watched.delete(watched.values().next().value!)
    this.#watched.set(deviceId, watched)
  }

  /** The open connection of a loaded device, if there is one now. */
  openConnectionOf(deviceId: string): EngineSession | undefined {
    return this.#sessions.get(deviceId)?.connection
  }

  /** Subscriptions to presence end with the connection. */
  async #watchAgain(device: DeviceSession): Promise<void> {
    for (const jid of this.#watched.get(device.deviceId) ?? []) await device.connection?.subscribePresence(jid)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new Error('stopping'))
    await Promise.all([...this.#sessions.values()].map((session) => session.dispose()))
    this.#sessions.clear()
  }

  #passkeyPort(deviceId: string, otherwise: string) {
    const session = this.#sessions.get(deviceId)?.linkingSession
    if (!session?.passkey.status()) throw new ParleyError('conflict', otherwise)
    return session.passkey
  }

  async #reconnectOne(row: DeviceRow, linked: boolean): Promise<ReconnectResult> {
    const base = { deviceId: row.deviceId, deviceName: row.deviceName }
    if (!linked) return { ...base, status: 'skipped', error: 'never logged in' }
    const session = await this.#load(row.deviceId)
    if (session.connection) return { ...base, status: 'already_connected' }
    try {
      session.start()
      await session.waitUntilOpen(RECONNECT_WAIT_MS)
      return { ...base, status: 'reconnected' }
    } catch (error) {
      return { ...base, status: 'failed', error: messageOf(error) }
    }
  }

  /** The session of a device, made once however many ask at the same time. */
  #load(deviceId: string): Promise<DeviceSession> {
    const loaded = this.#sessions.get(deviceId)
    if (loaded) return Promise.resolve(loaded)
    return this.#creating.run(deviceId, async () => {
      const again = this.#sessions.get(deviceId)
      if (again) return again
      this.#stopping.signal.throwIfAborted()
      const row = await this.#devices.get(deviceId)
      if (!row) throw new ParleyError('not_found', 'there is no such device')
      const account = await this.#accountOf(row)
      const { intake, announce, saveDevice, refreshVersion } = this.#shared
      const session = new DeviceSession(
        {
          deviceId,
          proxyUrl: row.proxyUrl ?? this.#options.proxyUrl,
          engine: this.#engine,
          intake,
          announce,
          saveDevice,
          refreshVersion,
          clock: this.#clock,
          logger: this.#logger,
          random: this.#random,
          gate: this.#gate,
          backoff: { baseMs: this.#options.backoffBaseMs, capMs: this.#options.backoffMaxMs, jitter: 'equal' },
          onOpen: (opened) => {
            this.#inBackground(deviceId, this.#outbox.recover(opened))
            this.#inBackground(deviceId, this.#watchAgain(opened))
          },
          onLateAck: (ack) => this.#inBackground(deviceId, this.#outbox.onLateAck(deviceId, ack)),
        },
        account,
      )
      this.#sessions.set(deviceId, session)
      return session
    })
  }

  /** Of damaged credentials as the device's row remembers it: the attempt to connect then tells what is wrong. */
  async #accountOf({ deviceId, jid, lid, pushName }: DeviceRow): Promise<Account | undefined> {
    try {
      return await this.#engine.storedAccount(deviceId)
    } catch (error) {
      if (!isParleyError(error, 'data_damaged') || jid === undefined) throw error
      return { jid, lid, pushName, platform: undefined, businessName: undefined }
    }
  }

  #inBackground(deviceId: string, work: Promise<void>): void {
    work.catch((error: unknown) => {
      this.#logger.error({ device_id: deviceId, reason: messageOf(error) }, 'work behind a connection failed')
    })
  }
}
