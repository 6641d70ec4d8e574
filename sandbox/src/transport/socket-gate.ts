import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import type { Service } from '../service/service.ts'
import type { NoiseIdentity } from '../wire/certificate-chain.ts'
import { SocketConnection } from './socket-connection.ts'

export const CHAT_PATH = '/ws/chat'

/** Larger than any frame (2^24 bytes), smaller than what would hurt. */
const MAX_PAYLOAD = 20 * 1024 * 1024

const SWEEP_MS = 5_000

export interface SocketGateOptions {
  readonly service: Service
  readonly identity: NoiseIdentity
  readonly clock: () => number
  /** A client that was silent this long is asked whether it is there. Clients ping every 20 to 30 s by themselves. */
  readonly pingAfterMs?: number
  /** A client that was silent this long is gone. */
  readonly dropAfterMs?: number
  /** How long a handshake may take. */
  readonly handshakeMs?: number
}

/** Lets WebSocket clients in, and out again when they fall silent. One timer serves all of them. */
export class SocketGate implements AsyncDisposable {
  readonly #options: SocketGateOptions
  readonly #sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: MAX_PAYLOAD })
  readonly #connections = new Set<SocketConnection>()
  readonly #sweeper: NodeJS.Timeout

  constructor(options: SocketGateOptions) {
    this.#options = options
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS)
    this.#sweeper.unref()
  }

  /** For the `upgrade` event of an HTTP server. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const path = new URL(request.url ?? '/', 'http://sandbox').pathname
    if (path !== CHAT_PATH) {
      socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
      return
    }
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
      const { service, identity, clock } = this.#options
      const { metrics } = service
      metrics.connections += 1
      metrics.connectionsTotal += 1
      const connection = new SocketConnection({
        socket: webSocket,
        service,
        identity,
        clock,
        onClosed: () => {
          if (this.#connections.delete(connection)) metrics.connections -= 1
        },
      })
      this.#connections.add(connection)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#sweeper)
    for (const connection of this.#connections) connection.close('the sandbox stops')
    for (const client of this.#sockets.clients) client.terminate()
    this.#sockets.close()
  }

  #sweep(): void {
    const { clock, pingAfterMs = 45_000, dropAfterMs = 120_000, handshakeMs = 20_000 } = this.#options
    const now = clock()
    for (const connection of this.#connections) {
      const silent = now - connection.heardAt
      if (silent > (connection.established ? dropAfterMs : handshakeMs)) connection.close('silent for too long')
      else if (silent > pingAfterMs) connection.ping()
    }
  }
}
