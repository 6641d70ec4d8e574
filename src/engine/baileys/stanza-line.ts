import { type BinaryNode, NACK_REASONS } from 'baileys'
import { messageOf } from '../../kernel/errors.ts'
import { boundId } from '../../kernel/ids.ts'
import { bareJid } from '../../kernel/jid.ts'
import { KeyedQueue } from '../../kernel/keyed-queue.ts'
import type { Logger } from '../../kernel/logger.ts'
import type { StanzaFailureRepository } from '../../storage/index.ts'
import type { Intake, Occurrence } from '../index.ts'
import { isStorageFailure, notePoison } from './poison.ts'

/** A stanza that was decrypted, or understood as far as it goes. */
export interface Opened {
  /** What is to be committed; absent or undefined when there is nothing. */
  readonly occurrence?: () => Promise<Occurrence | undefined>
  /** Says to the service that the stanza need not come again. */
  readonly answer: () => Promise<void>
}

interface Stored {
  readonly committed: Promise<void> | undefined
  readonly answer: () => Promise<void>
}

export interface StanzaLineDeps {
  readonly deviceId: string
  readonly intake: Intake
  readonly failures: Pick<StanzaFailureRepository, 'note'>
  /** Beyond this many stanzas that wait no more are taken. */
  readonly mostWaiting?: number
  readonly logger: Logger
  readonly acknowledge: (node: BinaryNode, code?: number) => Promise<void>
  /** False when the connection is gone: what fails then is not the stanza's doing. */
  readonly isConnected: () => boolean
  /** Called when there were too many and all that were taken are handled; the session must close its socket. */
  readonly onOverload: () => void
  /** Called when a stanza could not be stored; the session must close its socket. */
  readonly onStorageFailure: (error: unknown) => void
}

/**
 * The order in which stanzas are opened, stored and answered, and what becomes of those that fail.
 *
 * Stanzas of one author are opened one after the other, those of different authors side by side. They are handed to the
 * intake in the order in which they came, and not each only when the one before is on the disk: those that come close
 * together share its commits. What came after a stanza that could not be stored is not stored either.
 *
 * When our own storage fails, nothing is acknowledged and the connection is closed: WhatsApp keeps the stanza and sends
 * it again. A stanza that breaks us is counted, and put aside when it has come often enough (`poison.ts`).
 *
 * Where stanzas come faster than they can be stored, so that over a thousand wait, no more are taken: those that wait are
 * handled, the connection is closed, and WhatsApp keeps the rest for the next one.
 */
export class StanzaLine {
  readonly #deps: StanzaLineDeps
  readonly #mostWaiting: number
  /** Opening, by author. */
  readonly #opening = new KeyedQueue<string>()
  /** Handling of what stands in no order with the rest, by lane. */
  readonly #lanes = new KeyedQueue<string>()
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

  constructor(deps: StanzaLineDeps) {
    this.#deps = deps
    this.#mostWaiting = deps.mostWaiting ?? MOST_WAITING
  }

  get isStopped(): boolean {
    return this.#stopped
  }

  /** Settles when everything handed to the intake so far is committed, or failed. */
  get committed(): Promise<unknown> {
    return this.#committed
  }

  /** Nothing more is taken; resolves when what stands in order is done. */
  stop(): Promise<void> {
    this.#stopped = true
    return this.#tail
  }

  /** In order with all others that come this way. */
  take(node: BinaryNode, open: () => Promise<Opened | undefined>): void {
    if (!this.#begin()) return
    const opened = this.#opening.run(authorOf(node), () => (this.#stopped ? undefined : open()))
    const stored = Promise.allSettled([opened, this.#order]).then(() => this.#store(opened))
    this.#order = stored.catch(() => undefined)
    this.#tail = this.#tail.then(async () => {
      await this.#finish(node, stored)
      this.#end()
    })
  }

  /**
   * Out of order: one after another in its lane, where each may take as long as a question to the service does. `handle`
   * resolves with the answer when everything that the stanza says is committed.
   */
  takeApart(lane: string, node: BinaryNode, handle: () => Promise<() => Promise<void>>): void {
    if (!this.#begin()) return
    const handled = this.#lanes.run(lane, () => (this.#stopped ? undefined : handle()))
    void this.#finishApart(node, handled).then(() => this.#end())
  }

  /** Ends a stanza that was taken in order, without holding up those behind it. */
  async finishApart(node: BinaryNode, handle: () => Promise<() => Promise<void>>): Promise<void> {
    await this.#finishApart(node, handle())
  }

  #finishApart(node: BinaryNode, handled: Promise<(() => Promise<void>) | undefined>): Promise<void> {
    return this.#finish(
      node,
      handled.then((answer) => answer && { committed: undefined, answer }),
    )
  }

  /** False when nothing more is taken: it comes again on the next connection. */
  #begin(): boolean {
    if (this.#stopped || this.#overloaded) return false
    this.#waiting++
    if (this.#waiting > this.#mostWaiting) {
      this.#overloaded = true
      this.#deps.logger.warn(
        { waiting: this.#waiting },
        'stanzas come faster than they can be stored; the rest is left',
      )
    }
    return true
  }

  #end(): void {
    this.#waiting--
    if (!this.#overloaded || this.#waiting > 0 || this.#stopped) return
    this.#stopped = true
    this.#deps.onOverload()
  }

  /** Hands over what an opened stanza said; answers without waiting for the commit. */
  async #store(opened: Promise<Opened | undefined>): Promise<Stored | undefined> {
    const stanza = await opened
    if (!stanza || this.#stopped) return undefined
    const occurrence = await stanza.occurrence?.()
    if (!occurrence) return { committed: undefined, answer: stanza.answer }
    const committed = this.#deps.intake(this.#deps.deviceId, occurrence, () => !this.#broken)
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
        this.#deps.logger.error({ reason: messageOf(error) }, 'a stanza could neither be handled nor put aside')
      else {
        this.#break()
        this.#deps.onStorageFailure(error)
      }
    }
  }

  #break(): void {
    this.#broken = true
    this.#stopped = true
  }

  async #putAside(node: BinaryNode, error: unknown): Promise<void> {
    const { deviceId, failures, logger, acknowledge, isConnected } = this.#deps
    // whatever asked the service something fails with the connection; the stanza comes again on the next one
    if (!isConnected()) return
    const { attempts, givenUp } = await notePoison(failures, deviceId, node, error)
    logger.error(
      { tag: node.tag, id: boundId(node.attrs.id ?? ''), attempts, given_up: givenUp, reason: messageOf(error) },
      'a stanza could not be handled',
    )
    if (!givenUp) return
    const code = node.tag === 'message' ? NACK_REASONS.UnhandledError : undefined
    await acknowledge(node, code).catch((reason: unknown) => {
      logger.debug({ reason: messageOf(reason) }, 'an acknowledgement did not leave')
    })
  }
}

/** Whose sessions and sender keys a stanza is opened with. */
const authorOf = ({ tag, attrs }: BinaryNode): string => `${tag} ${bareJid(attrs.participant ?? attrs.from ?? '')}`

/** Stanzas of a session that may wait to be handled; at 1 ms each they are a second's work. */
const MOST_WAITING = 1_000
