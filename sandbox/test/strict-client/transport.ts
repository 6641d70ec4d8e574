// WebSocket, framing and Noise: stanzas in, stanzas out.
import { once } from 'node:events'
import { proto } from 'baileys/WAProto/index.js'
import { WebSocket } from 'ws'
import type { KeyPair } from './curve.ts'
import { HEADER, NoiseInitiator, type Secured } from './noise.ts'
import { decode, encode, type Stanza } from './stanza.ts'
import { Violation } from './violation.ts'

/** Where the service is, and whom to believe. */
export interface Endpoint {
  readonly url: string
  readonly noiseRoot: Uint8Array
  /** PEM of the authority to trust for TLS. */
  readonly ca?: string
}

export interface TransportOptions {
  readonly endpoint: Endpoint
  readonly own: KeyPair
  readonly payload: proto.IClientPayload
  readonly serverStatic: Uint8Array | undefined
}

export interface TransportHandlers {
  readonly receive: (stanza: Stanza) => void
  /** After the last stanza. */
  readonly closed: (violation: Violation | undefined) => void
}

const MAX_EARLY_STANZAS = 64

export class Transport {
  readonly #socket: WebSocket
  readonly #noise: NoiseInitiator
  readonly #established = Promise.withResolvers<Secured>()
  #secured: Secured | undefined
  #buffer = Buffer.alloc(0)
  #handlers: TransportHandlers | undefined
  readonly #early: Stanza[] = []
  #violation: Violation | undefined
  #closed = false

  private constructor(socket: WebSocket, noise: NoiseInitiator) {
    this.#socket = socket
    this.#noise = noise
    socket.on('message', (data: Buffer) => this.#receive(data))
    socket.on('error', () => undefined)
    socket.on('close', () => this.#end())
  }

  /** Resolves after the handshake. @throws Violation */
  static async open(options: TransportOptions): Promise<Transport> {
    const { endpoint, own, serverStatic } = options
    const payload = proto.ClientPayload.encode(options.payload).finish()
    const now = Math.floor(Date.now() / 1000)
    const noise = new NoiseInitiator({ root: endpoint.noiseRoot, own, payload, serverStatic, now })
    const { url, ca } = endpoint
    const socket = new WebSocket(url, { origin: 'https://web.whatsapp.com', ...(ca !== undefined && { ca }) })
    await once(socket, 'open')
    const transport = new Transport(socket, noise)
    const hello = noise.hello()
    // Split across WebSocket messages on purpose: their boundaries mean nothing.
    socket.send(HEADER)
    socket.send(frame(hello).subarray(0, 2))
    socket.send(frame(hello).subarray(2))
    await transport.#established.promise
    return transport
  }

  get secured(): Secured {
    return this.#secured!
  }

  /** Stanzas that came before this are handed over now. */
  listen(handlers: TransportHandlers): void {
    this.#handlers = handlers
    for (const stanza of this.#early.splice(0)) handlers.receive(stanza)
    if (this.#closed) handlers.closed(this.#violation)
  }

  send(stanza: Stanza): void {
    this.#socket.send(frame(this.#secured!.seal(encode(stanza))))
  }

  /** Drops the connection without a word. */
  terminate(): void {
    this.#socket.terminate()
  }

  #receive(data: Buffer): void {
    this.#buffer = Buffer.concat([this.#buffer, data])
    try {
      while (this.#buffer.length >= 3) {
        const end = 3 + this.#buffer.readUIntBE(0, 3)
        if (this.#buffer.length < end) return
        const body = this.#buffer.subarray(3, end)
        this.#buffer = this.#buffer.subarray(end)
        this.#receiveFrame(body)
      }
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error)
      this.#violation = error instanceof Violation ? error : new Violation('frame', text)
      this.terminate()
      this.#end()
    }
  }

  #receiveFrame(body: Buffer): void {
    if (this.#closed) return
    if (this.#secured === undefined) {
      const { finish, secured } = this.#noise.answer(body)
      if (finish !== undefined) this.#socket.send(frame(finish))
      this.#secured = secured
      this.#established.resolve(secured)
      return
    }
    const stanza = decode(this.#secured.open(body))
    if (this.#handlers !== undefined) this.#handlers.receive(stanza)
    else if (this.#early.push(stanza) > MAX_EARLY_STANZAS) throw new Violation('frame', 'too much at once')
  }

  #end(): void {
    if (this.#closed) return
    this.#closed = true
    this.#established.reject(this.#violation ?? new Violation('handshake', 'the connection ended in the handshake'))
    this.#established.promise.catch(() => undefined)
    this.#handlers?.closed(this.#violation)
  }
}

function frame(body: Uint8Array): Buffer {
  const head = Buffer.alloc(3)
  head.writeUIntBE(body.length, 0, 3)
  return Buffer.concat([head, body])
}
