import type {
  Account,
  BuildMessage,
  CloseCause,
  Engine,
  EngineSession,
  EngineSignal,
  OpenSession,
  PasskeyStatus,
  SendMessage,
  SendOutcome,
} from '../../src/engine/index.ts'

/** An engine whose sessions the test moves by hand. */
export class FakeEngine implements Engine {
  readonly refusals = {}
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

  async describeMedia() {
    return undefined
  }

  async relocateMedia(content: Uint8Array): Promise<Uint8Array> {
    return content
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
  readonly sent: SendMessage[] = []
  onSend: (message: SendMessage) => SendOutcome | Promise<SendOutcome> = () => ({ outcome: 'server_ack', timestamp: 1 })
  passkeyStatus: PasskeyStatus | undefined
  loggedOut = false

  constructor(request: OpenSession, account: Account | undefined) {
    this.deviceId = request.deviceId
    this.request = request
    this.account = request.link ? undefined : account
  }

  readonly media = {
    upload: async () => {
      throw new Error('this engine has no media servers')
    },
    download: async () => {
      throw new Error('this engine has no media servers')
    },
    retry: async () => {
      throw new Error('this engine has no media servers')
    },
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

  build({ content }: BuildMessage): Uint8Array {
    return Buffer.from(JSON.stringify(content))
  }

  async send(message: SendMessage): Promise<SendOutcome> {
    this.sent.push(message)
    return this.onSend(message)
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

  readonly chatChanges: unknown[] = []
  async changeChat(...change: unknown[]): Promise<void> {
    this.chatChanges.push(change)
  }

  async subscribePresence(): Promise<void> {
    await Promise.resolve()
  }

  async setDefaultDisappearing(): Promise<void> {
    await Promise.resolve()
  }

  async defaultTimer(): Promise<undefined> {
    await Promise.resolve()
  }

  async groupTimer(): Promise<number> {
    return 0
  }

  async setGroupDisappearing(): Promise<void> {
    await Promise.resolve()
  }

  async roleIn(): Promise<'member' | 'admin' | undefined> {
    return 'member'
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
