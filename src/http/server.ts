import { randomUUID } from 'node:crypto'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Clock } from '../kernel/clock.ts'
import { ParleyError } from '../kernel/errors.ts'
import type { Logger } from '../kernel/logger.ts'
import type { IdempotencyRepository } from '../storage/index.ts'
import type { AccessRegistry } from './access.ts'
import { adaptRoute } from './adapt.ts'
import { registerBodyParsers, registerMultipart, takesMultipart } from './bodies.ts'
import { Cors } from './cors.ts'
import { serveDocs } from './docs.ts'
import { failureOf } from './envelope.ts'
import { failureReader } from './failures.ts'
import { createGuards } from './guards.ts'
import { Idempotency } from './idempotency.ts'
import { LiveConnections } from './live.ts'
import { Replier } from './replier.ts'
import { requestIdFrom } from './request-id.ts'
import { newNotes } from './request-notes.ts'
import type { Route } from './route.ts'
import type { DeviceTokens } from './tokens.ts'
import { PathMethods } from './unknown-paths.ts'
import { Upgrades } from './upgrades.ts'
import { jsonLimitOf } from './uploads.ts'

export interface HttpOptions {
  /** `` or `/api/v1`. */
  readonly baseUrl: string
  /** `['*']`, a list of origins, or none. */
  readonly corsOrigins: readonly string[]
  readonly bodyLimitBytes: number
  /** 1 to 9. */
  readonly gzipLevel: number
  /** Addresses and CIDR blocks of proxies that are believed; empty = the socket peer is the caller. */
  readonly trustProxy: readonly string[]
  readonly adminSecret: string
  /** Where files of forms are written while they are worked on; the system's folder when absent. */
  readonly uploadFolder?: string
}

export interface HttpServerParts {
  readonly options: HttpOptions
  readonly routes: readonly Route[]
  readonly access: AccessRegistry
  readonly tokens: DeviceTokens
  readonly idempotency: IdempotencyRepository
  readonly logger: Logger
  readonly clock: Clock
  /** The OpenAPI document, made on first use; without it `/docs/` is not served. */
  readonly document?: () => object
  /** Tests only: checks every reply against its schema. */
  readonly validateReplies?: boolean
}

/**
 * The whole of a request must have arrived within this: 100 MB over 1.4 Mbit/s. Slow senders must not hold connections for
 * ever; a head has Node's own limit of a minute.
 */
const REQUEST_MS = 600_000

/** Builds the server; the caller listens and closes. Closing lets requests in flight finish. */
export const createHttpServer = async (parts: HttpServerParts): Promise<FastifyInstance> => {
  const { options, routes, logger, clock } = parts
  const { baseUrl, bodyLimitBytes: bodyLimit } = options
  const cors = new Cors(options.corsOrigins)
  const replier = new Replier({ cors, gzipLevel: options.gzipLevel, logger })
  const guards = createGuards({ adminSecret: options.adminSecret, access: parts.access, tokens: parts.tokens })
  const paths = new PathMethods(routes, baseUrl)
  const readFailure = failureReader(bodyLimit)
  const jsonLimit = jsonLimitOf(bodyLimit)
  const readJsonFailure =
    jsonLimit === bodyLimit
      ? readFailure
      : failureReader(jsonLimit, 'a file in JSON: larger ones come by multipart/form-data or url')
  const live = new LiveConnections({ replier, clock, logger })
  const sockets = new Upgrades(live, routes, baseUrl)

  const fail = (error: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    request.notes ??= newNotes()
    const read = request.notes.route?.upload && !request.isMultipart?.() ? readJsonFailure : readFailure
    replier.failure(request, reply, request.notes.route, read(error))
  }

  const app = fastify({
    logger: false,
    bodyLimit,
    trustProxy: options.trustProxy.length > 0 ? [...options.trustProxy] : false,
    genReqId: (request) => requestIdFrom(request.headers['x-request-id']),
    requestTimeout: REQUEST_MS,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: 512 },
    http: { shouldUpgradeCallback: (request) => sockets.wants(request) },
    frameworkErrors: fail,
    clientErrorHandler: answerBrokenRequest,
  })
  app.decorateRequest('notes', null as never)
  registerBodyParsers(app)
  app.setErrorHandler(fail)

  const answerUnknown = (request: FastifyRequest, reply: FastifyReply): void => {
    const { error, allow } = paths.refusal(request.method, request.raw.url ?? '')
    if (request.method === 'OPTIONS' && allow.length > 0) {
      const headers = ['allow', [...allow, 'OPTIONS'].join(', '), ...cors.preflight]
      replier.send(request, reply, 204, undefined, '', headers)
      return
    }
    replier.failure(request, reply, undefined, error, allow.length > 0 ? ['allow', allow.join(', ')] : [])
  }

  app.addHook('onRequest', (request, reply, next) => {
    request.notes = newNotes()
    // Answered here, before anything reads a body that nobody wants.
    if (request.is404) answerUnknown(request, reply)
    else next()
  })
  app.setNotFoundHandler(answerUnknown)
  app.addHook('preClose', async () => {
    replier.closeConnections()
    await live.close()
  })
  sockets.attach(app)

  const adaptParts = {
    guards,
    replier,
    live,
    idempotency: new Idempotency({ repository: parts.idempotency, clock, logger }),
    clock,
    bodyLimit,
    uploadFolder: options.uploadFolder ?? join(tmpdir(), 'parley'),
    baseUrl,
    validateReplies: parts.validateReplies ?? false,
  }
  const add = (context: FastifyInstance, route: Route): void => {
    const { enter, handle } = adaptRoute(route, adaptParts)
    const path = route.path.replace(/\{([^}]+)\}/g, ':$1')
    for (const url of path === '/' && baseUrl !== '' ? [baseUrl, `${baseUrl}/`] : [`${baseUrl}${path}`]) {
      context.route({
        method: route.method === 'GET' && !route.live ? ['GET', 'HEAD'] : route.method,
        url,
        onRequest: enter,
        handler: handle,
        // forms are written to disk and counted there
        ...(route.upload ? { bodyLimit: jsonLimit } : {}),
      })
    }
  }
  for (const route of routes) if (!takesMultipart(route)) add(app, route)
  if (routes.some(takesMultipart)) {
    await app.register(async (context) => {
      await registerMultipart(context)
      for (const route of routes) if (takesMultipart(route)) add(context, route)
    })
  }
  // The favicon is asked for at the root of the host, whatever the base URL.
  app.get('/favicon.ico', (request, reply) => replier.send(request, reply, 204, undefined, '', []))
  if (parts.document) serveDocs({ app, replier, baseUrl, document: parts.document })
  await app.ready()
  return app
}

/** For requests that never became one: bad HTTP, too slow, headers too large (node's `clientError`). */
const answerBrokenRequest = (error: NodeJS.ErrnoException, socket: Socket): void => {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  if (!socket.writable) return void socket.destroy()
  const [status, phrase, why] =
    error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? [408, 'Request Timeout', 'the request took too long to arrive']
      : error.code === 'HPE_HEADER_OVERFLOW'
        ? [431, 'Request Header Fields Too Large', 'the request headers are too large']
        : [400, 'Bad Request', 'this is not a well-formed HTTP request']
  const body = JSON.stringify(failureOf(Number(status), new ParleyError('bad_request', String(why))))
  socket.end(
    `HTTP/1.1 ${status} ${phrase}\r\nContent-Type: application/json; charset=utf-8\r\nX-Request-ID: ${randomUUID()}\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}
