import type { Agent, Dispatcher } from 'undici'
import type { Clock } from '../kernel/clock.ts'
import { messageOf } from '../kernel/errors.ts'
import type { AddressGuard } from './address-guard.ts'
import type { Dial } from './dial.ts'
import { guardedAgent } from './guarded-agent.ts'
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
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #agent: Agent

  constructor({ guard, clock, dial, totalTimeoutMs = TOTAL_TIMEOUT_MS }: Dependencies) {
    this.#clock = clock
    this.#timeoutMs = totalTimeoutMs
    this.#agent = guardedAgent({ guard, clock, dial })
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
