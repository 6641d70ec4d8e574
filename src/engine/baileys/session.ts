import {
  type AuthenticationCreds,
  type BinaryNode,
  type ConnectionState,
  jidDecode,
  jidNormalizedUser,
  proto,
  type WABrowserDescription,
  type WASocket,
} from 'baileys'
import type { Clock } from '../../kernel/clock.ts'
import { isParleyError, messageOf, ParleyError } from '../../kernel/errors.ts'
import { kindOfJid } from '../../kernel/jid.ts'
import type { Logger } from '../../kernel/logger.ts'
import type { ChatChange, ChatTimer } from '../../kernel/message-facts.ts'
import type {
  Account,
  BuildMessage,
  CloseCause,
  CoveredMessage,
  EngineSession,
  EngineSignal,
  LinkRequest,
  MediaPort,
  PasskeyPort,
  SendMessage,
  SendOutcome,
} from '../index.ts'
import { accountOf } from './account.ts'
import type { AppStateVersions } from './app-state-versions.ts'
import type { AuthStore } from './auth-store.ts'
import { buildMessage, stanzaExtras } from './build-message.ts'
import type { ChatChanges } from './chat-changes.ts'
import { toCloseCause } from './close-cause.ts'
import { noteDefaultTimer, readDefaultTimer, setDefaultTimer, timerOfAccount } from './default-timer.ts'
import { orTimeout, toEngineError } from './engine-errors.ts'
import { groupRole, groupTimer, setGroupDisappearing } from './group-facts.ts'
import type { Incoming } from './incoming.ts'
import type { LidMap } from './lid-map.ts'
import { requestPairingCode } from './pairing-code.ts'
import type { PasskeyLinking } from './passkey.ts'
import { askPhones, PhoneLookups } from './phone-lookups.ts'
import { assertDevices } from './recipient-devices.ts'
import { freeRelay } from './relay.ts'
import { SendAnswers } from './send-answers.ts'

/** WhatsApp shows the first QR code for 60 s, each later one for 20 s; a pairing code lives as long as all six together. */
const FIRST_QR_MS = 60_000
const NEXT_QR_MS = 20_000
const PAIRING_CODE_MS = 160_000
/** A message waits no longer to learn it. */
const DEFAULT_TIMER_WAIT_MS = 3_000

/**
 * One Baileys socket as an EngineSession. Everything Baileys tells about the connection becomes a signal here; `closed`
 * comes last and once, after all that was being stored is durable.
 */
export class BaileysSession implements EngineSession {
  readonly deviceId: string
  readonly passkey: PasskeyPort
  readonly media: MediaPort
  readonly #sock: WASocket
  readonly #auth: AuthStore
  readonly #incoming: Incoming
  readonly #chatChanges: ChatChanges
  readonly #versions: AppStateVersions
  readonly #lidMap: LidMap
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #link: LinkRequest | undefined
  readonly #browser: WABrowserDescription
  readonly #qrLifetimeMs: number | undefined
  readonly #onSignal: (signal: EngineSignal) => void
  readonly #onCause: (cause: CloseCause) => void
  readonly #passkey: PasskeyLinking
  readonly #answers: SendAnswers
  readonly #lookups: PhoneLookups
  readonly #relayMessage: WASocket['relayMessage']
  #toldName: string | undefined
  #defaultTimerAsked: Promise<void> | undefined
  #qrCount = 0
  #codeAsked = false
  #open = false
  #localCause: CloseCause | undefined
  #keyFailure: Error | undefined
  #closed = false

  constructor(deps: {
    readonly deviceId: string
    readonly sock: WASocket
    readonly auth: AuthStore
    readonly incoming: Incoming
    readonly chatChanges: ChatChanges
    readonly versions: AppStateVersions
    readonly lidMap: LidMap
    readonly passkey: PasskeyLinking
    readonly media: MediaPort
    readonly clock: Clock
    readonly logger: Logger
    readonly link: LinkRequest | undefined
    readonly browser: WABrowserDescription
    /** Most numbers that are asked about in one query. */
    readonly lookupBatchSize: number
    /** When the socket was told to show each code for this long. */
    readonly qrLifetimeMs?: number | undefined
    /** Told before the signal. */
    readonly onClosed: (cause: CloseCause) => void
    readonly onSignal: (signal: EngineSignal) => void
  }) {
    this.deviceId = deps.deviceId
    this.passkey = deps.passkey
    this.#passkey = deps.passkey
    this.media = deps.media
    this.#sock = deps.sock
    this.#auth = deps.auth
    this.#incoming = deps.incoming
    this.#chatChanges = deps.chatChanges
    this.#versions = deps.versions
    this.#lidMap = deps.lidMap
    this.#clock = deps.clock
    this.#logger = deps.logger
    this.#link = deps.link
    this.#browser = deps.browser
    this.#qrLifetimeMs = deps.qrLifetimeMs
    this.#onSignal = deps.onSignal
    this.#onCause = deps.onClosed
    this.#answers = new SendAnswers(deps.clock)
    this.#lookups = new PhoneLookups({
      ask: (phones) => askPhones(deps.sock, deps.lidMap, phones),
      batchSize: deps.lookupBatchSize,
    })
    this.#relayMessage = freeRelay(deps.sock)
    deps.sock.ev.on('connection.update', (update) => this.#onUpdate(update))
    deps.sock.ev.on('creds.update', (update) => this.#onCredentials(update))
    deps.sock.ws.on('CB:ack,class:message', (node: BinaryNode) => this.#onAck(node))
  }

  get account(): Account | undefined {
    return this.#auth.isDraft ? undefined : accountOf(this.#auth.creds)
  }

  build(message: BuildMessage): Uint8Array {
    const { me } = this.#auth.creds
    const own = { pn: jidNormalizedUser(me?.id), lid: me?.lid ? jidNormalizedUser(me.lid) : undefined }
    return buildMessage(message, own, this.#clock.now())
  }

  async send({ messageId, chat, content, again, ackTimeoutMs }: SendMessage): Promise<SendOutcome> {
    this.#assertOpen()
    try {
      // whoever missed the lost copy may have missed the sender key in it: hand it out again
      if (again && chat.endsWith('@g.us')) await this.#auth.keys.set({ 'sender-key-memory': { [chat]: null } })
      return await this.#relay(chat, proto.Message.decode(content), messageId, ackTimeoutMs)
    } catch (error) {
      // this message alone is what the database refused
      if (isParleyError(error, 'internal')) throw error
      // "all encryptions failed" is what Baileys makes of a storage that is away
      throw this.#keyFailure ?? toEngineError(error, 'sending a message')
    }
  }

  async #relay(chat: string, content: proto.IMessage, messageId: string, timeoutMs: number): Promise<SendOutcome> {
    if (isPerson(chat)) await assertDevices(this.#sock, chat, this.#ownUsers())
    // listening before sending: the answer may be quick
    const answer = this.#answers.expect(messageId, timeoutMs)
    try {
      await this.#relayMessage(chat, content, { messageId, ...stanzaExtras(content, chat) })
    } catch (error) {
      this.#answers.forget(messageId)
      throw error
    }
    const ack = await answer
    if (!ack) return { outcome: 'unknown' }
    if (ack.attrs.error) return { outcome: 'refused', whatsappCode: Number(ack.attrs.error) }
    return { outcome: 'server_ack', timestamp: Number(ack.attrs.t) || Math.floor(this.#clock.now() / 1000) }
  }

  async lookUpPhone(phone: string): Promise<{ jid: string; lid: string | undefined } | undefined> {
    const pn = `${phone}@s.whatsapp.net`
    const known = await this.#lidMap.storedLid(pn)
    if (known) return { jid: pn, lid: known }
    this.#assertOpen()
    return this.#lookups.find(phone)
  }

  async sendPresence(state: 'available' | 'unavailable'): Promise<void> {
    this.#assertOpen()
    // Baileys sends nothing then, and says nothing
    if (!this.#auth.creds.me?.name)
      throw new ParleyError('conflict', "the phone has not told the account's name yet; try again in a moment")
    await this.#quickly(() => this.#sock.sendPresenceUpdate(state), 'showing presence')
    this.#incoming.setActive(state === 'available')
  }

  async sendChatState(chat: string, state: 'composing' | 'recording' | 'paused'): Promise<void> {
    this.#assertOpen()
    await this.#quickly(() => this.#sock.sendPresenceUpdate(state, chat), 'showing typing')
  }

  async markRead(chat: string, sender: string | undefined, messageIds: readonly string[]): Promise<void> {
    this.#assertOpen()
    const keys = messageIds.map((id) => ({
      remoteJid: chat,
      id,
      fromMe: false,
      ...(sender && sender !== chat ? { participant: sender } : {}),
    }))
    try {
      await this.#sock.readMessages(keys)
    } catch (error) {
      throw toEngineError(error, 'marking messages as read')
    }
  }

  async changeChat(chat: string, change: ChatChange, last: readonly CoveredMessage[] = []): Promise<void> {
    this.#assertOpen()
    await this.#chatChanges.change(chat, change, last)
  }

  async subscribePresence(jid: string): Promise<void> {
    this.#assertOpen()
    await this.#quickly(() => this.#sock.presenceSubscribe(jid), 'watching presence')
  }

  async setDefaultDisappearing(seconds: number): Promise<void> {
    this.#assertOpen()
    await setDefaultTimer(this.#sock, seconds, Math.floor(this.#clock.now() / 1000))
    await this.#auth.save()
  }

  async defaultTimer(): Promise<ChatTimer | undefined> {
    const known = timerOfAccount(this.#auth.creds)
    if (known) return known
    // later changes are told to us, so this is once for each account; who does not answer is not asked again
    this.#defaultTimerAsked ??= readDefaultTimer(this.#sock)
      .then(() => this.#auth.save())
      .catch((error: unknown) => this.#logger.debug({ reason: messageOf(error) }, 'asking for the default timer'))
    const { promise: enough, resolve } = Promise.withResolvers<void>()
    const cancel = this.#clock.after(DEFAULT_TIMER_WAIT_MS, resolve)
    await Promise.race([this.#defaultTimerAsked, enough])
    cancel()
    return timerOfAccount(this.#auth.creds)
  }

  async groupTimer(group: string): Promise<number> {
    this.#assertOpen()
    return groupTimer(this.#sock, group)
  }

  async setGroupDisappearing(group: string, seconds: number): Promise<void> {
    this.#assertOpen()
    await setGroupDisappearing(this.#sock, group, seconds)
  }

  async roleIn(group: string): Promise<'member' | 'admin' | undefined> {
    this.#assertOpen()
    return groupRole(this.#sock, group)
  }

  async logout(): Promise<void> {
    const jid = this.#auth.creds.me?.id
    this.#assertOpen()
    const attrs = { to: 's.whatsapp.net', type: 'set', xmlns: 'md' }
    const child = { tag: 'remove-companion-device', attrs: { jid: jid!, reason: 'user_initiated' } }
    this.#localCause = { kind: 'logged_out' }
    try {
      orTimeout(await this.#sock.query({ tag: 'iq', attrs, content: [child] }), 'logging out')
    } catch (error) {
      // the service may close the stream instead of answering: that is the answer
      if (!this.#closed) throw toEngineError(error, 'logging out')
    }
    this.close({ kind: 'logged_out' })
  }

  /** Keys could not be read or stored: nothing may leave this connection any more. */
  onKeyFailure(error: Error): void {
    this.#keyFailure ??= error
    this.close({ kind: 'network', message: 'keys could not be read or stored' })
  }

  close(cause: CloseCause): void {
    this.#localCause ??= cause
    this.#sock.end(undefined).catch((error: unknown) => {
      this.#logger.debug({ reason: messageOf(error) }, 'closing a socket')
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closed) this.close({ kind: 'local', message: 'stopped' })
    await this.#incoming.stop()
    await Promise.all([this.#versions.settled(), this.#chatChanges.settled()]).catch((error: unknown) => {
      this.#logger.warn({ reason: messageOf(error) }, 'changes of chats were not stored; they are asked for again')
    })
    await this.#auth.settled().catch((error: unknown) => {
      this.#logger.warn({ reason: messageOf(error) }, 'a key write was lost at the end of a session')
    })
  }

  /** What has no answer, only a socket that may be gone. */
  async #quickly(send: () => Promise<unknown>, doing: string): Promise<void> {
    try {
      await send()
    } catch (error) {
      throw toEngineError(error, doing)
    }
  }

  #ownUsers(): readonly string[] {
    const { me } = this.#auth.creds
    return [me?.id, me?.lid].flatMap((jid) => jidDecode(jid)?.user ?? [])
  }

  #assertOpen(): void {
    if (!this.#open || this.#closed) throw new ParleyError('not_connected', 'the device is not connected to WhatsApp')
  }

  #onUpdate(update: Partial<ConnectionState>): void {
    if (update.connection === 'connecting') this.#onSignal({ type: 'connecting' })
    if (update.qr) this.#onQr(update.qr)
    if (update.isNewLogin) this.#onPaired()
    if (update.connection === 'open') {
      this.#open = true
      this.#onSignal({ type: 'open' })
    }
    if (update.connection === 'close') void this.#onClose(update.lastDisconnect?.error)
  }

  #onQr(code: string): void {
    const lifetime = this.#qrLifetimeMs ?? (this.#qrCount === 0 ? FIRST_QR_MS : NEXT_QR_MS)
    this.#qrCount++
    if (this.#link?.method === 'qr') this.#onSignal({ type: 'qr', code, expiresAt: this.#clock.now() + lifetime })
    else if (this.#link?.method === 'code' && !this.#codeAsked) {
      this.#codeAsked = true
      requestPairingCode(this.#sock, this.#auth, this.#browser, this.#link.phone).then(
        (pairingCode) =>
          this.#onSignal({
            type: 'pairing_code',
            code: pairingCode,
            expiresAt: this.#clock.now() + PAIRING_CODE_MS,
          }),
        (error: unknown) => this.close({ kind: 'pairing_error', message: messageOf(error) }),
      )
    }
  }

  /** pair-success held: the account becomes durable; the service then restarts the connection (515). */
  #onPaired(): void {
    this.#passkey.finish()
    const stored = this.#auth.persist()
    stored.then(
      () => {
        const account = accountOf(this.#auth.creds)
        if (account)
          this.#onSignal({
            type: 'paired',
            jid: account.jid,
            lid: account.lid,
            platform: account.platform,
            businessName: account.businessName,
          })
      },
      (error: unknown) =>
        this.close({ kind: 'network', message: `the account could not be stored: ${messageOf(error)}` }),
    )
  }

  #onCredentials(update: Partial<AuthenticationCreds>): void {
    noteDefaultTimer(this.#auth.creds, update)
    this.#auth.save().catch((error: unknown) => {
      this.close({ kind: 'network', message: `credentials could not be stored: ${messageOf(error)}` })
    })
    const name = update.me?.name
    if (!name || name === '~' || name === this.#toldName || this.#auth.isDraft) return
    this.#toldName = name
    this.#onSignal({ type: 'push_name', name })
  }

  #onAck(node: BinaryNode): void {
    const { attrs } = node
    if (!attrs.id || this.#answers.take(node)) return
    const whatsappCode = attrs.error === undefined ? undefined : Number(attrs.error)
    this.#onSignal({ type: 'late_ack', messageId: attrs.id, chat: jidNormalizedUser(attrs.from), whatsappCode })
  }

  async #onClose(error: unknown): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#open = false
    this.#answers.close()
    await this[Symbol.asyncDispose]()
    const cause = this.#localCause ?? toCloseCause(error, this.#clock.now())
    this.#onCause(cause)
    this.#onSignal({ type: 'closed', cause })
  }
}

const isPerson = (chat: string): boolean => ['pn', 'lid'].includes(kindOfJid(chat))
