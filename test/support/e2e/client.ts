import assert from 'node:assert/strict'
import { recordCall } from './recording.ts'

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly bytes: Uint8Array
  /** The parsed body; undefined when it is not JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests reach into replies of every shape
  readonly body: any
  /** `body.data`. */
  // biome-ignore lint/suspicious/noExplicitAny: tests reach into replies of every shape
  readonly data: any
}

export interface Call {
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as JSON. */
  readonly body?: unknown
  /** Sent as it is. */
  readonly raw?: string | URLSearchParams | FormData
}

/** Calls the gateway; every reply is held against what all replies have in common, and recorded. */
export class Client {
  readonly base: string
  readonly #headers: Readonly<Record<string, string>>

  constructor(base: string, headers: Readonly<Record<string, string>> = {}) {
    this.base = base
    this.#headers = headers
  }

  with(headers: Readonly<Record<string, string>>): Client {
    return new Client(this.base, { ...this.#headers, ...headers })
  }

  /** Whatever the answer is. */
  async call(method: string, path: string, { headers = {}, body, raw }: Call = {}): Promise<Answer> {
    const response = await fetch(`${this.base}${path}`, {
      method,
      redirect: 'manual',
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...this.#headers, ...headers },
      ...(body === undefined ? (raw === undefined ? {} : { body: raw }) : { body: JSON.stringify(body) }),
    })
    const bytes = new Uint8Array(await response.arrayBuffer())
    const text = Buffer.from(bytes).toString('utf8')
    const answer = { status: response.status, headers: response.headers, bytes, text, ...parse(response, text) }
    checkEveryReply(`${method} ${path}`, answer)
    recordCall(method, new URL(path, 'http://x').pathname, response.status)
    return answer
  }

  /** @throws when the answer is not a success */
  async ok(method: string, path: string, body?: unknown): Promise<Answer> {
    const answer = await this.call(method, path, body === undefined ? {} : { body })
    assert.ok(
      answer.status >= 200 && answer.status < 300,
      `${method} ${path} answered ${answer.status}: ${answer.text}`,
    )
    return answer
  }

  /** @throws when the answer has another status; answers its `data` with `message` beside */
  async refused(status: number, method: string, path: string, body?: unknown): Promise<Answer> {
    const answer = await this.call(method, path, body === undefined ? {} : { body })
    assert.equal(answer.status, status, `${method} ${path} answered ${answer.status}: ${answer.text.slice(0, 500)}`)
    assert.equal(answer.body.status, false)
    return answer
  }
}

const parse = (response: Response, text: string): { body: unknown; data: unknown } => {
  if (!response.headers.get('content-type')?.startsWith('application/json')) return { body: undefined, data: undefined }
  const body = JSON.parse(text) as { data?: unknown }
  return { body, data: body.data }
}

const checkEveryReply = (what: string, { status, headers, body }: Answer): void => {
  assert.match(headers.get('x-request-id') ?? '', /^[\x21-\x7e]{1,128}$/, `${what}: X-Request-ID`)
  assert.notEqual(status, 500, `${what} answered 500: ${JSON.stringify(body)}`)
  if (body === undefined || !('status' in body)) {
    assert.ok(status < 400, `${what}: a refusal (${status}) outside the envelope`)
    return
  }
  assert.equal(body.code, status, `${what}: code in the envelope`)
  assert.equal(body.status, status < 400, `${what}: status in the envelope`)
  assert.equal(typeof body.message, 'string')
  if (status >= 400) {
    assert.equal(body.error, body.message, `${what}: error and message`)
    assert.equal(typeof body.data?.error_code, 'string', `${what}: error_code`)
  }
}
