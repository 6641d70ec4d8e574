/** Calls a sandbox's control API. */
export class ControlClient {
  readonly #base: string

  constructor(base: string) {
    this.#base = base
  }

  /** The status and the JSON of a reply; a string is sent as it is, anything else as JSON. */
  async call(method: string, path: string, body?: unknown) {
    const sent = body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }
    const response = await fetch(this.#base + path, { method, ...sent })
    // biome-ignore lint/suspicious/noExplicitAny: replies are checked field by field
    return { status: response.status, headers: response.headers, body: (await response.json()) as any }
  }

  /** The JSON of a reply that must be a success. */
  async get(path: string) {
    return this.#succeed('GET', path)
  }

  async post(path: string, body: unknown = {}) {
    return this.#succeed('POST', path, body)
  }

  async #succeed(method: string, path: string, body?: unknown) {
    const reply = await this.call(method, path, body)
    if (reply.status >= 300) throw new Error(`${method} ${path}: ${reply.status} ${JSON.stringify(reply.body)}`)
    return reply.body
  }
}
