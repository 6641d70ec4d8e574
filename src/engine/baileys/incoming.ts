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
import { isParleyError, messageOf } from '../../kernel/errors.ts'
import { boundId } from '../../kernel/ids.ts'
import { bareJid } from '../../kernel/jid.ts'
import { KeyedQueue } from '../../kernel/keyed-queue.ts'
import type { Logger } from '../../kernel/logger.ts'
import type { StanzaFailureRepository } from '../../storage/index.ts'
import type { Intake, MessageOccurrence, Occurrence } from '../index.ts'
import type { AuthStore } from './auth-store.ts'
import { faultOfDeviceIdentity } from './device-identity.ts'
import type { LidMap } from './lid-map.ts'
import { isDeviceTalk } from './message-content.ts'
import { type Self, toMessageOccurrence, toReceiptOccurrence } from './occurrence.ts'
import { notePoison } from './poison.ts'
import { STORAGE_FAILURE, STORAGE_REFUSAL } from './signal-repository.ts'
import { replaceListener } from './stock-listeners.ts'

/**
 * Messages and receipts as they come in: decrypted, committed, and only then acknowledged.
 *
 * Baileys acknowledges before anybody has stored anything, and drops buffered events when the socket ends. So its
 * listeners for `message` and `receipt` are taken off and these stand in their place; the rest of Baileys (retry
 * requests, history, app state) is still asked to do its part.
 *
 *   stanza -> decrypt (ratchet + journal committed) -> intake (message, event, deliveries committed) -> receipt / ack
 *
 * Stanzas of one author are opened one after the other, those of different authors side by side. They are handed to the
 * intake in the order in which they came, and not each only when the one before is on the disk: those that come close
 * together share its commits. What came after a stanza that could not be stored is not stored either.
 *
 * When our own storage fails, nothing is acknowledged and the connection is closed: WhatsApp keeps the stanza and sends
 * it again. A sender's mistake is acknowledged like WhatsApp Web does: retry request, or a NACK with its reason. A stanza
 * that breaks us is counted, and put aside when it has come often enough (`poison.ts`).
 *
 * Where stanzas come faster than they can be stored, so that over a thousand wait, no more are taken: those that wait are
 * handled, the connection is closed, and WhatsApp keeps the rest for the next one.
 */
export class Incoming {
  readonly #deviceId: string
  readonly #sock: WASocket
  readonly #auth: AuthStore
  readonly #lidMap: LidMap
  readonly #intake: Intake
  readonly #contentOf: ((chat: string, messageId: string) => Promise<Uint8Array | undefined>) | undefined
  readonly #logger: Logger
  readonly #onRefused: (what: 'device_identity' | 'plaintext') => void
  readonly #failures: Pick<StanzaFailureRepository, 'note'>
  readonly #mostWaiting: number
  readonly #onStorageFailure: (error: unknown) => void
  readonly #onOverload: () => void
  readonly #stockReceipt: (node: BinaryNode) => unknown
  /** Opening, by author. */
  readonly #opening = new KeyedQueue<string>()
  /** Settles when the newest stanza was handed to the intake, if there was something to hand over. */
  #order: Promise<unknown> = Promise.resolve()
  /** The newest intake; settles when it is committed, as all before it then are. */
  #committed: Promise<unknown> = Promise.resolve()
  /** Settles when the newest stanza is done with. */
  #tail: Promise<void> = Promise.resolve()
  #stopped = false
  /** Something could not be stored: nothing that came later may be. */
  #broken = false
  /** Stanzas that wait or are being handled. */
  #waiting = 0
  #overloaded = false
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
    /** Called when there were too many and all that were taken are handled; the session must close its socket. */
    readonly onOverload: () => void
    /** Called when a stanza could not be stored; the session must close its socket. */
    readonly onStorageFailure: (error: unknown) => void
    /** Told of everything that is refused before it is opened, for the metrics. */
    readonly onRefused: (what: 'device_identity' | 'plaintext') => void
  }) {
    this.#deviceId = deps.deviceId
    this.#sock = deps.sock
    this.#auth = deps.auth
    this.#lidMap = deps.lidMap
    this.#intake = deps.intake
    this.#contentOf = deps.contentOf
    this.#logger = deps.logger
    this.#failures = deps.failures
    this.#mostWaiting = deps.mostWaiting ?? MOST_WAITING
    this.#onOverload = deps.onOverload
    this.#onStorageFailure = deps.onStorageFailure
    this.#onRefused = deps.onRefused
    this.#stockReceipt = replaceListener(deps.sock, 'CB:receipt', (node) =>
      this.#enqueue(node, () => this.#receipt(node)),
    )
    replaceListener(deps.sock, 'CB:message', (node) => this.#enqueue(node, () => this.#message(node)))
  }

  /** Nothing more is taken; resolves when what was being handled is done. */
  stop(): Promise<void> {
    this.#stopped = true
    return this.#tail
  }

  /** Keys could not be read or stored while a message was being handled; Baileys may not tell. */
  onKeyFailure(error: Error): void {
    this.#keyFailure = error
  }

  #enqueue(node: BinaryNode, open: () => Promise<Opened | undefined>): void {
    // it comes again on the next connection
    if (this.#stopped || this.#overloaded) return
    this.#waiting++
    if (this.#waiting > this.#mostWaiting) {
      this.#overloaded = true
      this.#logger.warn({ waiting: this.#waiting }, 'stanzas come faster than they can be stored; the rest is left')
    }
    const opened = this.#opening.run(authorOf(node), () => (this.#stopped ? undefined : open()))
    const stored = Promise.allSettled([opened, this.#order]).then(() => this.#store(opened))
    this.#order = stored.catch(() => undefined)
    this.#tail = this.#tail.then(async () => {
      await this.#finish(node, stored)
      this.#waiting--
      if (this.#overloaded && this.#waiting === 0 && !this.#stopped) {
        this.#stopped = true
        this.#onOverload()
      }
    })
  }

  /** Hands over what an opened stanza said; answers without waiting for the commit. */
  async #store(opened: Promise<Opened | undefined>): Promise<Stored | undefined> {
    const stanza = await opened
    if (!stanza || this.#stopped) return undefined
    const occurrence = await stanza.occurrence?.()
    if (!occurrence) return { committed: undefined, answer: stanza.answer }
    const committed = this.#intake(this.#deviceId, occurrence, () => !this.#broken)
    this.#committed = committed.catch((error: unknown) => {
      // at once, before another transaction begins
      if (isStorageFailure(error)) this.#break()
    })
    return { committed, answer: stanza.answer }
  }

  /** Never throws. */
  async #finish(node: BinaryNode, stored: Promise<Stored | undefined>): Promise<void> {
    try {
      try {
        const stanza = await stored
        await stanza?.committed
        if (!this.#stopped) await stanza?.answer()
      } catch (error) {
        if (isStorageFailure(error)) throw error
        await this.#putAside(node, error)
      }
    } catch (error) {
      if (!isStorageFailure(error))
        this.#logger.error({ reason: messageOf(error) }, 'a stanza could neither be handled nor put aside')
      else {
        this.#break()
        this.#onStorageFailure(error)
      }
    }
  }

  #break(): void {
    this.#broken = true
    this.#stopped = true
  }

  async #putAside(node: BinaryNode, error: unknown): Promise<void> {
    const { attempts, givenUp } = await notePoison(this.#failures, this.#deviceId, node, error)
    this.#logger.error(
      { tag: node.tag, id: boundId(node.attrs.id ?? ''), attempts, given_up: givenUp, reason: messageOf(error) },
      'a stanza could not be handled',
    )
    if (!givenUp) return
    const code = node.tag === 'message' ? NACK_REASONS.UnhandledError : undefined
    await this.#quietly(() => this.#sock.sendMessageAck(node, code))
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
        void this.#sock
          .upsertMessage(message, 'notify')
          .then(() => this.#auth.settled())
          .then(receipt)
          .catch((error: unknown) => {
            // it comes again on the next connection
            if (!this.#stopped) this.#logger.warn({ reason: messageOf(error) }, 'a protocol message failed')
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
    return { answer: () => this.#sock.sendMessageAck(node, code) }
  }

  #occurrence(node: BinaryNode, message: WAMessage): Promise<MessageOccurrence> {
    const contentOf = this.#contentOf
    // a vote may come right behind its poll
    const afterCommits =
      contentOf &&
      (async (chat: string, messageId: string) => {
        await this.#committed
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

  async #receipt(node: BinaryNode): Promise<Opened | undefined> {
    if (node.attrs.type === 'retry') {
      // Baileys encrypts the message anew for whoever asks, and acknowledges; that may take a key fetch
      const { offline: _, ...attrs } = node.attrs
      void Promise.resolve(this.#stockReceipt({ ...node, attrs })).catch((error: unknown) =>
        this.#logger.warn({ reason: messageOf(error) }, 'a retry request failed'),
      )
      return undefined
    }
    return {
      occurrence: () => toReceiptOccurrence(node, this.#self, this.#lidMap),
      answer: () => this.#quietly(() => this.#sock.sendMessageAck(node)),
    }
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

/** A stanza that was decrypted, or understood as far as it goes. */
interface Opened {
  /** What is to be committed; absent or undefined when there is nothing. */
  readonly occurrence?: () => Promise<Occurrence | undefined>
  /** Says to the service that the stanza need not come again. */
  readonly answer: () => Promise<void>
}

interface Stored {
  readonly committed: Promise<void> | undefined
  readonly answer: () => Promise<void>
}

/** Whose sessions and sender keys a stanza is opened with. */
const authorOf = ({ tag, attrs }: BinaryNode): string => `${tag} ${bareJid(attrs.participant ?? attrs.from ?? '')}`

/** Stanzas of a session that may wait to be handled; at 1 ms each they are a second's work. */
const MOST_WAITING = 1_000

/** What is not the stanza's doing. A conflict is, unless it says that another process owns the keys now. */
const isStorageFailure = (error: unknown): boolean =>
  isParleyError(error, 'storage_unavailable') ||
  isParleyError(error, 'data_damaged') ||
  (isParleyError(error, 'conflict') && error.data?.reason === 'not_the_owner') ||
  messageOf(error).startsWith(STORAGE_FAILURE)
