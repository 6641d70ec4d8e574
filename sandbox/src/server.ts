import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Problem } from './service/problem-log.ts'
import { Service } from './service/service.ts'
import { CHAT_PATH, SocketGate } from './transport/socket-gate.ts'
import { deriveNoiseIdentity } from './wire/certificate-chain.ts'

export interface SandboxOptions {
  /** `127.0.0.1` when absent. */
  readonly host?: string
  /** 0 or absent: a free one. */
  readonly port?: number
  /** Same seed, same Noise root and static key. Random when absent. */
  readonly seed?: string
  readonly clock?: () => number
  /** Called for every problem that clients cause. */
  readonly report?: (problem: Problem) => void
  readonly refLifetimes?: { readonly first: number; readonly next: number }
  readonly pingAfterMs?: number
  readonly dropAfterMs?: number
}

/** A running sandbox. */
export interface Sandbox extends AsyncDisposable {
  readonly service: Service
  readonly host: string
  readonly port: number
  /** `ws://host:port/ws/chat`. */
  readonly ws: string
  /** `http://host:port`. */
  readonly http: string
  /** The public key of the Noise certificates' root, 32 bytes. */
  readonly noiseRoot: Buffer
}

/** Starts the service and listens. Resolves when clients can connect. */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const { host = '127.0.0.1', port = 0, seed = randomBytes(32).toString('hex'), clock = Date.now } = options
  const identity = deriveNoiseIdentity(seed, clock())
  const bound = { media: '' }
  const service = new Service({
    clock,
    mediaHost: () => bound.media,
    ...(options.report === undefined ? {} : { report: options.report }),
    ...(options.refLifetimes === undefined ? {} : { refLifetimes: options.refLifetimes }),
  })
  const gate = new SocketGate({
    service,
    identity,
    clock,
    ...(options.pingAfterMs === undefined ? {} : { pingAfterMs: options.pingAfterMs }),
    ...(options.dropAfterMs === undefined ? {} : { dropAfterMs: options.dropAfterMs }),
  })
  const listener: RequestListener = (_request, response) => {
    response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":"not found"}')
  }
  const server = createServer(listener)
  server.on('upgrade', (request, socket, head) => gate.upgrade(request, socket, head))
  const address = await listen(server, host, port)
  const authority = `${host.includes(':') ? `[${host}]` : host}:${address.port}`
  bound.media = authority
  return {
    service,
    host,
    port: address.port,
    ws: `ws://${authority}${CHAT_PATH}`,
    http: `http://${authority}`,
    noiseRoot: identity.root.public,
    async [Symbol.asyncDispose]() {
      await gate[Symbol.asyncDispose]()
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

async function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  server.listen(port, host)
  await once(server, 'listening')
  return server.address() as AddressInfo
}
