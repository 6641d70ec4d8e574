// A simulated person's phone: device 0 of an account, attached to the service in the same process.
import { randomInt } from 'node:crypto'
import type { proto } from 'baileys/WAProto/index.js'
import type { Account, Device } from '../service/account.ts'
import type { DeviceKeys, Peer } from '../service/peer.ts'
import type { ProblemKind } from '../service/problem-log.ts'
import type { Service } from '../service/service.ts'
import { isGroup, parseJid } from '../wire/jid.ts'
import { type BinaryNode, bytesOf, child, children, node } from '../wire/node.ts'
import { signKeyIndexList } from './adv.ts'
import { answerRetry, forgetOldFiles, makeMedia, type OutgoingMedia, readMedia } from './album.ts'
import { type AppStateMutation, PhoneAppState } from './app-state.ts'
import { CompanionCare } from './companion-care.ts'
import type { Deed } from './deeds.ts'
import { readBundle, uploadPreKeys } from './devices.ts'
import type { PhoneMessage, PhonePresence, PhoneReceipt, TypingState } from './entries.ts'
import { EventLog } from './event-log.ts'
import type { AppStateKey } from './history.ts'
import { Inbox, type Incoming } from './inbox.ts'
import { makeText, summarize } from './message-content.ts'
import { makeMessageId, Outbox } from './outbox.ts'
import { type SignalAddress, SignalEndpoint, type SignalState } from './signal-endpoint.ts'
import { StanzaClient } from './stanza-client.ts'

export interface PhoneOptions {
  readonly service: Service
  readonly account: Account
  readonly signal: SignalEndpoint
  /** Random number of the account's key in ADV details. */
  readonly rawId: number
  /** Milliseconds since 1970. */
  readonly clock: () => number
  /** Those of an earlier process. */
  readonly appStateKeys?: readonly AppStateKey[]
}

/** What a phone keeps when the sandbox restarts; what it showed is not among it. */
export interface PhoneState {
  readonly rawId: number
  readonly signal: SignalState
  readonly appStateKeys: readonly AppStateKey[]
}

const KEPT_ENTRIES = 2_000
const FIRST_PRE_KEYS = 12
const MORE_PRE_KEYS = 30
const KNOWN_PEOPLE = 500
/** Between own devices: nobody's message was delivered or read. */
const SILENT_RECEIPTS = new Set(['peer_msg', 'hist_sync', 'sender'])

/** The Signal endpoint of a new phone, and its public keys for the account. */
export function makePhoneKeys(): { readonly signal: SignalEndpoint; readonly keys: DeviceKeys } {
  const signal = new SignalEndpoint({ registrationId: randomInt(1, 16_381) })
  const { keyId, publicKey, signature } = signal.signedPreKey
  const keys = {
    identity: signal.identity.public,
    registrationId: signal.registrationId,
    signedPreKey: { id: keyId, public: publicKey, signature },
    preKeys: signal.makePreKeys(FIRST_PRE_KEYS).map((key) => ({ id: key.keyId, public: key.publicKey })),
  }
  return { signal, keys }
}

export class Phone implements Peer {
  readonly account: Account
  readonly messages = new EventLog<PhoneMessage>(KEPT_ENTRIES)
  readonly receipts = new EventLog<PhoneReceipt>(KEPT_ENTRIES)
  readonly presences = new EventLog<PhonePresence>(KEPT_ENTRIES)
  /** Changes of chats, on the phone and on its companions. */
  readonly chatChanges = new EventLog<AppStateMutation & { readonly seq: number; readonly own: boolean }>(KEPT_ENTRIES)
  readonly #options: PhoneOptions
  readonly #client = new StanzaClient()
  readonly #inbox: Inbox
  readonly #outbox: Outbox
  readonly #care: CompanionCare
  readonly #appState: PhoneAppState
  /** One stanza after the other, as they came. */
  #work: Promise<void> = Promise.resolve()

  constructor(options: PhoneOptions) {
    const { service, account, signal } = options
    const self: SignalAddress = { user: account.lid, device: 0 }
    this.#options = options
    this.account = account
    this.#outbox = new Outbox({
      client: this.#client,
      signal,
      self,
      ownPhoneNumber: account.pn,
      onBadBundle: ({ user, device }, reason) =>
        this.#problem('bad_signature', `key bundle of ${user}:${device}: ${reason}`),
    })
    this.#inbox = new Inbox({
      signal,
      self,
      accountOf: (jid) => service.accounts.byJid(jid),
      send: (stanza) => this.#sendIfOnline(stanza),
      problem: (kind, text, stanza) => this.#problem(kind, text, stanza),
      onMessage: (incoming) => this.#record(incoming),
      onCopy: (author, id) => this.#countCopy(author, id),
    })
    this.#appState = new PhoneAppState({
      client: this.#client,
      media: service.media,
      keys: () => this.#care.appStateKeys,
      problem: (text) => this.#problem('bad_signature', text),
      onMutation: (mutation, own) => this.chatChanges.add((seq) => ({ ...mutation, seq, own })),
    })
    this.#care = new CompanionCare({
      messages: () => this.messages.list(),
      acquaintances: () => service.accounts.list().slice(0, KNOWN_PEOPLE),
      canonicalChat: (jid) => (isGroup(jid) ? jid : (service.accounts.byJid(jid)?.lidJid ?? jid)),
      media: service.media,
      send: (companion, message) => this.#outbox.sendToCompanion(companion, message),
      now: options.clock(),
      ...(options.appStateKeys !== undefined && { appStateKeys: options.appStateKeys }),
    })
  }

  get online(): boolean {
    return this.#client.connected
  }

  /** The account's identity key pair, for signing companions. */
  get identity() {
    return this.#options.signal.identity
  }

  get rawId(): number {
    return this.#options.rawId
  }

  snapshot(): PhoneState {
    return { rawId: this.rawId, signal: this.#options.signal.snapshot(), appStateKeys: this.#care.appStateKeys }
  }

  /** Gets a network: attaches to the service, which replays what waited. */
  goOnline(): void {
    if (this.online) return
    const { service, account, rawId } = this.#options
    const attachment = service.attachPhone(account, this, {
      signKeyIndexes: (indexes) => signKeyIndexList(this.identity, rawId, indexes),
    })
    this.#client.connect(attachment)
    this.#sendIfOnline(node('presence', { type: 'available', name: account.pushName }))
  }

  /** Loses its network: messages wait at the service, nothing is confirmed. */
  goOffline(): void {
    this.#client.disconnect()?.detach()
  }

  close(_reason: string): void {
    this.#client.disconnect()
  }

  deliver(stanza: BinaryNode): void {
    const isAnswer = stanza.tag === 'ack' || (stanza.tag === 'iq' && /^(result|error)$/.test(stanza.attrs.type ?? ''))
    if (isAnswer) this.#client.takeAnswer(stanza)
    else this.#work = this.#work.then(() => this.#handle(stanza)).catch((error) => this.#report(error, stanza))
  }

  /** Resolves when everything delivered so far is worked off. */
  async settle(): Promise<void> {
    await this.#work
  }

  /**
   * Writes a text.
   * @param chat LID jid of a person, or a group
   * @returns the message id, once the service accepted it
   * @throws StanzaError when the service refuses, NoAnswerError, OfflineError
   */
  async sendText(chat: string, text: string, quotedMessageId?: string): Promise<string> {
    return this.#send(
      chat,
      makeText(text, quotedMessageId === undefined ? undefined : this.#quote(quotedMessageId, chat)),
    )
  }

  /** Sends a file, really encrypted and uploaded. As `sendText`. */
  async sendMedia(chat: string, media: OutgoingMedia): Promise<string> {
    return this.#send(chat, makeMedia(this.#options.service.media, media, this.#options.clock()))
  }

  async #send(chat: string, content: proto.IMessage, edit?: string): Promise<string> {
    const messageId = makeMessageId()
    await this.#outbox.send(chat, content, messageId, { edit })
    this.#write({
      ...summarize(content)!,
      messageId,
      chat,
      from: this.account,
      fromDevice: 0,
      fromMe: true,
      sentHere: true,
      pushName: this.account.pushName,
      timestamp: this.#seconds(),
      content,
      copies: 1,
    })
    return messageId
  }

  /** Tells the authors that their messages were read. Does nothing when it lacks some of them, and returns their ids. */
  markRead(chat: string, messageIds: readonly string[], type: 'read' | 'played' = 'read'): string[] {
    const wanted = new Set(messageIds)
    const messages = this.messages.list().filter((m) => m.chat === chat && !m.fromMe && wanted.has(m.messageId))
    const found = new Set(messages.map(({ messageId }) => messageId))
    if (found.size < wanted.size) return [...wanted].filter((id) => !found.has(id))
    for (const [author, list] of Map.groupBy(messages, ({ from }) => from)) {
      const [first, ...rest] = list.map(({ messageId }) => messageId)
      const items = rest.map((id) => node('item', { id }))
      const to = isGroup(chat) ? { to: chat, participant: author.lidJid } : { to: author.lidJid }
      const attrs = { id: first, ...to, type, t: this.#seconds() }
      this.#client.send(node('receipt', attrs, items.length > 0 ? [node('list', {}, items)] : undefined))
    }
    return []
  }

  /** Sends anything, as the deed of a person. @throws StanzaError, NoAnswerError, OfflineError */
  perform({ chat, content, edit }: Deed): Promise<string> {
    return this.#send(chat, content, edit)
  }

  /** Changes how a chat stands on all devices of the account. */
  changeChat(collection: string, index: readonly string[], value: proto.ISyncActionValue, version: number) {
    return this.#appState.change(collection, index, { ...value, timestamp: this.#options.clock() }, version)
  }

  /** Goes online or offline for others, with a network all the same. */
  setAvailable(available: boolean): void {
    this.#client.send(node('presence', { type: available ? 'available' : 'unavailable', name: this.account.pushName }))
  }

  /** Shows or ends "typing... (or "recording...") in a chat. */
  sendTyping(chat: string, state: TypingState): void {
    const shown =
      state === 'recording' ? node('composing', { media: 'audio' }) : node(state === 'paused' ? 'paused' : 'composing')
    this.#client.send(node('chatstate', { to: chat }, [shown]))
  }

  /** Asks to be told when that person goes online and offline. */
  watch(chat: string): void {
    this.#client.send(node('presence', { type: 'subscribe', to: chat }))
  }

  /** Sends what a companion needs at its first login: app state keys, then the chats. */
  welcome(companion: Device): Promise<void> {
    return this.#care.welcome({ user: this.account.lid, device: companion.id })
  }

  async #handle(stanza: BinaryNode): Promise<void> {
    const { id, from, type, participant } = stanza.attrs
    const acknowledge = (kind: string | undefined) =>
      this.#sendIfOnline(node('ack', { class: stanza.tag, id, to: from, participant, type: kind }))
    switch (stanza.tag) {
      case 'message':
        return this.#inbox.receive(stanza)
      case 'receipt':
        acknowledge(type)
        return this.#handleReceipt(stanza)
      case 'notification':
        acknowledge(type)
        if (type === 'encrypt' && child(stanza, 'count')) {
          await uploadPreKeys(this.#client, this.#options.signal, MORE_PRE_KEYS)
        }
        if (type === 'server_sync') {
          for (const { attrs } of children(stanza, 'collection')) await this.#appState.sync(attrs.name ?? '')
        }
        return
      case 'call':
        acknowledge(child(stanza)?.tag)
        return
      case 'iq':
        this.#sendIfOnline(node('iq', { id, to: from, type: 'result' }))
        return
      case 'presence':
        return this.#recordPresence(stanza, type === 'unavailable' ? 'unavailable' : 'available')
      case 'chatstate': {
        const shown = child(stanza)
        const state = shown?.attrs.media === 'audio' ? 'recording' : shown?.tag
        return this.#recordPresence(stanza, state as TypingState)
      }
      default: // ib: nothing that needs an answer
    }
  }

  async #handleReceipt(stanza: BinaryNode): Promise<void> {
    const { id = '', from, participant, type = 'delivered', t } = stanza.attrs
    const sender = participant ?? from
    const account = this.#options.service.accounts.byJid(sender)
    if (type === 'retry') {
      if (account === undefined) return
      const keys = child(stanza, 'keys')
      const bundle = keys && readBundle(keys, child(stanza, 'registration'))
      const count = Number(child(stanza, 'retry')?.attrs.count ?? 1)
      await this.#outbox.sendAgain(id, { user: account.lid, device: parseJid(sender)!.device }, count, bundle)
      return
    }
    if (type === 'server-error') return this.#handleMediaRetry(stanza)
    if (SILENT_RECEIPTS.has(type)) return
    const ids = [id, ...children(child(stanza, 'list'), 'item').map(({ attrs }) => attrs.id ?? '')]
    const timestamp = t === undefined ? this.#seconds() : Number(t)
    for (const messageId of ids) this.receipts.add((seq) => ({ seq, messageId, from: account, type, timestamp }))
  }

  /** A companion could not download a file: it is uploaded once more, if the phone still has it. */
  #handleMediaRetry(stanza: BinaryNode) {
    const { service } = this.#options
    const { id = '', from } = stanza.attrs
    const companion = service.accounts.deviceByJid(from)
    const sealed = child(stanza, 'encrypt')
    const [ciphertext, iv] = [bytesOf(child(sealed, 'enc_p')), bytesOf(child(sealed, 'enc_iv'))]
    const about = child(stanza, 'rmr')
    if (companion?.account !== this.account || !ciphertext || !iv || !about)
      return this.#problem('malformed', 'a media retry request without its parts', stanza)
    const message = this.messages.findLast(({ messageId }) => messageId === id)
    const answer =
      message && answerRetry(service.media, message.content, message.media?.bytes, { messageId: id, ciphertext, iv })
    const rmr = node('rmr', about.attrs)
    // 2 = NOT_FOUND
    if (answer === undefined) return service.answerMediaRetry(companion, id, [node('error', { code: 2 }), rmr])
    const encrypt = node('encrypt', {}, [node('enc_p', {}, answer.ciphertext), node('enc_iv', {}, answer.iv)])
    service.answerMediaRetry(companion, id, [encrypt, rmr])
  }

  #record(incoming: Incoming): void {
    const { stanza, id, author, account, chat, fromMe, message } = incoming
    if (fromMe && stanza.attrs.category === 'peer') {
      this.#care.answer(author, id, message).catch((error) => this.#report(error, stanza))
      return
    }
    const summary = summarize(message)
    if (summary === undefined) return
    this.#write({
      ...summary,
      messageId: id,
      chat,
      from: account,
      fromDevice: author.device,
      fromMe,
      sentHere: false,
      pushName: stanza.attrs.notify,
      timestamp: stanza.attrs.t === undefined ? this.#seconds() : Number(stanza.attrs.t),
      content: message.deviceSentMessage?.message ?? message,
      copies: 1,
    })
  }

  #recordPresence({ attrs }: BinaryNode, state: PhonePresence['state']): void {
    const from = this.#options.service.accounts.byJid(attrs.participant ?? attrs.from)
    const chat = isGroup(attrs.from ?? '') ? attrs.from! : (from?.lidJid ?? attrs.from ?? '')
    this.presences.add((seq) => ({ seq, from, chat, state, at: this.#options.clock() }))
  }

  #write(message: Omit<PhoneMessage, 'seq' | 'media'>): void {
    const media = readMedia(this.#options.service.media, message.content)
    if (media?.fault !== undefined)
      this.#problem('undecryptable', `the file of message ${message.messageId}: ${media.fault}`)
    this.messages.add((seq) => ({ ...message, media, seq }))
    if (media !== undefined) forgetOldFiles(this.messages.list())
  }

  #countCopy(author: SignalAddress, id: string): void {
    const known = this.messages.findLast(({ messageId, from }) => messageId === id && from.lid === author.user)
    if (known !== undefined) known.copies += 1
  }

  #quote(messageId: string, chat: string) {
    const quoted = this.messages.findLast((message) => message.messageId === messageId)
    return { messageId, author: quoted?.from.lidJid ?? chat, message: quoted?.content }
  }

  #seconds(): number {
    return Math.floor(this.#options.clock() / 1000)
  }

  #sendIfOnline(stanza: BinaryNode): void {
    if (this.online) this.#client.send(stanza)
  }

  #problem(kind: ProblemKind, text: string, stanza?: BinaryNode): void {
    this.#options.service.log.add(kind, this.account.jid, text, stanza)
  }

  #report(error: unknown, stanza: BinaryNode): void {
    if (!this.online) return
    this.#problem('internal', `the phone failed: ${error instanceof Error ? error.message : String(error)}`, stanza)
  }
}
