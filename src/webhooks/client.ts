import type { Socket } from 'node:net'
import { Agent, type buildConnector, type Dispatcher } from 'undici'
import type { Clock } from '../kernel/clock.ts'
import { messageOf } from '../kernel/errors.ts'
import type { AddressGuard } from './address-guard.ts'
import { type Dial, dial as dialDefault, untilConnected } from './dial.ts'
import type { WebhookRequest } from './request.ts'

/** What became of one attempt. */
export type Answer =
  | {
      readonly kind: 'answered'
      readonly status: number
      readonly latencyMs: number
      /** The first bytes of the body, as text; empty for 2xx. */
      readonly excerpt: string
      /** The `Retry-After` header as it came. */
      readonly retryAfter: string | undefined
    }
  /** No answer: name, connection, TLS, time, or refused by the address guard. */
  | { readonly kind: 'failed'; readonly latencyMs: number; readonly error: string }

/** Sends webhook requests. */
export interface WebhookClient {
  post(request: WebhookRequest): Promise<Answer>
}

/** From the start of an attempt to the end of the answer, connecting included. */
const TOTAL_TIMEOUT_MS = 10_000
const CONNECT_TIMEOUT_MS = 3_000
/** Of the addresses of a name, at most these are tried. */
const MAX_ADDRESSES = 3
/** An answer is read to its end, so that the connection can be used again, but no further than this. */
const MAX_ANSWER_BYTES = 64 * 1024
const EXCERPT_BYTES = 1024

interface Dependencies {
  readonly guard: AddressGuard
  readonly clock: Clock
  /** Opens sockets; tests give one that cannot leave the machine. */
  readonly dial?: Dial
  readonly totalTimeoutMs?: number
}

/**
 * The only way out for webhooks: every connection is dialled by us, to an address that the guard has just checked;
 * redirects are answers like any other, no proxy of the environment is used, and an answer's size and time are bounded.
 */
export class HttpWebhookClient implements WebhookClient, AsyncDisposable {
  readonly #guard: AddressGuard
  readonly #clock: Clock
  readonly #dial: Dial
  readonly #timeoutMs: number
  readonly #agent: Agent

  constructor({ guard, clock, dial = dialDefault, totalTimeoutMs = TOTAL_TIMEOUT_MS }: Dependencies) {
    this.#guard = guard
    this.#clock = clock
    this.#dial = dial
    this.#timeoutMs = totalTimeoutMs
    this.#agent = new Agent({
      connect: (options, callback) => {
        this.#connect(options).then(
          (socket) => callback(null, socket),
          (error: Error) => callback(error, null),
        )
      },
      allowH2: false,
      pipelining: 1,
      // How many connections there are is the dispatcher's business.
      connections: null,
      keepAliveTimeout: 4_000,
      keepAliveMaxTimeout: 60_000,
      // One timer of ours covers the whole attempt.
      headersTimeout: 0,
      bodyTimeout: 0,
      connectTimeout: 0,
      maxHeaderSize: 16 * 1024,
    })
  }

  post(request: WebhookRequest): Promise<Answer> {
    return new Promise((resolve) => {
      const attempt = new Attempt(this.#clock, this.#timeoutMs, resolve)
      const url = new URL(request.url)
      try {
        this.#agent.dispatch(
          {
            origin: url.origin,
            path: url.pathname + url.search,
            method: 'POST',
            headers: request.headers,
            body: request.body,
          },
          attempt,
        )
      } catch (error) {
        attempt.fail(messageOf(error))
      }
    })
  }

  /** Idle connections close, those in use are cut. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy()
  }

  async #connect({ hostname, port, protocol }: buildConnector.Options): Promise<Socket> {
    const tls = protocol === 'https:'
    const host = hostname.replace(/^\[|\]$/g, '')
    const addresses = (await this.#guard.resolve(host)).slice(0, MAX_ADDRESSES)
    let failure: unknown
    for (const address of addresses) {
      try {
        const socket = this.#dial({
          address,
          port: port === '' ? (tls ? 443 : 80) : Number(port),
          tlsName: tls ? host : undefined,
        })
        await untilConnected(socket, tls, CONNECT_TIMEOUT_MS, this.#clock)
        return socket
      } catch (error) {
        failure = error
      }
    }
    throw failure
  }
}

/** Collects one answer, within its time and size. */
class Attempt implements Dispatcher.DispatchHandler {
  readonly #clock: Clock
  readonly #startedAt: number
  readonly #cancelTimer: () => void
  readonly #resolve: (answer: Answer) => void
  readonly #chunks: Buffer[] = []
  #controller: Dispatcher.DispatchController | undefined
  #status = 0
  #retryAfter: string | undefined
  #bytes = 0
  #done = false

  constructor(clock: Clock, timeoutMs: number, resolve: (answer: Answer) => void) {
    this.#clock = clock
    this.#startedAt = clock.now()
    this.#resolve = resolve
    this.#cancelTimer = clock.after(timeoutMs, () => this.fail(`no answer within ${timeoutMs / 1000} s`))
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#done) controller.abort(new Error('too late'))
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): void {
    if (status < 200) return
    this.#status = status
    const retryAfter = headers['retry-after']
    this.#retryAfter = typeof retryAfter === 'string' ? retryAfter : undefined
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#bytes < EXCERPT_BYTES) this.#chunks.push(chunk.subarray(0, EXCERPT_BYTES - this.#bytes))
    this.#bytes += chunk.length
    // The status is known; the rest of the body is of no interest.
    if (this.#bytes > MAX_ANSWER_BYTES) this.#answer()
  }

  onResponseEnd(): void {
    this.#answer()
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.fail(messageOf(error))
  }

  fail(error: string): void {
    this.#end({ kind: 'failed', latencyMs: this.#latency(), error })
  }

  #answer(): void {
    this.#end({
      kind: 'answered',
      status: this.#status,
      latencyMs: this.#latency(),
      excerpt: this.#status >= 200 && this.#status < 300 ? '' : Buffer.concat(this.#chunks).toString('utf8').trim(),
      retryAfter: this.#retryAfter,
    })
  }

  #end(answer: Answer): void {
    if (this.#done) return
    this.#done = true
    this.#cancelTimer()
    this.#resolve(answer)
    // After the last byte this changes nothing; before it, it closes the connection.
    if (answer.kind === 'failed' || this.#bytes > MAX_ANSWER_BYTES) this.#controller?.abort(new Error('ended'))
  }

  #latency(): number {
    return Math.max(0, this.#clock.now() - this.#startedAt)
  }
}
