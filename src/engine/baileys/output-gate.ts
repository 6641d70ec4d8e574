import { ParleyError } from '../../kernel/errors.ts'

/** What a WebSocket has to send with, as Baileys calls it. */
export interface FrameSink {
  send(frame: Uint8Array, done: (error?: Error) => void): void
}

interface Waiting {
  readonly frame: Uint8Array
  readonly done: (error?: Error) => void
  /** The newest commit that was under way when the frame was made. */
  readonly after: number
}

/**
 * Rule 2 of durability, where nothing can get round it: a frame leaves a session's socket only after every commit of a
 * ratchet that was begun before the frame was made. So an encryption need not wait for the disk itself. That matters,
 * because Baileys encrypts for one device at a time and our own phone gets a copy of every message: with the wait inside,
 * a session sends one message per commit; with the wait here, messages share commits.
 *
 * Frames keep their order (each has its number in the Noise cipher). After a failed commit nothing leaves any more: the
 * connection has to end.
 */
export class OutputGate {
  readonly #waiting: Waiting[] = []
  /** Numbers of the commits under way, oldest first. */
  readonly #commits = new Set<number>()
  #last = 0
  #send: FrameSink['send'] | undefined
  #failed = false

  /** Puts itself before a socket's `send`. */
  guard(socket: FrameSink): void {
    this.#send = socket.send.bind(socket)
    socket.send = (frame, done) => {
      if (this.#failed) done(brokenOff())
      else if (this.#commits.size === 0) this.#send!(frame, done)
      else this.#waiting.push({ frame, done, after: this.#last })
    }
  }

  /** Holds what is sent from now on until `commit` is done. `onFailure` is told after the gate has shut. */
  hold(commit: Promise<unknown>, onFailure: (error: unknown) => void): void {
    const number = ++this.#last
    this.#commits.add(number)
    commit.then(
      () => {
        this.#commits.delete(number)
        this.#release()
      },
      (error: unknown) => {
        this.#failed = true
        for (const { done } of this.#waiting.splice(0)) done(brokenOff())
        onFailure(error)
      },
    )
  }

  #release(): void {
    const [oldest] = this.#commits
    let count = 0
    while (count < this.#waiting.length && (oldest === undefined || this.#waiting[count]!.after < oldest)) count++
    for (const { frame, done } of this.#waiting.splice(0, count)) this.#send!(frame, done)
  }
}

/** What a send hears that was under way when keys could not be stored: it is tried again on the next connection. */
export const brokenOff = (cause?: unknown): ParleyError =>
  new ParleyError('not_connected', 'the connection to WhatsApp was ended: keys could not be stored', { cause })
