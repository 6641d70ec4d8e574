import type { ServerResponse } from 'node:http'
import type { WebSocket } from 'ws'
import type { Clock } from '../kernel/clock.ts'
import { isParleyError } from '../kernel/errors.ts'
import type { LiveItem } from './route.ts'

/** A reader that takes nothing for so long is dropped; it can come back with its cursor. */
export const STALL_MS = 20_000

/** The reader did not take what was sent. */
export class SlowReader extends Error {
  override readonly name = 'SlowReader'
}

export type EndReason = 'ended' | 'closing' | 'refused' | 'failed'

/** One live connection, whatever its protocol. */
export interface Line {
  /** For the log. */
  readonly status: number
  /** Resolves when the connection is gone. */
  readonly closed: Promise<void>
  onClose(callback: () => void): void
  /** Resolves when there is room for more. @throws SlowReader */
  send(item: LiveItem): Promise<void>
  /** A sign of life, in both directions where the protocol has that. */
  beat(): void
  /** Says goodbye; `error`: the refusal, or what failed. */
  end(reason: EndReason, error?: unknown): void
  /** Without a goodbye. */
  cut(): void
}

/** Waits for `start` to call back, or the connection to close, but not for longer than a stalled reader may take. */
const within = (clock: Clock, closed: Promise<void>, start: (done: () => void) => void): Promise<void> =>
  new Promise((resolve, reject) => {
    const cancel = clock.after(STALL_MS, () => reject(new SlowReader(`the reader took nothing for ${STALL_MS} ms`)))
    const done = () => {
      cancel()
      resolve()
    }
    void closed.then(done)
    start(done)
  })

/** Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html */
export class StreamLine implements Line {
  readonly status = 200
  readonly closed: Promise<void>
  readonly #response: ServerResponse
  readonly #clock: Clock
  #isClosed = false

  constructor(response: ServerResponse, clock: Clock) {
    this.#response = response
    this.#clock = clock
    this.closed = new Promise((resolve) => {
      const onClose = () => {
        this.#isClosed = true
        resolve()
      }
      response.once('close', onClose)
      // A response that waits behind another on its connection is not told.
      response.req.socket.once('close', onClose)
    })
    response.on('error', () => undefined) // its closing says the same
  }

  open(head: readonly string[]): void {
    this.#response.writeHead(200, [...head, 'content-type', 'text/event-stream; charset=utf-8'])
    // How long a client waits before it comes back, and something that makes middle boxes pass on the head.
    this.#response.write('retry: 2000\n\n: connected\n\n')
  }

  onClose(callback: () => void): void {
    void this.closed.then(callback)
  }

  async send({ id, event, data }: LiveItem): Promise<void> {
    if (this.#isClosed) return
    if (this.#response.write(`id: ${id}\nevent: ${event}\ndata: ${data}\n\n`)) return
    await within(this.#clock, this.closed, (done) => this.#response.once('drain', done))
  }

  beat(): void {
    if (!this.#isClosed && !this.#response.writableNeedDrain) this.#response.write(': heartbeat\n\n')
  }

  end(reason: EndReason, error?: unknown): void {
    if (this.#isClosed) return
    this.#response.end(`: ${reason}${isParleyError(error) ? ` ${error.code}` : ''}\n\n`)
  }

  cut(): void {
    this.#response.destroy()
  }
}

/** RFC 6455, 7.4.1, and those for private use. */
const CLOSE_CODES: Readonly<Record<EndReason, number>> = { ended: 1000, closing: 1001, refused: 1008, failed: 1011 }

export class SocketLine implements Line {
  readonly status = 101
  readonly closed: Promise<void>
  readonly #socket: WebSocket
  readonly #clock: Clock
  #isAlive = true

  constructor(socket: WebSocket, clock: Clock) {
    this.#socket = socket
    this.#clock = clock
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()))
    socket.on('error', () => undefined) // its closing says the same
    socket.on('pong', () => {
      this.#isAlive = true
    })
  }

  onClose(callback: () => void): void {
    // A goodbye of the other side counts at once.
    this.#socket.once('close', callback)
  }

  async send({ data }: LiveItem): Promise<void> {
    if (this.#socket.readyState !== this.#socket.OPEN) return
    await within(this.#clock, this.closed, (done) => this.#socket.send(data, () => done()))
  }

  beat(): void {
    if (!this.#isAlive) {
      this.cut()
      return
    }
    this.#isAlive = false
    this.#socket.ping()
  }

  end(reason: EndReason, error?: unknown): void {
    this.#socket.close(CLOSE_CODES[reason], isParleyError(error) ? error.code : reason)
  }

  cut(): void {
    this.#socket.terminate()
  }
}
