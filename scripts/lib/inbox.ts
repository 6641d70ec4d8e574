import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { INBOX_PAGE } from './inbox-page.ts'

const KEPT = 200

/** A page that shows each webhook as it comes. Webhooks go to `/hook/{device_id}`. */
export class Inbox implements AsyncDisposable {
  readonly #server: Server
  /** Signing secret of each device's webhook. */
  readonly secrets = new Map<string, string>()
  readonly #shown: string[] = []
  readonly #watchers = new Set<ServerResponse>()

  private constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response))
  }

  /** Listens on 127.0.0.1, on `port` or, when that is taken, on a free one. */
  static async open(port: number): Promise<Inbox> {
    const inbox = new Inbox()
    await inbox.#listen(port).catch(() => inbox.#listen(0))
    return inbox
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(port, '127.0.0.1', () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url ?? '/'
    if (request.method === 'POST' && path.startsWith('/hook/'))
      this.#take(path.slice('/hook/'.length), request, response)
    else if (path === '/stream') this.#watch(response)
    else if (path === '/') response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(INBOX_PAGE)
    else response.writeHead(404).end()
  }

  #take(deviceId: string, request: IncomingMessage, response: ServerResponse): void {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const raw = Buffer.concat(parts)
      const signed = isSigned(this.secrets.get(deviceId), raw, String(request.headers['x-webhook-signature'] ?? ''))
      const line = JSON.stringify({ event: JSON.parse(raw.toString('utf8')), signed })
      response.writeHead(200).end()
      this.#shown.push(line)
      if (this.#shown.length > KEPT) this.#shown.shift()
      for (const watcher of this.#watchers) watcher.write(`data: ${line}\n\n`)
    })
  }

  #watch(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    for (const line of this.#shown) response.write(`data: ${line}\n\n`)
    this.#watchers.add(response)
    response.on('close', () => this.#watchers.delete(response))
  }
}

const isSigned = (secret: string | undefined, raw: Buffer, given: string): boolean => {
  if (secret === undefined) return false
  const wanted = `sha256=${createHmac('sha256', secret).update(raw).digest('hex')}`
  return wanted.length === given.length && timingSafeEqual(Buffer.from(wanted), Buffer.from(given))
}
