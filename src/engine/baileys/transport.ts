import { readFileSync } from 'node:fs'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { HttpProxyAgent } from 'http-proxy-agent'
import { HttpsProxyAgent } from 'https-proxy-agent'
import { SocksProxyAgent } from 'socks-proxy-agent'
import { ParleyError } from '../../kernel/errors.ts'
import { type BlobDispatcher, blobDispatcher } from './blob-dispatcher.ts'

/** How the service is reached; the defaults mean WhatsApp itself. */
export interface ServiceAddress {
  /** `wss://web.whatsapp.com/ws/chat`, or another service speaking the same protocol. */
  readonly url: string
  /** Root public key (32 bytes) of the Noise certificate chain, when the service is not WhatsApp. */
  readonly noiseRoot: Uint8Array | undefined
  /** PEM file of an extra certificate authority. */
  readonly tlsCaFile: string | undefined
  /** Skips TLS verification; the configuration allows it for loopback hosts only. */
  readonly tlsInsecure: boolean
  /** `https://host:port` that stands for every media host. */
  readonly mediaOrigin?: string | undefined
}

/** Connections of all devices share one agent per proxy: an agent holds no session state. */
export class Transport {
  readonly url: string
  /** Host and port that replace every media host. */
  readonly mediaHost: string | undefined
  readonly #tls: { ca?: string; rejectUnauthorized?: boolean }
  readonly #direct: HttpAgent
  readonly #media: HttpsAgent
  readonly #blobs: BlobDispatcher

  constructor(address: ServiceAddress) {
    this.url = address.url
    this.mediaHost = address.mediaOrigin === undefined ? undefined : new URL(address.mediaOrigin).host
    this.#tls = {
      ...(address.tlsCaFile ? { ca: readFileSync(address.tlsCaFile, 'utf8') } : {}),
      ...(address.tlsInsecure ? { rejectUnauthorized: false } : {}),
    }
    this.#direct = address.url.startsWith('wss:') ? new HttpsAgent(this.#tls) : new HttpAgent()
    this.#media = new HttpsAgent({ ...this.#tls, keepAlive: true, maxFreeSockets: 8, timeout: 60_000 })
    this.#blobs = blobDispatcher({ mediaHost: this.mediaHost, tls: this.#tls, proxy: undefined })
  }

  /** For history and app state, which Baileys fetches itself. @throws bad_request as `agentFor` */
  blobDispatcherFor(proxyUrl: string | undefined): BlobDispatcher {
    if (!proxyUrl) return this.#blobs
    return blobDispatcher({ mediaHost: this.mediaHost, tls: this.#tls, proxy: this.mediaAgentFor(proxyUrl) })
  }

  /** For the media servers, which speak TLS whatever the socket does. @throws bad_request as `agentFor` */
  mediaAgentFor(proxyUrl: string | undefined): HttpsAgent {
    if (!proxyUrl) return this.#media
    const { protocol } = new URL(proxyUrl)
    if (protocol === 'http:' || protocol === 'https:') return new HttpsProxyAgent(proxyUrl, this.#tls) as never
    return this.agentFor(proxyUrl) as never
  }

  /** @throws bad_request for a proxy of an unknown scheme */
  agentFor(proxyUrl: string | undefined): HttpAgent {
    if (!proxyUrl) return this.#direct
    const { protocol } = new URL(proxyUrl)
    if (/^socks(4a?|5h?)?:$/.test(protocol))
      return new SocksProxyAgent(proxyUrl, this.#tls as never) as unknown as HttpAgent
    if (protocol === 'http:' || protocol === 'https:')
      return (this.url.startsWith('wss:')
        ? new HttpsProxyAgent(proxyUrl, this.#tls)
        : new HttpProxyAgent(proxyUrl)) as unknown as HttpAgent
    throw new ParleyError('bad_request', `a proxy must be http, https or socks5, not ${protocol}`, {
      field: 'proxy_url',
    })
  }
}
