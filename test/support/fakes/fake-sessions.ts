import type { EngineSession, PasskeyAssertion, PasskeyStatus } from '../../../src/engine/index.ts'
import { ParleyError } from '../../../src/kernel/errors.ts'
import type {
  LinkOffer,
  LinkStart,
  LinkState,
  LiveStatus,
  ReconnectResult,
  SendRequest,
  SentMessage,
  Sessions,
} from '../../../src/sessions/index.ts'

type Call = readonly [method: string, ...rest: readonly unknown[]]

const OFFLINE: LiveStatus = {
  clientLoaded: false,
  isConnected: false,
  isLoggedIn: false,
  error: 'client not loaded',
}

/** Sessions that a test sets up by hand: who is linked and online, what linking offers, and what fails. */
export class FakeSessions implements Sessions {
  readonly calls: Call[] = []
  readonly live = new Map<string, LiveStatus>()
  readonly states = new Map<string, LinkState>()
  /** What the next call of that method throws. */
  readonly failures = new Map<string, ParleyError>()
  offer: LinkOffer = { code: '2@code,key,identity,secret', expiresAt: Date.UTC(2026, 0, 1, 0, 1) }
  reconnectResults: readonly ReconnectResult[] = []
  sent: SentMessage = { messageId: '3EB0AA', chat: '', status: 'server_ack', timestamp: 1_767_225_600 }

  goOnline(deviceId: string): void {
    this.live.set(deviceId, { clientLoaded: true, isConnected: true, isLoggedIn: true, error: '' })
  }

  status(deviceId: string): LiveStatus {
    return this.live.get(deviceId) ?? OFFLINE
  }

  count(): number {
    return this.live.size
  }

  async linkByQr(deviceId: string): Promise<LinkStart> {
    this.#called('linkByQr', deviceId)
    return this.#start(deviceId, 'waiting_for_scan')
  }

  async linkByCode(deviceId: string, phone: string): Promise<LinkStart> {
    this.#called('linkByCode', deviceId, phone)
    return this.#start(deviceId, 'waiting_for_code')
  }

  linkState(deviceId: string): LinkState {
    return this.states.get(deviceId) ?? { state: 'idle' }
  }

  passkeyStatus(deviceId: string): PasskeyStatus {
    return this.#passkey(deviceId)
  }

  async submitPasskey(deviceId: string, assertion: PasskeyAssertion): Promise<PasskeyStatus> {
    this.#called('submitPasskey', deviceId, assertion)
    return this.#move(deviceId, { state: 'confirm', confirmationCode: 'ABCD-2345' })
  }

  async confirmPasskey(deviceId: string): Promise<PasskeyStatus> {
    this.#called('confirmPasskey', deviceId)
    if (this.#passkey(deviceId).state !== 'confirm') throw new ParleyError('conflict', 'no code waits to be confirmed')
    return this.#move(deviceId, { state: 'done', confirmationCode: undefined })
  }

  async reconnect(deviceId: string): Promise<void> {
    this.#called('reconnect', deviceId)
    if (!this.live.has(deviceId)) throw new ParleyError('not_linked', 'the device is not linked')
  }

  async reconnectAll(): Promise<readonly ReconnectResult[]> {
    this.#called('reconnectAll')
    return this.reconnectResults
  }

  async logout(deviceId: string): Promise<void> {
    this.#called('logout', deviceId)
    if (!this.live.delete(deviceId)) throw new ParleyError('not_linked', 'the device is not linked')
  }

  async suspend(deviceId: string): Promise<void> {
    this.#called('suspend', deviceId)
  }

  async resume(deviceId: string): Promise<void> {
    this.#called('resume', deviceId)
  }

  async remove(deviceId: string): Promise<void> {
    this.#called('remove', deviceId)
    this.live.delete(deviceId)
  }

  async send(deviceId: string, request: SendRequest): Promise<SentMessage> {
    this.#called('send', deviceId, request)
    if (!this.live.has(deviceId)) throw new ParleyError('not_linked', 'the device is not linked')
    return { ...this.sent, chat: request.chat }
  }

  /** Every call on it is noted as `connection.<method>`. */
  async connection(deviceId: string): Promise<EngineSession> {
    if (!this.live.has(deviceId)) throw new ParleyError('not_linked', 'the device is not linked')
    const note =
      (method: string | symbol) =>
      async (...rest: unknown[]) =>
        this.#called(`connection.${String(method)}`, deviceId, ...rest)
    return new Proxy({} as EngineSession, { get: (_, method) => (method === 'then' ? undefined : note(method)) })
  }

  async resolve(deviceId: string, chat: string): Promise<{ readonly jid: string }> {
    this.#called('resolve', deviceId, chat)
    if (!this.live.has(deviceId)) throw new ParleyError('not_linked', 'the device is not linked')
    return { jid: chat }
  }

  async watchPresence(deviceId: string, jid: string): Promise<void> {
    this.#called('watchPresence', deviceId, jid)
  }

  #start(deviceId: string, state: 'waiting_for_scan' | 'waiting_for_code'): LinkStart {
    if (this.live.has(deviceId)) return { kind: 'already_linked' }
    this.states.set(deviceId, { state, offer: this.offer })
    return { kind: 'offer', offer: this.offer }
  }

  #passkey(deviceId: string): PasskeyStatus {
    const link = this.linkState(deviceId)
    if (link.state !== 'passkey_required') throw new ParleyError('conflict', 'no linking is waiting for a passkey')
    return link.passkey
  }

  #move(deviceId: string, change: Pick<PasskeyStatus, 'state' | 'confirmationCode'>): PasskeyStatus {
    const passkey = { ...this.#passkey(deviceId), ...change }
    this.states.set(deviceId, { state: 'passkey_required', passkey })
    return passkey
  }

  #called(method: string, ...rest: readonly unknown[]): void {
    this.calls.push([method, ...rest])
    const failure = this.failures.get(method)
    this.failures.delete(method)
    if (failure) throw failure
  }
}
