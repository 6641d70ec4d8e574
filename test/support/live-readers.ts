import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { WebSocket } from 'ws'
import type { Envelope } from '../../src/events/envelope.ts'

export interface ReadOptions {
  /** Of the API; `/api` unless said. */
  readonly base?: string
  /** Hears of each event as it comes. */
  readonly onItem?: (envelope: Envelope) => void
}

export interface StreamItem {
  readonly id: string
  readonly event: string
  readonly envelope: Envelope
}

/** A reader of server-sent events, as a browser's EventSource reads them. */
export class StreamReader implements Disposable {
  readonly items: StreamItem[] = []
  readonly comments: string[] = []
  readonly response: IncomingMessage
  readonly closed: Promise<unknown>
  readonly #onItem: ReadOptions['onItem']
  #rest = ''

  private constructor(response: IncomingMessage, onItem: ReadOptions['onItem']) {
    this.response = response
    this.#onItem = onItem
    this.closed = once(response, 'close')
    response.setEncoding('utf8')
    response.on('error', () => undefined)
    response.on('data', (text: string) => this.#take(text))
  }

  /** @throws the refusal's status and body when there is no stream */
  static async open(
    port: number,
    path: string,
    headers: Readonly<Record<string, string>>,
    { base = '/api', onItem }: ReadOptions = {},
  ): Promise<StreamReader> {
    const request = httpRequest({ port, host: '127.0.0.1', path: `${base}${path}`, headers, agent: false })
    request.end()
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    if (response.statusCode !== 200) throw await refusalOf(response)
    return new StreamReader(response, onItem)
  }

  [Symbol.dispose](): void {
    this.response.destroy()
  }

  #take(text: string): void {
    this.#rest += text
    for (;;) {
      const end = this.#rest.indexOf('\n\n')
      if (end < 0) return
      const lines = this.#rest.slice(0, end).split('\n')
      this.#rest = this.#rest.slice(end + 2)
      const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2)
      const data = field('data')
      if (data === undefined) {
        this.comments.push(lines.join('|'))
        continue
      }
      const item = { id: field('id')!, event: field('event')!, envelope: JSON.parse(data) as Envelope }
      this.items.push(item)
      this.#onItem?.(item.envelope)
    }
  }
}

/** A reader over a WebSocket. @throws the refusal's status and body when there is none */
export const openSocket = async (
  port: number,
  path: string,
  headers: Readonly<Record<string, string>>,
  { base = '/api', onItem }: ReadOptions = {},
) => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${base}${path}`, { headers })
  const envelopes: Envelope[] = []
  socket.on('message', (data) => {
    const envelope = JSON.parse(String(data)) as Envelope
    envelopes.push(envelope)
    onItem?.(envelope)
  })
  const closed = new Promise<{ readonly code: number; readonly reason: string }>((resolve) => {
    socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }))
  })
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve)
    socket.once('unexpected-response', (_, response) => {
      refusalOf(response).then(reject, reject)
    })
    socket.once('error', reject)
  })
  socket.on('error', () => undefined)
  return { socket, envelopes, closed, [Symbol.dispose]: () => socket.terminate() }
}

const refusalOf = async (response: IncomingMessage): Promise<Error> => {
  let text = ''
  for await (const chunk of response) text += chunk
  return Object.assign(new Error(text), { status: response.statusCode, reply: JSON.parse(text) })
}
