import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { messageOf, type ParleyError } from '../kernel/errors.ts'
import type { Logger } from '../kernel/logger.ts'
import type { Cors, HeaderPairs } from './cors.ts'
import { failureOf, writeSuccess } from './envelope.ts'
import { retryAfterOf, statusOf } from './failures.ts'
import './request-notes.ts'
import type { RawReply, Reply, Route, StreamedBody } from './route.ts'

/** Below this, compressing costs more than the bytes it saves (most replies fit one TCP segment anyway). */
const GZIP_FROM = 2_048
const COMPRESSIBLE = /^(text\/|application\/(json|yaml|javascript)|image\/svg)/

const zip = promisify(gzip)

const SECURITY: HeaderPairs = [
  'x-content-type-options',
  'nosniff',
  'x-frame-options',
  'SAMEORIGIN',
  'referrer-policy',
  'no-referrer',
]

/** Nothing that depends on a credential may be kept by anybody in between. */
const NO_STORE: HeaderPairs = ['cache-control', 'no-store']

export const JSON_TYPE = 'application/json; charset=utf-8'

/**
 * Writes replies. It goes to the raw response at once: Fastify's own way through header merging, serializer lookup and
 * onSend hooks costs as much again as everything else we do to a request.
 */
export class Replier {
  readonly #cors: Cors
  readonly #fixed: HeaderPairs
  readonly #gzipLevel: number
  readonly #logger: Logger
  #closing = false

  constructor({
    cors,
    gzipLevel,
    logger,
  }: { readonly cors: Cors; readonly gzipLevel: number; readonly logger: Logger }) {
    this.#cors = cors
    this.#fixed = [...SECURITY, ...cors.fixed]
    this.#gzipLevel = gzipLevel
    this.#logger = logger
  }

  /** From now on each reply ends its connection: a kept-alive one would hold up the close until it times out. */
  closeConnections(): void {
    this.#closing = true
  }

  success(
    request: FastifyRequest,
    reply: FastifyReply,
    route: Route,
    result: Reply<unknown>,
    more: HeaderPairs = [],
  ): void {
    const status = route.success?.status ?? 200
    const text = writeSuccess(status, result.message, result.data, route.repeatDataAtTop === true)
    this.send(request, reply, status, JSON_TYPE, text, more.length === 0 ? NO_STORE : [...NO_STORE, ...more])
  }

  raw(request: FastifyRequest, reply: FastifyReply, { raw }: RawReply): void {
    const more = Object.entries(raw.headers ?? {}).flat()
    const headers = raw.headers && 'cache-control' in raw.headers ? more : [...NO_STORE, ...more]
    this.send(request, reply, raw.status ?? 200, raw.contentType, raw.body, headers)
  }

  failure(
    request: FastifyRequest,
    reply: FastifyReply,
    route: Route | undefined,
    error: ParleyError,
    more: HeaderPairs = [],
  ): void {
    const status = statusOf(error, route)
    if (error.code === 'internal')
      this.#logger.error({ request_id: request.id, err: error.cause ?? error }, 'request failed: internal')
    else if (status >= 500)
      this.#logger.warn({ request_id: request.id, reason: error.message }, `request failed: ${error.code}`)
    const headers = [...NO_STORE, ...more]
    // RFC 9110, 15.5.22: says what to upgrade to.
    if (error.code === 'upgrade_required') headers.push('upgrade', 'websocket', 'connection', 'upgrade')
    // RFC 9110, 15.5.17: how long the whole is
    if (error.code === 'range_not_satisfiable' && error.data?.size !== undefined)
      headers.push('content-range', `bytes */${error.data.size}`)
    const retryAfter = retryAfterOf(error)
    if (retryAfter !== undefined) headers.push('retry-after', String(retryAfter))
    this.send(request, reply, status, JSON_TYPE, JSON.stringify(failureOf(status, error)), headers)
  }

  /** Sends and logs; compresses what is worth it. `headers` are lower-case name, value pairs. */
  send(
    request: FastifyRequest,
    reply: FastifyReply,
    status: number,
    contentType: string | undefined,
    body: string | Uint8Array | StreamedBody,
    headers: HeaderPairs,
  ): void {
    if (isStreamed(body)) {
      this.#stream(request, reply, status, contentType, body, headers)
      return
    }
    if (body.length < GZIP_FROM || contentType === undefined || !COMPRESSIBLE.test(contentType)) {
      this.#write(request, reply, status, contentType, body, headers)
      return
    }
    const pairs = [...headers, 'vary', 'Accept-Encoding']
    if (!acceptsGzip(request.headers['accept-encoding'])) {
      this.#write(request, reply, status, contentType, body, pairs)
      return
    }
    zip(body, { level: this.#gzipLevel }).then(
      (zipped) => this.#write(request, reply, status, contentType, zipped, [...pairs, 'content-encoding', 'gzip']),
      (error: unknown) => {
        this.#logger.warn({ request_id: request.id, err: error }, 'reply sent uncompressed')
        this.#write(request, reply, status, contentType, body, pairs)
      },
    )
  }

  #write(
    request: FastifyRequest,
    reply: FastifyReply,
    status: number,
    contentType: string | undefined,
    body: string | Uint8Array,
    headers: HeaderPairs,
  ): void {
    const response = reply.raw
    const head = this.headOf(request, headers)
    if (this.#closing) head.push('connection', 'close')
    if (contentType !== undefined) {
      const bytes = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength
      head.push('content-type', contentType, 'content-length', String(bytes))
    }
    if (!response.writableEnded && !response.destroyed) {
      response.writeHead(status, head)
      response.end(contentType === undefined ? undefined : body)
    }
    this.log(request, status)
  }

  #stream(
    request: FastifyRequest,
    reply: FastifyReply,
    status: number,
    contentType: string | undefined,
    body: StreamedBody,
    headers: HeaderPairs,
  ) {
    const response = reply.raw
    const head = this.headOf(request, headers)
    if (this.#closing) head.push('connection', 'close')
    head.push('content-type', contentType ?? 'application/octet-stream', 'content-length', String(body.length))
    const done = () => this.log(request, status)
    if (response.writableEnded || response.destroyed) return done()
    response.writeHead(status, head)
    if (request.method === 'HEAD') {
      response.end()
      return done()
    }
    pipeline(body.open(), response).then(done, (error: unknown) => {
      // the head is out: all that is left is to break off, which tells the caller that it is not whole
      this.#logger.info({ request_id: request.id, reason: messageOf(error) }, 'a reply was broken off')
      done()
    })
  }

  /** Response headers that every reply has, with these. */
  headOf(request: FastifyRequest, headers: HeaderPairs): string[] {
    const head = [...this.#fixed, ...headers, 'x-request-id', request.id]
    const origin = request.headers.origin
    if (origin !== undefined) head.push(...this.#cors.headersFor(origin))
    return head
  }

  /** The line about a request that has been answered. */
  log(request: FastifyRequest, status: number, more: Readonly<Record<string, unknown>> = {}): void {
    const { notes } = request
    const url = request.raw.url ?? ''
    const query = url.indexOf('?')
    this.#logger.info(
      {
        request_id: request.id,
        method: request.method,
        path: query < 0 ? url : url.slice(0, query),
        status,
        ms: Math.round((performance.now() - notes.startedAt) * 10) / 10,
        ...(notes.deviceId === undefined ? undefined : { device_id: notes.deviceId }),
        ...more,
      },
      'request',
    )
  }
}

const isStreamed = (body: string | Uint8Array | StreamedBody): body is StreamedBody =>
  typeof body === 'object' && 'open' in body

/** RFC 9110 section 12.5.3, as far as it matters: gzip is named and not ruled out by `q=0`. */
const acceptsGzip = (header: string | string[] | undefined): boolean =>
  typeof header === 'string' && /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?(?:\s*,|\s*$))/i.test(header)
