import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Ledger } from './ledger.ts'

interface WebhookEvent {
  readonly id: string
  readonly event_type: string
  readonly data: {
    readonly message_id?: string
    readonly text?: string | null
    readonly chat?: string
    readonly status?: string
  }
}

/** How it treats what comes. */
export type Mood = 'well' | 'failing' | 'refusing'

/** A webhook receiver with moods: one path for each device. */
export class ChaosReceiver implements AsyncDisposable {
  /** Event ids by the life in which each POST came, the unanswered ones included. */
  readonly posts: Set<string>[] = [new Set()]
  /** Distinct ids of `message.undecryptable` events. */
  readonly undecryptable = new Set<string>()
  /** By device and message id: what `message.status` told. */
  readonly statuses = new Map<string, string[]>()
  readonly types = new Map<string, number>()
  requests = 0
  readonly #ledger: Ledger
  readonly #seen = new Set<string>()
  #server: Server | undefined
  #port = 0
  #mood: Mood = 'well'
  #onPost: (() => void) | undefined

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  async start(): Promise<void> {
    const server = createServer((request, response) => this.#take(request, response))
    server.keepAliveTimeout = 5_000
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(this.#port, '127.0.0.1', resolve)
    })
    this.#port = (server.address() as AddressInfo).port
    this.#server = server
  }

  urlOf(device: string): string {
    return `http://127.0.0.1:${this.#port}/${device}`
  }

  /** `failing` answers 503; `refusing` is not there at all. */
  async setMood(mood: Mood): Promise<void> {
    if (mood === this.#mood) return
    const before = this.#mood
    this.#mood = mood
    if (mood === 'refusing') await this.#stop()
    else if (before === 'refusing') await this.start()
  }

  /** The next life of the gateway begins. */
  nextLife(): void {
    this.posts.push(new Set())
  }

  /** Calls at the next POST that is taken in full, and leaves that one without an answer. */
  holdNext(onPost: () => void): void {
    this.#onPost = onPost
  }

  forgetHold(): void {
    this.#onPost = undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop()
  }

  async #stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (!server) return
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await closed
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    // the sender died in the middle of its request
    request.on('error', () => undefined)
    request.on('end', () => {
      const device = (request.url ?? '/').slice(1)
      this.#record(device, JSON.parse(Buffer.concat(parts).toString('utf8')) as WebhookEvent)
      const onPost = this.#onPost
      if (onPost) {
        this.#onPost = undefined
        onPost()
        return
      }
      response.writeHead(this.#mood === 'failing' ? 503 : 200).end()
    })
  }

  #record(device: string, { id, event_type, data }: WebhookEvent): void {
    this.requests += 1
    this.posts.at(-1)!.add(id)
    if (this.#seen.has(id)) return
    this.#seen.add(id)
    this.types.set(event_type, (this.types.get(event_type) ?? 0) + 1)
    const messageId = data.message_id ?? ''
    if (event_type === 'message.received') {
      const { text, chat = '' } = data
      this.#ledger.arrive(this.#ledger.onDevices, device, { text: text ?? '', messageId, identity: id, chat })
    }
    if (event_type === 'message.undecryptable') this.undecryptable.add(id)
    if (event_type === 'message.status') {
      const key = `${device} ${messageId}`
      this.statuses.set(key, [...(this.statuses.get(key) ?? []), data.status ?? ''])
    }
  }
}
