import { EventEmitter, once } from 'node:events'
import type { Agent as HttpAgent } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { Agent, type buildConnector, type Dispatcher, Dispatcher1Wrapper } from 'undici'
import { ParleyError } from '../../kernel/errors.ts'

/** What the agents of proxies have in common (agent-base). */
interface ProxyingAgent {
  connect(request: unknown, options: Readonly<Record<string, unknown>>): Promise<TLSSocket>
}

export interface BlobWay {
  /** Host and port that stand for every media host. */
  readonly mediaHost: string | undefined
  readonly tls: { readonly ca?: string; readonly rejectUnauthorized?: boolean }
  /** Leads through the proxy of a device; the network itself when absent. */
  readonly proxy: HttpAgent | undefined
}

/** History comes in pieces of a few megabytes, app state in less: what is larger is not taken into memory. */
const MOST_BYTES = 256 * 1024 ** 2
/** Nothing moving for so long means that nothing will. */
const IDLE_MS = 30_000

/** As `fetch` takes it. */
export type BlobDispatcher = Dispatcher

/**
 * The way of what Baileys downloads itself, with `fetch`: history and app state. The same as that of files (see
 * `media-transfer.ts`): WhatsApp's own hosts alone, or what stands for them, through the proxy of the device.
 */
export const blobDispatcher = ({ mediaHost, tls, proxy }: BlobWay): BlobDispatcher => {
  const agent = new Agent({
    connect: proxy ? throughProxy(proxy as unknown as ProxyingAgent, tls) : { ...tls },
    allowH2: false,
    headersTimeout: IDLE_MS,
    bodyTimeout: IDLE_MS,
    maxResponseSize: MOST_BYTES,
  })
  const guarded = agent.compose((dispatch) => (options, handler) => {
    const { protocol, hostname } = new URL(String(options.origin))
    if (protocol !== 'https:' || !hostname.endsWith('.whatsapp.net'))
      throw new ParleyError('whatsapp_refused', `history and app state are not fetched from ${hostname}`)
    return dispatch(mediaHost === undefined ? options : { ...options, origin: `https://${mediaHost}` }, handler)
  })
  // the fetch of Node 24 speaks to dispatchers as undici 7 did
  return new Dispatcher1Wrapper(guarded)
}

/** What agents take for the request: they tell it of the proxy, and end it with the connection. */
class RequestInName extends EventEmitter {
  destroy(): void {
    this.removeAllListeners()
  }
}

const throughProxy =
  (proxy: ProxyingAgent, tls: BlobWay['tls']): buildConnector.connector =>
  ({ hostname, port }, callback) => {
    const host = hostname.replace(/^\[|\]$/g, '')
    const connect = async () => {
      const options = { host, port: Number(port) || 443, secureEndpoint: true, ...tls }
      const socket = await proxy.connect(new RequestInName(), options)
      await once(socket, 'secureConnect', { signal: AbortSignal.timeout(IDLE_MS) }).catch((error: unknown) => {
        socket.destroy()
        throw error
      })
      return socket
    }
    connect().then(
      (socket) => callback(null, socket),
      (error: Error) => callback(error, null),
    )
  }
