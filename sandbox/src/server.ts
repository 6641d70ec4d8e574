import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { createControlApi } from './control/control-api.ts'
import { MediaServer } from './media/media-server.ts'
import { People } from './phone/people.ts'
import type { Problem } from './service/problem-log.ts'
import { Service } from './service/service.ts'
import { restoreSnapshot } from './service/snapshot.ts'
import { readState, StateFile } from './state-file.ts'
import { makeServerCredentials } from './tls/certificates.ts'
import { CHAT_PATH, SocketGate } from './transport/socket-gate.ts'
import { deriveNoiseIdentity } from './wire/certificate-chain.ts'

export interface SandboxOptions {
  /** `127.0.0.1` when absent. */
  readonly host?: string
  /** 0 or absent: a free one. */
  readonly port?: number
  /** Also listens with TLS, with a certificate made at start; 0: a free port. No TLS when absent. */
  readonly tlsPort?: number
  /** Where to write the PEM of the authority that clients must trust for TLS. */
  readonly caFile?: string
  /** Same seed, same Noise root and static key. Random when absent. */
  readonly seed?: string
  /** Where accounts, devices, keys and queues are kept across restarts; in memory only when absent. Holds the seed too. */
  readonly stateFile?: string
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
  readonly people: People
  readonly host: string
  readonly port: number
  /** `ws://host:port/ws/chat`. */
  readonly ws: string
  /** `http://host:port`. */
  readonly http: string
  /** `wss://host:port/ws/chat`, with TLS only. */
  readonly wss: string | undefined
  /** `https://host:port`, with TLS only. */
  readonly https: string | undefined
  /** PEM of the authority that signed the TLS certificate. */
  readonly ca: string | undefined
  /** The public key of the Noise certificates' root, 32 bytes. */
  readonly noiseRoot: Buffer
}

/** Starts the service and listens. Resolves when clients can connect. */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const { host = '127.0.0.1', port = 0, clock = Date.now } = options
  const saved = options.stateFile === undefined ? undefined : await readState(options.stateFile)
  const seed = options.seed ?? saved?.seed ?? randomBytes(32).toString('hex')
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
  if (saved !== undefined) restoreSnapshot(service, saved.service)
  const people = new People({ service, clock })
  if (saved !== undefined) people.restore(saved.people)
  const control = createControlApi(service, people)
  const media = new MediaServer({ depot: service.media, log: service.log })
  const listener: RequestListener = (request, response) => {
    if (!media.handle(request, response)) control(request, response)
  }
  const credentials =
    options.tlsPort === undefined
      ? undefined
      : makeServerCredentials([...new Set(['localhost', '127.0.0.1', '::1', host])], clock())
  if (credentials !== undefined && options.caFile !== undefined) await writeFile(options.caFile, credentials.ca)
  const servers: Server[] = []
  const open = async (server: Server, on: number): Promise<string> => {
    server.on('upgrade', (request, socket, head) => gate.upgrade(request, socket, head))
    servers.push(server)
    const address = await listen(server, host, on)
    return `${host.includes(':') ? `[${host}]` : host}:${address.port}`
  }
  const plain = await open(createServer(listener), port)
  const secure =
    credentials === undefined ? undefined : await open(createTlsServer(credentials, listener), options.tlsPort ?? 0)
  // Clients upload over https when they can.
  bound.media = secure ?? plain
  const onError = (error: unknown) => service.log.add('internal', 'sandbox', `the state was not saved: ${error}`)
  const stateFile =
    options.stateFile === undefined
      ? undefined
      : new StateFile({ path: options.stateFile, seed, service, people, onError })
  return {
    service,
    people,
    host,
    port: Number(plain.slice(plain.lastIndexOf(':') + 1)),
    ws: `ws://${plain}${CHAT_PATH}`,
    http: `http://${plain}`,
    wss: secure && `wss://${secure}${CHAT_PATH}`,
    https: secure && `https://${secure}`,
    ca: credentials?.ca,
    noiseRoot: identity.root.public,
    async [Symbol.asyncDispose]() {
      await gate[Symbol.asyncDispose]()
      await stateFile?.[Symbol.asyncDispose]()
      for (const server of servers) {
        server.close()
        server.closeAllConnections()
        await once(server, 'close')
      }
    },
  }
}

async function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  server.listen(port, host)
  await once(server, 'listening')
  return server.address() as AddressInfo
}
