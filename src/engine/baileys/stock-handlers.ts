import type { BinaryNode } from 'baileys'
import { messageOf } from '../../kernel/errors.ts'

export type StockTask = 'notification' | 'receipt' | 'call'

/**
 * Baileys' own handlers of notifications, calls and retry receipts: still asked to do their part, but the stanza is
 * acknowledged by us, when what came of it is stored.
 *
 * They send the acknowledgement themselves, whatever has happened, and swallow every error. The one thing in their hands
 * that is ours is the logger: what they say to it right before the acknowledgement leaves, and when something failed. Each
 * task must run alone; Baileys has a mutex for each anyway.
 */
export class StockHandlers {
  readonly #withheld = new WeakSet<object>()
  readonly #failures = new Map<StockTask, Error>()
  readonly #onStateRefused: (collection: string, words: string) => void

  constructor(onStateRefused: (collection: string, words: string) => void = () => undefined) {
    this.#onStateRefused = onStateRefused
  }

  /** Resolves when Baileys has done its part and its listeners were told. @throws what Baileys has swallowed */
  async run(task: StockTask, listener: (node: BinaryNode) => unknown, node: BinaryNode): Promise<void> {
    // with `offline` it would only be put into a queue of Baileys'
    const { offline: _, ...attrs } = node.attrs
    this.#withheld.add(attrs)
    this.#failures.delete(task)
    await listener({ ...node, attrs })
    const failure = this.#failures.get(task)
    if (failure) throw failure
  }

  /** A line of Baileys' at `debug`. @throws AcknowledgementWithheld where an acknowledgement must not leave */
  onDebug(fields: unknown, message: string | undefined): void {
    if (message !== 'sent ack') return
    const attrs = (fields as { recv?: { attrs?: object } }).recv?.attrs
    if (attrs && this.#withheld.has(attrs)) throw new AcknowledgementWithheld()
  }

  /** A line of Baileys' at `warn`: changes whose MACs do not hold are left out, and it goes on as if there were none. */
  onWarn(fields: unknown, message: string | undefined): void {
    if (!message || !STATE_REFUSED.test(message)) return
    const { name, error } = (fields ?? {}) as { name?: string; error?: string }
    const words = `the app state does not verify: ${error ?? message}`
    this.#failures.set('notification', new Error(words))
    this.#onStateRefused(name ?? '', words)
  }

  /** A line of Baileys' at `error`. Answers whether it is only the consequence of what was withheld. */
  onError(fields: unknown, message: string | undefined): boolean {
    const { ackErr, err, error, trace } = (fields ?? {}) as Record<'ackErr' | 'err' | 'error' | 'trace', unknown>
    if (ackErr instanceof AcknowledgementWithheld) return true
    const task = FAILURES[message ?? '']
    if (task) {
      const failure = err ?? error ?? (typeof trace === 'string' ? trace.split('\n')[0] : message)
      this.#failures.set(task, failure instanceof Error ? failure : new Error(messageOf(failure)))
    }
    return false
  }
}

export class AcknowledgementWithheld extends Error {
  override readonly name = 'AcknowledgementWithheld'
}

const STATE_REFUSED = /^(failed to decode patch|LTHash verification failed)/

/** What Baileys says when it swallows an error. */
const FAILURES: Readonly<Record<string, StockTask>> = {
  "unexpected error in 'handling notification'": 'notification',
  'failed to handle devices notification': 'notification',
  "unexpected error in 'handling call'": 'call',
  'error in handling call': 'call',
  "unexpected error in 'handling receipt'": 'receipt',
  'error in sending message again': 'receipt',
}
