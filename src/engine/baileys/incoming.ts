import {
  type BinaryNode,
  cleanMessage,
  decryptMessageNode,
  getBinaryNodeChild,
  getHistoryMsg,
  jidDecode,
  jidNormalizedUser,
  MISSING_KEYS_ERROR_TEXT,
  NACK_REASONS,
  NO_MESSAGE_FOUND_ERROR_TEXT,
  proto,
  type WAMessage,
  type WASocket,
} from 'baileys'
import { messageOf } from '../../kernel/errors.ts'
import type { Logger } from '../../kernel/logger.ts'
import type { StanzaFailureRepository } from '../../storage/index.ts'
import type { EngineSignal, Intake, MessageOccurrence } from '../index.ts'
import type { AuthStore } from './auth-store.ts'
import { faultOfDeviceIdentity } from './device-identity.ts'
import type { LidMap } from './lid-map.ts'
import { isDeviceTalk } from './message-content.ts'
import { type Self, toMessageOccurrence, toReceiptOccurrence } from './occurrence.ts'
import { listenToOfflineQueue } from './offline-queue.ts'
import { STORAGE_FAILURE, STORAGE_REFUSAL } from './signal-repository.ts'
import { type Opened, StanzaLine } from './stanza-line.ts'
import type { StockHandlers } from './stock-handlers.ts'
import { replaceListener } from './stock-listeners.ts'

/**
 * What comes in: opened, committed, and only then acknowledged.
 *
 * Baileys acknowledges before anybody has stored anything, and drops buffered events when the socket ends. So its
 * listeners are taken off and these stand in their place; the rest of Baileys (retry requests, history, app state) is
 * still asked to do its part.
 *
 *   message, receipt -> decrypt (ratchet + journal committed) -> intake (message, event, deliveries committed) -> answer
 *   notification, call, retry request -> Baileys' handler, its answer withheld -> what it set off is committed -> answer
 *
 * In which order, and what becomes of those that fail: `stanza-line.ts`. A sender's mistake is acknowledged like WhatsApp
 * Web does: retry request, or a NACK with its reason.
 */
export class Incoming {
  readonly #sock: WASocket
  readonly #auth: AuthStore
  readonly #lidMap: LidMap
  readonly #contentOf: ((chat: string, messageId: string) => Promise<Uint8Array | undefined>) | undefined
  readonly #logger: Logger
  readonly #onRefused: (what: 'device_identity' | 'plaintext') => void
  readonly #stock: StockHandlers
  readonly #settled: () => Promise<void>
  readonly #line: StanzaLine
  readonly #stockReceipt: (node: BinaryNode) => unknown
  #keyFailure: Error | undefined

  constructor(deps: {
    readonly deviceId: string
    readonly sock: WASocket
    readonly auth: AuthStore
    readonly lidMap: LidMap
    readonly intake: Intake
    /** The encoded content of a stored message. */
    readonly contentOf?: (chat: string, messageId: string) => Promise<Uint8Array | undefined>
    readonly failures: Pick<StanzaFailureRepository, 'note'>
    /** Beyond this many stanzas that wait no more are taken. */
    readonly mostWaiting?: number
    readonly logger: Logger
    readonly stock: StockHandlers
    /** Stores what Baileys does not tell of a notification, before Baileys gets it. */
    readonly onNotification?: (node: BinaryNode) => Promise<void>
    /** Resolves when everything that Baileys was made to say so far is stored. @throws when it could not be */
    readonly settled: () => Promise<void>
    readonly onSignal: (signal: EngineSignal) => void
    /** Called when there were too many and all that were taken are handled; the session must close its socket. */
    readonly onOverload: () => void
    /** Called when a stanza could not be stored; the session must close its socket. */
    readonly onStorageFailure: (error: unknown) => void
    /** Told of everything that is refused before it is opened, for the metrics. */
    readonly onRefused: (what: 'device_identity' | 'plaintext') => void
  }) {
    const { sock } = deps
    this.#sock = sock
    this.#auth = deps.auth
    this.#lidMap = deps.lidMap
    this.#contentOf = deps.contentOf
    this.#logger = deps.logger
    this.#onRefused = deps.onRefused
    this.#stock = deps.stock
    this.#settled = deps.settled
    this.#line = new StanzaLine({
      ...deps,
      acknowledge: (node, code) => sock.sendMessageAck(node, code),
      isConnected: () => sock.ws.isOpen !== false,
    })
    this.#stockReceipt = replaceListener(sock, 'CB:receipt', (node) => this.#onReceipt(node))
    listenToOfflineQueue(sock, this.#line, deps.onSignal)
    replaceListener(sock, 'CB:message', (node) => this.#line.take(node, () => this.#message(node)))
    for (const task of ['notification', 'call'] as const) {
      const stock = replaceListener(sock, `CB:${task}`, (node) =>
        this.#line.takeApart(task, node, async () => {
          if (task === 'notification') await deps.onNotification?.(node)
          return this.#withStock(task, stock, node)
        }),
      )
    }
  }

  /** Nothing more is taken; resolves when what was being handled is done. */
  stop(): Promise<void> {
    return this.#line.stop()
  }

  /** Keys could not be read or stored while a message was being handled; Baileys may not tell. */
  onKeyFailure(error: Error): void {
    this.#keyFailure = error
  }

  /** Baileys does its part; resolves with the acknowledgement when what came of it is stored. */
  async #withStock(
    task: 'notification' | 'call' | 'receipt',
    listener: (node: BinaryNode) => unknown,
    node: BinaryNode,
  ): Promise<() => Promise<void>> {
    await this.#stock.run(task, listener, node)
    if (this.#keyFailure) throw this.#keyFailure
    await this.#settled()
    return () => this.#quietly(() => this.#sock.sendMessageAck(node))
  }

  get #self(): Self {
    const { me } = this.#auth.creds
    return { pn: jidNormalizedUser(me?.id), lid: me?.lid ? jidNormalizedUser(me.lid) : undefined }
  }

  async #message(node: BinaryNode): Promise<Opened | undefined> {
    const { me } = this.#auth.creds
    if (!me) return undefined
    const unencrypted = getBinaryNodeChild(node, 'plaintext')
    if (unencrypted && !node.attrs.from?.endsWith('@newsletter')) {
      this.#onRefused('plaintext')
      this.#logger.warn({ from: node.attrs.from, id: node.attrs.id }, 'refused an unencrypted message')
      return this.#refusal(node, NACK_REASONS.UnrecognizedStanza)
    }
    // message secrets of bots: Baileys cannot open them either
    if (getBinaryNodeChild(node, 'enc')?.attrs.type === 'msmsg')
      return this.#refusal(node, NACK_REASONS.MissingMessageSecret)

    const forged = faultOfDeviceIdentity(node)
    if (forged) {
      this.#onRefused('device_identity')
      this.#logger.warn({ from: node.attrs.from, id: node.attrs.id, reason: forged }, 'refused a message')
      return this.#refusal(node, NACK_REASONS.ParsingError)
    }

    const { fullMessage, category, author, decrypt } = decryptMessageNode(
      node,
      me.id,
      me.lid ?? '',
      this.#sock.signalRepository,
      this.#sock.logger as never,
    )
    const message = fullMessage as WAMessage
    await this.#learnNames(message)
    await decrypt()
    const failure = message.messageStubParameters?.[0] ?? undefined
    if (failure?.startsWith(STORAGE_FAILURE) || failure?.startsWith(STORAGE_REFUSAL)) throw new Error(failure)
    if (this.#keyFailure) throw this.#keyFailure

    if (message.messageStubType === proto.WebMessageInfo.StubType.CIPHERTEXT && category !== 'peer' && !message.message)
      return this.#undecrypted(node, message, failure)
    return this.#decrypted(node, message, category, author)
  }

  #decrypted(node: BinaryNode, message: WAMessage, category: string | undefined, author: string): Opened {
    // the receipt names the sender's device, which cleanMessage takes out of the key
    const receipt = this.#receiptFor(node, message, category, author)
    cleanMessage(message, this.#auth.creds.me!.id, this.#auth.creds.me!.lid ?? '')
    const deviceTalk = category === 'peer' || isDeviceTalk(message.message)
    return {
      ...(deviceTalk ? {} : { occurrence: () => this.#occurrence(node, message) }),
      answer: async () => {
        if (!message.message?.protocolMessage) return this.#quietly(receipt)
        // key shares, history and the like: Baileys acts on them; it may ask the service, so nobody waits in line for it
        void this.#line.finishApart(node, async () => {
          await this.#sock.upsertMessage(message, 'notify')
          await this.#settled()
          return () => this.#quietly(receipt)
        })
      },
    }
  }

  #undecrypted(node: BinaryNode, message: WAMessage, failure: string | undefined): Opened {
    if (failure === MISSING_KEYS_ERROR_TEXT) return this.#refusal(node, NACK_REASONS.ParsingError)
    return {
      occurrence: () => this.#occurrence(node, message),
      answer: async () => {
        if (failure === NO_MESSAGE_FOUND_ERROR_TEXT) return this.#askPhone(node, message)
        // Baileys asks our own phone first and gives it two seconds: the messages behind this one do not wait for that
        void this.#quietly(() => this.#sock.sendRetryRequest(node, !getBinaryNodeChild(node, 'enc'))).then(() =>
          this.#quietly(() => this.#sock.sendMessageAck(node, NACK_REASONS.UnhandledError)),
        )
      },
    }
  }

  #refusal(node: BinaryNode, code: number): Opened {
    return { answer: () => this.#quietly(() => this.#sock.sendMessageAck(node, code)) }
  }

  #occurrence(node: BinaryNode, message: WAMessage): Promise<MessageOccurrence> {
    const contentOf = this.#contentOf
    // a vote may come right behind its poll
    const afterCommits =
      contentOf &&
      (async (chat: string, messageId: string) => {
        await this.#line.committed
        return contentOf(chat, messageId)
      })
    return toMessageOccurrence(node, message, this.#self, this.#lidMap, afterCommits)
  }

  /** The message came without content for this device; the phone has it, unless it is of a kind that is never shared. */
  async #askPhone(node: BinaryNode, message: WAMessage): Promise<void> {
    const unavailable = getBinaryNodeChild(node, 'unavailable')?.attrs.type
    const neverShared = /^(bot|hosted|view_once)_unavailable_fanout$/.test(unavailable ?? '')
    if (!neverShared)
      this.#sock
        .requestPlaceholderResend(message.key, {
          key: message.key,
          messageTimestamp: message.messageTimestamp,
        } as never)
        .catch((error: unknown) => this.#logger.warn({ reason: messageOf(error) }, 'asking the phone failed'))
    await this.#quietly(() => this.#sock.sendMessageAck(node))
  }

  #receiptFor(node: BinaryNode, message: WAMessage, category: string | undefined, author: string): () => Promise<void> {
    const { remoteJid, remoteJidAlt, id, fromMe } = message.key
    let { participant } = message.key
    if (!remoteJid || !id) return () => this.#sock.sendMessageAck(node)
    if (remoteJid.endsWith('@newsletter')) return () => this.#sock.sendMessageAck(node)
    // types as WhatsApp Web: peer_msg to our phone, sender for copies of our own, inactive while we are not available
    let type: 'peer_msg' | 'sender' | 'inactive' | undefined
    if (category === 'peer') type = 'peer_msg'
    else if (fromMe) {
      type = 'sender'
      if (remoteJid.endsWith('@lid') || remoteJidAlt?.endsWith('@lid')) participant = author
    } else if (!this.#active) type = 'inactive'
    const history = getHistoryMsg(message.message ?? {})
    return async () => {
      await this.#sock.sendReceipt(remoteJid, participant ?? undefined, [id], type as never)
      if (history) await this.#sock.sendReceipt(jidNormalizedUser(remoteJid), undefined, [id], 'hist_sync')
    }
  }

  /** Whether delivery receipts count as active: the device announced itself as available. */
  #active = false
  setActive(active: boolean): void {
    this.#active = active
  }

  #onReceipt(node: BinaryNode): void {
    if (node.attrs.type === 'retry')
      // Baileys encrypts the message anew for whoever asks; that may take a key fetch
      this.#line.takeApart('retry', node, () => this.#withStock('receipt', this.#stockReceipt, node))
    else
      this.#line.take(node, async () => ({
        occurrence: () => toReceiptOccurrence(node, this.#self, this.#lidMap),
        answer: () => this.#quietly(() => this.#sock.sendMessageAck(node)),
      }))
  }

  /** Keeps the pair of names that the stanza gives, and moves sessions that stood under the phone number. */
  async #learnNames({ key }: WAMessage): Promise<void> {
    const alternative = key.participantAlt ?? key.remoteJidAlt
    const primary = key.participant ?? key.remoteJid
    if (!alternative || !primary || key.fromMe) return
    const [lid, pn] = jidDecode(alternative)?.server === 'lid' ? [alternative, primary] : [primary, alternative]
    if (await this.#lidMap.storedPn(lid)) return
    await this.#lidMap.storeLIDPNMappings([{ lid, pn }])
    await this.#sock.signalRepository.migrateSession(pn, lid)
  }

  /** An acknowledgement that cannot leave is not ours to mend: the stanza comes again on the next connection. */
  async #quietly(send: () => Promise<unknown>): Promise<void> {
    try {
      await send()
    } catch (error) {
      this.#logger.debug({ reason: messageOf(error) }, 'an acknowledgement did not leave')
    }
  }
}
