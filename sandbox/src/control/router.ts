import type { IncomingMessage, ServerResponse } from 'node:http'
import { ApiError } from './api-error.ts'
import { type Fields, findFault, type ObjectSchema, type Schema } from './schema.ts'

export interface Call {
  /** Path parameters, decoded. */
  readonly params: Readonly<Record<string, string>>
  /** Query parameters, checked against their schemas. */
  readonly query: Readonly<Record<string, string | number | boolean | undefined>>
  /** The checked JSON body; empty where a route takes none. */
  readonly body: Fields
  /** The body as text, where a route takes text. */
  readonly text: string
  /** Aborts when the caller goes away. */
  readonly signal: AbortSignal
}

export interface Route {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** With `{name}` for parameters. */
  readonly path: string
  readonly tag: string
  readonly summary: string
  readonly description?: string
  readonly query?: Readonly<Record<string, Schema>>
  /** `text`: the body is plain text. */
  readonly body?: ObjectSchema | 'text'
  /** Of the body; 1 MiB when absent. */
  readonly maxBodyBytes?: number
  /** 200 when absent. */
  readonly status?: number
  /** `bytes`: the handler answers `Bytes`, which are sent as they are. */
  readonly reply: Schema | 'bytes'
  /** What it may be refused for: status -> codes. */
  readonly refusals?: Readonly<Record<number, readonly string[]>>
  readonly handle: (call: Call) => unknown
}

/** A reply that is no JSON. */
export class Bytes {
  readonly type: string
  readonly bytes: Uint8Array

  constructor(type: string, bytes: Uint8Array) {
    this.type = type
    this.bytes = bytes
  }
}

const MAX_BODY_BYTES = 1024 * 1024

interface Compiled {
  readonly route: Route
  readonly pattern: RegExp
  readonly names: readonly string[]
}

export class Router {
  readonly #routes: readonly Compiled[]

  constructor(routes: readonly Route[]) {
    this.#routes = routes.map((route) => {
      const names = Array.from(route.path.matchAll(/\{(\w+)\}/g), (match) => match[1]!)
      const pattern = new RegExp(`^${route.path.replace(/\{\w+\}/g, '([^/]+)')}/?$`)
      return { route, pattern, names }
    })
  }

  /** Answers a request; never throws. `report` hears of failures that are not the caller's. */
  async handle(request: IncomingMessage, response: ServerResponse, report: (error: unknown) => void): Promise<void> {
    try {
      const url = new URL(request.url ?? '/', 'http://sandbox')
      const { route, params } = this.#find(request.method ?? 'GET', url.pathname, response)
      const query = readQuery(route, url.searchParams)
      const text = route.body === undefined ? '' : await readBody(request, route.maxBodyBytes ?? MAX_BODY_BYTES)
      const body = route.body === undefined || route.body === 'text' ? {} : parseBody(route.body, text)
      const gone = new AbortController()
      response.once('close', () => gone.abort())
      const reply = await route.handle({ params, query, body, text, signal: gone.signal })
      if (!response.destroyed) sendJson(response, route.status ?? 200, reply)
    } catch (error) {
      if (response.destroyed || response.headersSent) return
      if (!(error instanceof ApiError)) report(error)
      const refusal = error instanceof ApiError ? error : new ApiError(500, 'internal', 'the sandbox failed')
      sendJson(response, refusal.status, { error: { code: refusal.code, message: refusal.message } })
    }
  }

  #find(method: string, path: string, response: ServerResponse) {
    const found = this.#routes.filter(({ pattern }) => pattern.test(path))
    if (found.length === 0) throw new ApiError(404, 'not_found', `there is nothing at ${path}`)
    const compiled = found.find(({ route }) => route.method === method)
    if (compiled === undefined) {
      const allowed = found.map(({ route }) => route.method).join(', ')
      response.setHeader('allow', allowed)
      throw new ApiError(405, 'method_not_allowed', `${path} takes ${allowed}`)
    }
    const values = compiled.pattern.exec(path)!.slice(1)
    const params = Object.fromEntries(compiled.names.map((name, index) => [name, decode(values[index]!)]))
    return { route: compiled.route, params }
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    // decodeURIComponent knows only URIError
    throw new ApiError(400, 'invalid_request', `${text} is badly percent-encoded`)
  }
}

function readQuery(route: Route, search: URLSearchParams): Call['query'] {
  const query: Record<string, string | number | boolean> = {}
  for (const [name, text] of search) {
    const schema = route.query?.[name]
    if (schema === undefined) throw new ApiError(400, 'invalid_request', `${name} is not known here`)
    const value = readValue(schema, text)
    const fault = findFault(schema, value, name)
    if (fault !== undefined) throw new ApiError(400, 'invalid_request', fault)
    query[name] = value as string | number | boolean
  }
  return query
}

function readValue(schema: Schema, text: string): unknown {
  if (schema.type === 'integer' && /^-?\d+$/.test(text)) return Number(text)
  if (schema.type === 'boolean' && /^(true|false)$/.test(text)) return text === 'true'
  return text
}

function parseBody(schema: ObjectSchema, text: string): Fields {
  let value: unknown
  try {
    value = text.trim() === '' ? {} : JSON.parse(text)
  } catch (error) {
    throw new ApiError(400, 'invalid_json', error instanceof Error ? error.message : 'the body is not JSON')
  }
  const fault = findFault(schema, value)
  if (fault !== undefined) throw new ApiError(400, 'invalid_request', fault)
  return value as Fields
}

async function readBody(request: IncomingMessage, most: number): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    size += (chunk as Buffer).length
    if (size > most) throw new ApiError(413, 'too_large', `a body has at most ${most} bytes`)
    chunks.push(chunk as Buffer)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function sendJson(response: ServerResponse, status: number, reply: unknown): void {
  if (status === 204) {
    response.writeHead(204).end()
    return
  }
  if (reply instanceof Bytes) {
    response.writeHead(status, { 'content-type': reply.type, 'cache-control': 'no-store' }).end(reply.bytes)
    return
  }
  const body = JSON.stringify(reply)
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' })
  response.end(body)
}
