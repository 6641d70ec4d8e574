// One connection of a companion: inspects what comes, matches answers with requests, passes the rest on.
import type { proto } from 'baileys/WAProto/index.js'
import { inspect } from './inspection.ts'
import type { Installation } from './installation.ts'
import { type Attrs, make, part, SERVICE, type Stanza } from './stanza.ts'
import { type Endpoint, Transport } from './transport.ts'
import { demand, Violation } from './violation.ts'

/** The service answered a request with an error. */
export class RequestRefused extends Error {
  readonly code: number

  constructor(code: number, text: string) {
    super(`${code} ${text}`)
    this.name = 'RequestRefused'
    this.code = code
  }
}

/** The connection has ended: `reason` is what the service said about it, if anything. */
export class ConnectionEnded extends Error {
  readonly reason: Stanza | undefined

  constructor(reason: Stanza | undefined) {
    super(`the connection ended: ${reason === undefined ? 'no reason given' : JSON.stringify(reason)}`)
    this.name = 'ConnectionEnded'
    this.reason = reason
  }
}

export interface ConnectionHandlers {
  readonly receive: (stanza: Stanza) => void
  readonly violation: (violation: Violation) => void
}

interface Waiter {
  readonly resolve: (answer: Stanza) => void
  readonly reject: (error: Error) => void
}

const ANSWER_TIMEOUT_MS = 5_000
const LAST_WORDS = new Set(['failure', 'stream:error', 'xmlstreamend'])

export class Connection {
  readonly transport: Transport
  readonly #installation: Installation
  readonly #handlers: ConnectionHandlers
  readonly #waiting = new Map<string, Waiter>()
  readonly #closed = Promise.withResolvers<Stanza | undefined>()
  #counter = 0
  /** What the service said last, before it closes. */
  #lastWords: Stanza | undefined
  ended: ConnectionEnded | undefined

  private constructor(transport: Transport, installation: Installation, handlers: ConnectionHandlers) {
    this.transport = transport
    this.#installation = installation
    this.#handlers = handlers
  }

  /** Connects; with the service's static key from before, by Noise IK. @throws Violation */
  static async open(
    endpoint: Endpoint,
    installation: Installation,
    payload: proto.IClientPayload,
    handlers: ConnectionHandlers,
  ): Promise<Connection> {
    const { noise, serverStatic } = installation
    const transport = await Transport.open({ endpoint, own: noise, payload, serverStatic })
    installation.serverStatic = transport.secured.serverStatic
    const connection = new Connection(transport, installation, handlers)
    transport.listen({
      receive: (stanza) => connection.#receive(stanza),
      closed: (violation) => connection.#end(violation),
    })
    return connection
  }

  /** Resolves when the connection is closed, with the last words of the service. */
  get whenClosed(): Promise<Stanza | undefined> {
    return this.#closed.promise
  }

  send(stanza: Stanza): void {
    if (this.ended !== undefined) throw this.ended
    this.transport.send(stanza)
  }

  /** Asks the service. @throws RequestRefused, ConnectionEnded, Violation */
  async query(type: 'get' | 'set', xmlns: string, content: readonly Stanza[], to = SERVICE): Promise<Stanza> {
    this.#counter += 1
    const id = `${this.#installation.registrationId}.${this.#counter}`
    const answer = await this.exchange(make('iq', { id, type, xmlns, to }, [...content]))
    const error = part(answer, 'error')
    if (answer.attrs.type === 'result') return answer
    throw new RequestRefused(Number(error?.attrs.code), error?.attrs.text ?? '')
  }

  /** Sends a stanza that is answered: by an `iq` of the same id, or by an `ack` of the same class, id, type and address. */
  exchange(stanza: Stanza): Promise<Stanza> {
    const { tag, attrs } = stanza
    const key = answerKey(tag, attrs, attrs.to)
    return new Promise((resolve, reject) => {
      const settle = <Value>(finish: (value: Value) => void) => {
        return (value: Value) => {
          clearTimeout(timer)
          this.#waiting.delete(key)
          finish(value)
        }
      }
      const waiter = { resolve: settle(resolve), reject: settle(reject) }
      const timer = setTimeout(() => waiter.reject(new Error(`no answer to ${key}`)), ANSWER_TIMEOUT_MS)
      if (this.#waiting.has(key)) throw new Error(`asked twice at once: ${key}`)
      this.#waiting.set(key, waiter)
      try {
        this.send(stanza)
      } catch (error) {
        waiter.reject(error as Error)
      }
    })
  }

  /** Sends a receipt; resolves with the service's ack of it. */
  async sendReceipt(attrs: Attrs, content?: Stanza[]): Promise<void> {
    await this.exchange(make('receipt', attrs, content))
  }

  #receive(stanza: Stanza): void {
    try {
      inspect(stanza, this.#installation.account)
      if (LAST_WORDS.has(stanza.tag)) this.#lastWords = stanza
      else demand(this.#lastWords === undefined, 'stanza', `<${stanza.tag}> after the end`)
      if (this.#answer(stanza)) return
      this.#handlers.receive(stanza)
    } catch (error) {
      this.#report(error)
    }
  }

  /** @returns whether the stanza was an answer */
  #answer(stanza: Stanza): boolean {
    const { id, type, from } = stanza.attrs
    const isResult = stanza.tag === 'iq' && (type === 'result' || type === 'error')
    if (stanza.tag === 'iq' && type === 'get' && stanza.attrs.xmlns === 'urn:xmpp:ping') {
      this.send(make('iq', { id, type: 'result', to: SERVICE }))
      return true
    }
    if (!isResult && stanza.tag !== 'ack') return false
    const waiter = this.#waiting.get(answerKey(isResult ? 'iq' : stanza.attrs.class!, stanza.attrs, from))
    demand(waiter !== undefined, 'stanza', `<${stanza.tag} id="${id}" from="${from}" type="${type}"> answers nothing`)
    waiter.resolve(stanza)
    return true
  }

  #report(error: unknown): void {
    this.#handlers.violation(error instanceof Violation ? error : new Violation('stanza', String(error)))
  }

  #end(violation: Violation | undefined): void {
    this.ended = new ConnectionEnded(this.#lastWords)
    if (violation !== undefined) this.#report(violation)
    for (const waiter of this.#waiting.values()) waiter.reject(violation ?? this.ended)
    this.#closed.resolve(this.#lastWords)
  }
}

/** What an answer repeats of its request. A message's ack has no type. */
function answerKey(kind: string, attrs: Stanza['attrs'], address: string | undefined): string {
  const { id, type = '', participant = '' } = attrs
  return [kind, id, address, ...(kind === 'receipt' ? [type] : []), ...(kind === 'iq' ? [] : [participant])].join(' ')
}
