import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Ledger } from './ledger.ts'
import type { LoggedEvent } from './log-verdict.ts'
import { ReceiverFaults, type RequestFault, STALL_MS } from './receiver-faults.ts'

interface WebhookEvent extends LoggedEvent {
  readonly data: LoggedEvent['data'] & {
    readonly message_id?: string
    readonly text?: string | null
    readonly chat?: string
    readonly status?: string
  }
}

/** How it treats what comes. */
export type Mood = 'well' | 'failing' | 'refusing'

/** A webhook receiver with moods and faults: one path for each device. */
export class ChaosReceiver implements AsyncDisposable {
  /** Event ids by the life in which each POST was read in full, the unanswered and the refused ones included. */
  readonly posts: Set<string>[] = [new Set()]
  /** By device: the events it has kept, each once, in the order of their first arrival. */
  readonly kept = new Map<string, LoggedEvent[]>()
  /** Distinct ids of `message.undecryptable` events. */
  readonly undecryptable = new Set<string>()
  /** By device and message id: what `message.status` told. */
  readonly statuses = new Map<string, string[]>()
  readonly faults = new ReceiverFaults()
  /** Events that came again though they had been kept: what "at least once" means. */
  redelivered = 0
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
    else if (before === 'refusing') {
      await this.start()
      this.faults.reopened()
    }
  }

  /** The next life of the gateway begins. */
  nextLife(): void {
    this.posts.push(new Set())
    this.faults.nextLife()
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
    // the sender died in the middle, or we cut it off
    request.on('error', () => undefined)
    response.on('error', () => undefined)
    const eventId = String(request.headers['x-webhook-id'])
    this.faults.came(eventId)
    const device = (request.url ?? '/').slice(1)
    const fault = this.faults.take(device)
    if (fault === 'cut_before_read') {
      this.faults.struck(eventId, fault)
      request.socket.destroy()
      return
    }
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const event = JSON.parse(Buffer.concat(parts).toString('utf8')) as WebhookEvent
      this.posts.at(-1)!.add(event.id)
      if (fault === 'retry_after') this.#refuse(response, event, fault)
      else if (!fault && this.#mood === 'failing') this.#refuse(response, event, 'failing')
      else {
        this.#keep(device, event)
        this.#answer(response, event, fault)
      }
    })
  }

  /** It has read the event and keeps nothing of it. */
  #refuse(response: ServerResponse, { id }: WebhookEvent, why: 'retry_after' | 'failing'): void {
    this.faults.struck(id, why)
    if (why === 'failing') response.writeHead(503).end()
    else response.writeHead(this.faults.hits.retry_after % 2 === 0 ? 429 : 503, { 'retry-after': '1' }).end()
  }

  #answer(response: ServerResponse, { id }: WebhookEvent, fault: RequestFault | undefined): void {
    const onPost = this.#onPost
    if (onPost) {
      this.#onPost = undefined
      onPost()
      return
    }
    switch (fault) {
      case 'cut_after_read':
        this.faults.struck(id, fault)
        response.socket?.destroy()
        return
      case 'cut_in_answer':
        this.faults.struck(id, fault)
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': '64' })
        response.write('{"taken":', () => response.socket?.destroy())
        return
      case 'stalled':
        this.#stall(response, id)
        return
      default:
        response.writeHead(200).end()
    }
  }

  #stall(response: ServerResponse, eventId: string): void {
    const since = performance.now()
    const timer = setTimeout(() => response.writeHead(200).end(), STALL_MS)
    response.once('close', () => {
      clearTimeout(timer)
      if (!response.writableEnded) this.faults.stalled(eventId, performance.now() - since)
    })
  }

  #keep(device: string, event: WebhookEvent): void {
    const { id, event_type, data } = event
    if (this.#seen.has(id)) {
      this.redelivered += 1
      return
    }
    this.#seen.add(id)
    const kept = this.kept.get(device) ?? []
    this.kept.set(device, kept)
    kept.push(event)
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
