import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Clock } from '../kernel/clock.ts'
import { ParleyError } from '../kernel/errors.ts'
import { AddressLimiter } from './address-limiter.ts'
import { readMultipart, takesMultipart } from './bodies.ts'
import { failureReader } from './failures.ts'
import type { Guards } from './guards.ts'
import {
  FINGERPRINT,
  fingerprintOf,
  IDEMPOTENCY_KEY,
  type Idempotency,
  idempotencyKeyOf,
  REPLAYED,
} from './idempotency.ts'
import type { LiveConnections } from './live.ts'
import type { Replier } from './replier.ts'
import type { AnyHandlerInput, AnyReply, AuthOf, Reply, RequestContext, Route, UploadedFile } from './route.ts'
import { inputCheck, replyCheck } from './validation.ts'

export interface AdaptParts {
  readonly guards: Guards
  readonly replier: Replier
  readonly idempotency: Idempotency
  readonly live: LiveConnections
  readonly clock: Clock
  readonly bodyLimit: number
  /** Where files of forms are written while they are worked on. */
  readonly uploadFolder: string
  readonly baseUrl: string
  /** Tests only: a reply that misses its schema becomes a 500. */
  readonly validateReplies: boolean
}

export interface AdaptedRoute {
  /** Before the body is read: who calls, and how often. */
  readonly enter: (request: FastifyRequest, reply: FastifyReply, next: () => void) => void
  readonly handle: (request: FastifyRequest, reply: FastifyReply) => void
}

class Context implements RequestContext {
  readonly baseUrl: string
  readonly messageId: string | undefined
  readonly file: UploadedFile | undefined
  readonly #request: FastifyRequest
  readonly #reply: FastifyReply
  #controller: AbortController | undefined

  constructor(
    request: FastifyRequest,
    reply: FastifyReply,
    baseUrl: string,
    messageId: string | undefined,
    file: UploadedFile | undefined,
  ) {
    this.file = file
    this.#request = request
    this.#reply = reply
    this.baseUrl = baseUrl
    this.messageId = messageId
  }

  get id(): string {
    return this.#request.id
  }

  get ip(): string {
    return this.#request.ip
  }

  get origin(): string | undefined {
    const { host, protocol } = this.#request
    return /^[A-Za-z0-9.:[\]-]+$/.test(host) ? `${protocol}://${host}` : undefined
  }

  get signal(): AbortSignal {
    this.#controller ??= this.#watchCaller()
    return this.#controller.signal
  }

  header(name: string): string | undefined {
    const value = this.#request.headers[name]
    return Array.isArray(value) ? value[0] : value
  }

  #watchCaller(): AbortController {
    const controller = new AbortController()
    const response = this.#reply.raw
    response.once('close', () => {
      if (!response.writableEnded) controller.abort(new Error('the caller went away'))
    })
    return controller
  }
}

/** Turns a route into what Fastify calls. */
export const adaptRoute = (route: Route, parts: AdaptParts): AdaptedRoute => {
  const { replier, idempotency, live, baseUrl, bodyLimit } = parts
  const guard = parts.guards[route.auth]
  const limiter =
    route.perMinutePerAddress === undefined
      ? undefined
      : new AddressLimiter({ perMinute: route.perMinutePerAddress, clock: parts.clock })
  const checkParams = route.params && inputCheck(route.params, 'params')
  const checkQuery = route.query && inputCheck(route.query, 'query')
  const checkJson = route.body && inputCheck(route.body, 'json')
  const checkForm = route.body && inputCheck(route.body, 'form')
  const multipart = takesMultipart(route)
  const checkReply = parts.validateReplies && route.data ? replyCheck(route.data, route.id) : undefined
  const readFailure = failureReader(bodyLimit)

  const fail = (request: FastifyRequest, reply: FastifyReply, thrown: unknown): void =>
    replier.failure(request, reply, route, readFailure(thrown))

  const finish = (request: FastifyRequest, reply: FastifyReply, result: AnyReply, replayed = false): void => {
    if ('live' in result) {
      live.start(request, reply, result, () => void guard(request.headers))
      return
    }
    if ('raw' in result) {
      replier.raw(request, reply, result)
      return
    }
    if (checkReply && result.data !== undefined) checkReply(result.data)
    replier.success(request, reply, route, result, replayed ? [REPLAYED, 'true'] : undefined)
  }

  const keyOf = (request: FastifyRequest): string | undefined => {
    const header = request.headers[IDEMPOTENCY_KEY]
    return idempotencyKeyOf(Array.isArray(header) ? header[0] : header)
  }

  const runOnce = (
    request: FastifyRequest,
    reply: FastifyReply,
    key: string,
    input: (messageId: string) => AnyHandlerInput,
  ): Promise<void> => {
    const { deviceId } = (request.notes.auth as AuthOf['jwt']).device
    const { params, query, body, request: context } = input('')
    const file = context.file && { [FINGERPRINT]: `${context.file.sha256} ${context.file.fileName ?? ''}` }
    return idempotency
      .run(
        {
          deviceId,
          route: route.id,
          key,
          fingerprint: fingerprintOf({ params, query, body: file ? { body, file } : body }),
        },
        // `route()` has seen to it that the reply is no raw one
        async (messageId) => (await route.handler(input(messageId))) as Reply<unknown>,
      )
      .then((done) => finish(request, reply, done.reply, done.replayed))
      .catch((thrown: unknown) => fail(request, reply, thrown))
  }

  const run = (
    request: FastifyRequest,
    reply: FastifyReply,
    body: unknown,
    isForm: boolean,
    file?: UploadedFile,
  ): Promise<void> | undefined => {
    try {
      if (route.live) live.admit(request, reply, route.live)
      if (checkParams) checkParams(request.params)
      if (checkQuery) checkQuery(request.query)
      if (checkJson) (isForm ? checkForm! : checkJson)(body)
      const input = (messageId?: string): AnyHandlerInput => ({
        params: request.params,
        query: request.query,
        body,
        auth: request.notes.auth,
        request: new Context(request, reply, baseUrl, messageId, file),
      })
      const key = route.idempotent ? keyOf(request) : undefined
      if (key !== undefined) return runOnce(request, reply, key, input)
      const result = route.handler(input())
      if (result instanceof Promise)
        return result
          .then((settled) => finish(request, reply, settled))
          .catch((thrown: unknown) => fail(request, reply, thrown))
      finish(request, reply, result)
    } catch (thrown) {
      fail(request, reply, thrown)
    }
    return undefined
  }

  /** A file on disk lives as long as whoever works on it, whether the caller waits or not. */
  const runMultipart = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const options = { bodyLimit, rule: route.upload, folder: parts.uploadFolder }
    const { fields, upload } = await readMultipart(request, options)
    try {
      await run(request, reply, fields, true, upload?.file)
    } finally {
      await upload?.[Symbol.asyncDispose]()
    }
  }

  return {
    enter: (request, reply, next) => {
      const { notes } = request
      notes.route = route
      try {
        if (limiter) {
          const wait = limiter.take(request.ip)
          if (wait > 0)
            throw new ParleyError('rate_limited', `too many calls from this address; try again in ${wait} s`, {
              retryAfterSeconds: wait,
            })
        }
        notes.auth = guard(request.headers)
        if (route.auth === 'jwt') notes.deviceId = (notes.auth as AuthOf['jwt']).device.deviceId
      } catch (thrown) {
        return fail(request, reply, thrown)
      }
      next()
    },

    handle: (request, reply) => {
      if (route.body === undefined) {
        void run(request, reply, undefined, false)
        return
      }
      if (multipart && request.isMultipart()) {
        runMultipart(request, reply).catch((thrown: unknown) => {
          fail(request, reply, thrown)
          // answered already; what still comes is let go, so that the next request on the connection is heard
          request.raw.unpipe()
          request.raw.resume()
        })
        return
      }
      const body = request.body ?? (route.bodyOptional === true ? {} : undefined)
      if (body === undefined) return fail(request, reply, new ParleyError('bad_request', 'a body is required'))
      void run(request, reply, body, request.notes.isForm)
    },
  }
}
