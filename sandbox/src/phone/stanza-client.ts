import { randomBytes } from 'node:crypto'
import type { Attachment } from '../service/peer.ts'
import { type BinaryNode, child, node } from '../wire/node.ts'

/** The service answered an IQ or a message with an error. */
export class StanzaError extends Error {
  readonly code: number
  constructor(code: number, text: string) {
    super(text)
    this.name = 'StanzaError'
    this.code = code
  }
}

/** The service answered nothing in time: only a fault makes it do so. */
export class NoAnswerError extends Error {
  override readonly name = 'NoAnswerError'
}

/** The phone has no network, or lost it before the answer came. */
export class OfflineError extends Error {
  override readonly name = 'OfflineError'
}

interface Pending {
  readonly resolve: (answer: BinaryNode) => void
  readonly reject: (error: Error) => void
  readonly timer: NodeJS.Timeout
}

// The service answers in the same process, within milliseconds.
const ANSWER_TIMEOUT_MS = 5_000

/** Sends stanzas over an attachment and matches the answers by id. */
export class StanzaClient {
  #attachment: Attachment | undefined
  readonly #pending = new Map<string, Pending>()
  readonly #prefix = randomBytes(4).toString('hex')
  #counter = 0

  get connected(): boolean {
    return this.#attachment !== undefined
  }

  connect(attachment: Attachment): void {
    this.#attachment = attachment
  }

  /** Whatever waits for an answer fails. */
  disconnect(): Attachment | undefined {
    const attachment = this.#attachment
    this.#attachment = undefined
    for (const id of Array.from(this.#pending.keys()))
      this.#settle(id)?.reject(new OfflineError('the phone went offline'))
    return attachment
  }

  /** @throws OfflineError */
  send(stanza: BinaryNode): void {
    if (this.#attachment === undefined) throw new OfflineError('the phone is offline')
    this.#attachment.send(stanza)
  }

  nextId(): string {
    this.#counter += 1
    return `${this.#prefix}.${this.#counter}`
  }

  /** Sends an IQ. @throws StanzaError when it is answered with an error, NoAnswerError, OfflineError */
  query(type: 'get' | 'set', xmlns: string, to: string, content: BinaryNode[]): Promise<BinaryNode> {
    const id = this.nextId()
    return this.exchange(id, node('iq', { id, type, xmlns, to }, content))
  }

  /** Sends a stanza and waits for the answer or the ack with the same id. @throws StanzaError, NoAnswerError after 5 s, OfflineError */
  exchange(id: string, stanza: BinaryNode): Promise<BinaryNode> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#settle(id)
        reject(new NoAnswerError(`no answer to ${stanza.tag} ${id}`))
      }, ANSWER_TIMEOUT_MS)
      timer.unref()
      this.#pending.set(id, { resolve, reject, timer })
      try {
        this.send(stanza)
      } catch (error) {
        this.#settle(id)
        reject(error)
      }
    })
  }

  /** Takes an answer or an ack; false when nothing here waits for it. */
  takeAnswer(answer: BinaryNode): boolean {
    const pending = this.#settle(answer.attrs.id ?? '')
    if (pending === undefined) return false
    const error = child(answer, 'error')
    if (answer.tag === 'iq' && answer.attrs.type === 'error') {
      pending.reject(new StanzaError(Number(error?.attrs.code ?? 500), error?.attrs.text ?? 'refused'))
    } else if (answer.tag === 'ack' && answer.attrs.error !== undefined) {
      pending.reject(new StanzaError(Number(answer.attrs.error), `the service refused with ${answer.attrs.error}`))
    } else {
      pending.resolve(answer)
    }
    return true
  }

  #settle(id: string): Pending | undefined {
    const pending = this.#pending.get(id)
    if (pending !== undefined) {
      this.#pending.delete(id)
      clearTimeout(pending.timer)
    }
    return pending
  }
}
