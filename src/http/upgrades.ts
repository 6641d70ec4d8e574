import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { LiveConnections } from './live.ts'
import type { Route } from './route.ts'

/**
 * Requests for a WebSocket go the way of every other request (who calls, is the input good), so that a refusal is an
 * ordinary reply; only then the connection changes its protocol.
 */
export class Upgrades {
  readonly #live: LiveConnections
  readonly #paths: ReadonlySet<string>

  constructor(live: LiveConnections, routes: readonly Route[], baseUrl: string) {
    this.#live = live
    this.#paths = new Set(routes.filter((route) => route.live === 'websocket').map(({ path }) => `${baseUrl}${path}`))
  }

  /** Anything else that offers an upgrade (Java's client offers h2c to everybody) is answered as if it had not. */
  wants(request: IncomingMessage): boolean {
    const [path] = (request.url ?? '').split('?')
    return this.#paths.has(path ?? '') && request.headers.upgrade?.toLowerCase() === 'websocket'
  }

  attach(app: FastifyInstance): void {
    app.server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
      // Before Node 24.9 nobody asked `wants`.
      if (!this.wants(request)) return void socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')
      // Whoever waits for the connection learns of its end by its closing.
      socket.on('error', () => undefined)
      const response = new ServerResponse(request)
      response.shouldKeepAlive = false
      response.assignSocket(socket)
      response.once('finish', () => socket.end())
      this.#live.offer(request, { socket, head, response })
      app.routing(request, response)
    })
  }
}
