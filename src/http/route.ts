import type { Readable } from 'node:stream'
import type { Static, TObject, TOptional, TSchema } from 'typebox'
import type { ErrorCode } from '../kernel/errors.ts'
import type { ApiKeyRow, DeviceRow } from '../storage/index.ts'

/**
 * An endpoint is one object. From the list of all routes come the Fastify routes, the OpenAPI document and the tests
 * that walk them. `auth` decides by type what a handler receives: only a `jwt` route has a device.
 */
export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

export type AuthKind = 'none' | 'admin' | 'api-key' | 'jwt'

/** What a handler knows of its caller. The rows are the in-memory ones: reading them costs no query. */
export interface AuthOf {
  readonly none: Readonly<Record<never, never>>
  readonly admin: Readonly<Record<never, never>>
  readonly 'api-key': { readonly apiKey: ApiKeyRow }
  readonly jwt: { readonly device: DeviceRow }
}

export type BodyType = 'application/json' | 'multipart/form-data' | 'application/x-www-form-urlencoded'

export interface RequestContext {
  /** The `X-Request-ID` of this request. */
  readonly id: string
  /** Aborts when the caller goes away before the reply. Made on first use. */
  readonly signal: AbortSignal
  /** The caller's address: the socket peer, or the forwarded one behind a proxy named in TRUST_PROXY. */
  readonly ip: string
  /** The request header of that (lower-case) name, the first where there are several. */
  header(name: string): string | undefined
  /** The id for the message that this request sends, when it came with an Idempotency-Key; else choose one. */
  readonly messageId: string | undefined
  /** The file that came with the form; it is gone when the reply has been given. */
  readonly file: UploadedFile | undefined
  /** `http://host:port` as the caller wrote it, when it is well-formed. */
  readonly origin: string | undefined
  /** Path prefix under which the API is served: `` or `/api/v1`. */
  readonly baseUrl: string
}

/** A file on disk. */
export interface UploadedFile {
  readonly path: string
  readonly size: number
  /** Hex. */
  readonly sha256: string
  /** As the caller named it: any script, and never a path to be used. */
  readonly fileName: string | undefined
}

/** That a route takes a file, in the form field `file`. */
export interface UploadRule {
  readonly maxBytes: number
  /** For refusals: `an image`. */
  readonly what: string
}

type StaticOf<S> = S extends TSchema ? Static<S> : undefined

export type DeepReadonly<T> = T extends readonly (infer E)[]
  ? readonly DeepReadonly<E>[]
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T

/** A JSON success: `{status: true, code, message, data?}` on the wire. */
export interface Reply<D> {
  readonly message: string
  readonly data: D
}

/** A reply that is not in the envelope: a page, an image, plain text. */
export interface RawReply {
  readonly raw: {
    readonly contentType: string
    readonly body: string | Uint8Array | StreamedBody
    readonly status?: number
    readonly headers?: Readonly<Record<string, string>>
  }
}

/** A body that is read from somewhere while it is sent. */
export interface StreamedBody {
  /** Bytes that `open` gives. */
  readonly length: number
  open(): Readable
}

export function ok(message: string): Reply<undefined>
export function ok<const D>(message: string, data: D): Reply<D>
export function ok<D>(message: string, data?: D): Reply<D | undefined> {
  return { message, data }
}

export const raw = (
  contentType: string,
  body: string | Uint8Array | StreamedBody,
  more: { readonly status?: number; readonly headers?: Readonly<Record<string, string>> } = {},
): RawReply => ({ raw: { contentType, body, ...more } })

/** One thing that is pushed to a caller who stays connected. */
export interface LiveItem {
  /** Where to go on after it: what a caller who comes back says as `Last-Event-ID`. */
  readonly id: string
  readonly event: string
  /** One JSON text. */
  readonly data: string
}

/** A reply without an end: batches as they come, until `signal` aborts. The next is asked for when one has been sent. */
export interface LiveReply {
  readonly live: (signal: AbortSignal) => AsyncIterable<readonly LiveItem[]>
}

export type LiveKind = 'event-stream' | 'websocket'

/** A refusal that callers of the route must expect; `status` only where it departs from the error table. */
export interface RouteError {
  readonly code: ErrorCode
  readonly when: string
  readonly status?: number
}

/** For `Type.String({ pattern: NOT_BLANK })`: at least one character that is not white space. */
export const NOT_BLANK = '\\S'

/** What every route that needs the database may answer. */
export const STORAGE_AWAY: RouteError = { code: 'storage_unavailable', when: 'the database is away' }

type ReplyOf<D, Raw> =
  | (D extends TOptional ? Reply<DeepReadonly<StaticOf<D>> | undefined> : Reply<DeepReadonly<StaticOf<D>>>)
  | (Raw extends readonly string[] ? RawReply : never)

export interface HandlerInput<A extends AuthKind, P, Q, B> {
  readonly params: StaticOf<P>
  readonly query: StaticOf<Q>
  readonly body: StaticOf<B>
  readonly auth: AuthOf[A]
  readonly request: RequestContext
}

interface RouteFacts {
  /** Unique, camelCase verb and noun: becomes `operationId` and the base of the component names. */
  readonly id: string
  readonly method: Method
  /** OpenAPI notation below the base URL: `/chats/{chat_jid}/messages`. */
  readonly path: string
  readonly tag: string
  /** One line; shown in the index of the documentation. */
  readonly summary: string
  readonly description?: string
  readonly success?: {
    /** 200 unless said otherwise. */
    readonly status?: 200 | 201 | 202 | 204
    readonly description?: string
    /** `data` of an exemplary reply. */
    readonly example?: unknown
    readonly message?: string
  }
  /** Media types the body may have; JSON alone unless said otherwise. Strings are coerced in forms only. */
  readonly bodyTypes?: readonly BodyType[]
  /** True: an absent body counts as `{}`. */
  readonly bodyOptional?: boolean
  readonly bodyExample?: unknown
  /** Repeats the fields of `data` at the top level of the reply, beside the envelope's own. */
  readonly repeatDataAtTop?: boolean
  /**
   * True: takes an `Idempotency-Key`. The handler must send under `request.messageId` when there is one, and answer what
   * became of that message when it was sent before.
   */
  readonly idempotent?: boolean
  readonly upload?: UploadRule
  /** Calls per minute of one address; beyond that `rate_limited`. */
  readonly perMinutePerAddress?: number
  /** The reply goes on for as long as the caller stays: made by `liveRoute()`. */
  readonly live?: LiveKind
  /** What else callers must expect. 400, 401, 413, 415, 429 and 500 follow from the other fields. */
  readonly errors: readonly RouteError[]
}

export interface RouteSpec<A extends AuthKind, P, Q, B, D, Raw> extends RouteFacts {
  readonly auth: A
  /** Path parameters, percent-decoded. */
  readonly params?: P
  readonly query?: Q
  readonly body?: B
  /** Schema of `data`; `Type.Optional` when a reply may go without, absent when every reply does. */
  readonly data?: D
  /** Media types of the replies made by `raw()`. */
  readonly produces?: Raw
  handler(input: HandlerInput<A, P, Q, B>): ReplyOf<D, Raw> | Promise<ReplyOf<D, Raw>>
}

/** A route whose particular types are forgotten: what the glue and the document work with. */
export interface Route extends RouteFacts {
  readonly auth: AuthKind
  readonly params: TObject | undefined
  readonly query: TObject | undefined
  readonly body: TSchema | undefined
  readonly data: TSchema | undefined
  readonly produces: readonly string[] | undefined
  handler(input: AnyHandlerInput): AnyReply | Promise<AnyReply>
}

export type AnyReply = Reply<unknown> | RawReply | LiveReply

export interface AnyHandlerInput {
  readonly params: unknown
  readonly query: unknown
  readonly body: unknown
  readonly auth: unknown
  readonly request: RequestContext
}

/** Declares an endpoint. @throws Error when the path's parameters and `params` disagree */
export const route = <
  const A extends AuthKind,
  P extends TObject | undefined = undefined,
  Q extends TObject | undefined = undefined,
  B extends TSchema | undefined = undefined,
  D extends TSchema | undefined = undefined,
  const Raw extends readonly string[] | undefined = undefined,
>(
  spec: RouteSpec<A, P, Q, B, D, Raw>,
): Route => {
  const named = [...spec.path.matchAll(/\{([^}]+)\}/g)].map((found) => found[1]!)
  const declared = Object.keys(spec.params?.properties ?? {})
  if (named.toSorted().join() !== declared.toSorted().join())
    throw new Error(`route ${spec.id}: the path names {${named.join()}}, params {${declared.join()}}`)
  if (spec.idempotent && (spec.auth !== 'jwt' || spec.produces || spec.method === 'GET'))
    throw new Error(`route ${spec.id}: an Idempotency-Key needs a device, a JSON reply, and something to do once`)
  return {
    params: undefined,
    query: undefined,
    body: undefined,
    data: undefined,
    produces: undefined,
    ...(spec as unknown as Partial<Route> &
      Pick<Route, 'id' | 'method' | 'path' | 'auth' | 'tag' | 'summary' | 'errors'>),
    handler: (input) => spec.handler(input as HandlerInput<A, P, Q, B>) as Reply<unknown> | Promise<Reply<unknown>>,
  }
}

/** Declares an endpoint whose reply goes on for as long as the caller stays. What is thrown becomes an ordinary refusal. */
export const liveRoute = <const A extends AuthKind, Q extends TObject | undefined = undefined>(
  spec: Omit<RouteFacts, 'method' | 'bodyTypes' | 'bodyOptional' | 'bodyExample' | 'idempotent'> & {
    readonly auth: A
    readonly live: LiveKind
    readonly query?: Q
    handler(input: HandlerInput<A, undefined, Q, undefined>): Promise<LiveReply>
  },
): Route => ({
  method: 'GET',
  params: undefined,
  query: undefined,
  body: undefined,
  data: undefined,
  ...spec,
  produces: spec.live === 'event-stream' ? ['text/event-stream'] : undefined,
  handler: (input) => spec.handler(input as HandlerInput<A, undefined, Q, undefined>),
})
