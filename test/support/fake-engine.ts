import type {
  Account,
  CloseCause,
  Engine,
  EngineSession,
  EngineSignal,
  OpenSession,
  PasskeyStatus,
  SendOutcome,
  SendText,
} from '../../src/engine/index.ts'

/** An engine whose sessions the test moves by hand. */
export class FakeEngine implements Engine {
  version: readonly [number, number, number] = [2, 3000, 1]
  readonly sessions: FakeSession[] = []
  readonly accounts = new Map<string, Account>()
  readonly forgotten: string[] = []
  failure: Error | undefined

  async open(request: OpenSession): Promise<EngineSession> {
    if (this.failure) throw this.failure
    const session = new FakeSession(request, this.accounts.get(request.deviceId))
    this.sessions.push(session)
    session.signal({ type: 'connecting' })
    return session
  }

  async storedAccount(deviceId: string): Promise<Account | undefined> {
    return this.accounts.get(deviceId)
  }

  async forget(deviceId: string): Promise<void> {
    this.forgotten.push(deviceId)
    this.accounts.delete(deviceId)
  }

  /** The newest session. */
  get last(): FakeSession {
    return this.sessions.at(-1)!
  }
}

export class FakeSession implements EngineSession {
  readonly deviceId: string
  readonly request: OpenSession
  account: Account | undefined
  closed: CloseCause | undefined
  readonly sent: SendText[] = []
  readonly resent: string[] = []
  outcome: SendOutcome = { outcome: 'server_ack', timestamp: 1 }
  sendFailure: Error | undefined
  passkeyStatus: PasskeyStatus | undefined
  loggedOut = false

  constructor(request: OpenSession, account: Account | undefined) {
    this.deviceId = request.deviceId
    this.request = request
    this.account = request.link ? undefined : account
  }

  readonly passkey = {
    status: () => this.passkeyStatus,
    submit: async () => this.passkeyStatus!,
    confirm: async () => this.passkeyStatus!,
  }

  signal(signal: EngineSignal): void {
    this.request.onSignal(signal)
  }

  /** As the service would end it. */
  end(cause: CloseCause): void {
    if (this.closed) return
    this.closed = cause
    this.signal({ type: 'closed', cause })
  }

  async sendText(
    message: SendText,
    _ackTimeoutMs: number,
    built: (content: Uint8Array) => Promise<void>,
  ): Promise<SendOutcome> {
    await built(Buffer.from(message.text))
    this.sent.push(message)
    if (this.sendFailure) throw this.sendFailure
    return this.outcome
  }

  async resend(messageId: string): Promise<SendOutcome> {
    this.resent.push(messageId)
    return this.outcome
  }

  async lookUpPhone(phone: string) {
    return phone.startsWith('999') ? undefined : { jid: `${phone}@s.whatsapp.net`, lid: undefined }
  }

  async sendPresence(): Promise<void> {
    await Promise.resolve()
  }

  async sendChatState(): Promise<void> {
    await Promise.resolve()
  }

  async markRead(): Promise<void> {
    await Promise.resolve()
  }

  async logout(): Promise<void> {
    this.loggedOut = true
    this.end({ kind: 'logged_out' })
  }

  close(cause: CloseCause): void {
    queueMicrotask(() => this.end(cause))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.end({ kind: 'local', message: 'disposed' })
  }
}
