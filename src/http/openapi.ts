import type { TSchema } from 'typebox'
import type { ErrorCode } from '../kernel/errors.ts'
import { bodyTypesOf } from './bodies.ts'
import { STATUS_OF } from './error-table.ts'
import { type Json, Schemas } from './openapi-schemas.ts'
import type { AuthKind, Route, RouteError, UploadRule } from './route.ts'

/** An event as receivers get it: the schema and example are of the whole body that is posted to a webhook. */
export interface DocumentedEvent {
  readonly name: string
  readonly description: string
  readonly category?: string
  readonly schema: TSchema
  readonly example: unknown
}

export interface DocumentFacts {
  readonly version: string
  /** Where the API is served; `` in the committed document. */
  readonly baseUrl?: string
}

const INTRO = `One server holds many linked WhatsApp devices; each is driven by plain HTTP, and what happens to it is pushed to webhooks.

Every JSON reply has the same envelope: \`{status, code, message, data?}\`, and on failure \`{status: false, code, message, error, data}\` with \`error\` equal to \`message\`, \`data.error_code\` a stable word for programs, and \`data.field\` the input at fault. Every reply carries \`X-Request-ID\`; send your own (up to 128 characters of \`A-Z a-z 0-9 . _ : -\`) to find a call in the log.`

const SECURITY: Readonly<Record<Exclude<AuthKind, 'none'>, string>> = {
  admin: 'AdminSecret',
  'api-key': 'ApiKey',
  jwt: 'DeviceToken',
}

const SECURITY_SCHEMES: Json = {
  DeviceToken: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: 'The token that POST /devices or POST /devices/token gave.',
  },
  ApiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key', description: 'A customer key: `wam_...`.' },
  AdminSecret: { type: 'apiKey', in: 'header', name: 'X-Admin-Secret', description: 'ADMIN_SECRET_KEY of the server.' },
}

const WHO: Readonly<Record<Exclude<AuthKind, 'none'>, string>> = {
  admin: 'X-Admin-Secret is missing or wrong',
  'api-key': 'X-API-Key is missing, unknown or disabled',
  jwt: 'the token is missing, not valid or replaced; or its device or API key is gone or disabled',
}

const REQUEST_ID: Json = { $ref: '#/components/headers/RequestId' }

const capital = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1)

/** The refusals that follow from what the route takes, then its own. */
const refusalsOf = (route: Route): readonly RouteError[] => [
  ...(route.params || route.query || route.body
    ? [{ code: 'bad_request', when: 'the input is malformed; `data.field` names the culprit' } as const]
    : []),
  ...(route.auth === 'none' ? [] : [{ code: 'unauthorized', when: WHO[route.auth] } as const]),
  ...(route.body
    ? ([
        { code: 'too_large', when: 'the body is over HTTP_BODY_LIMIT_SIZE' },
        { code: 'unsupported_media_type', when: 'the Content-Type is none of those named' },
      ] as const)
    : []),
  ...(route.perMinutePerAddress === undefined
    ? []
    : [
        {
          code: 'rate_limited',
          when: `more than ${route.perMinutePerAddress} calls a minute from one address`,
        } as const,
      ]),
  ...(route.idempotent
    ? [{ code: 'idempotency_mismatch', when: 'the Idempotency-Key was used with another request' } as const]
    : []),
  ...route.errors,
  { code: 'internal', when: 'the gateway failed' },
]

const failureResponses = (route: Route): Record<string, Json> => {
  const byStatus = new Map<number, RouteError[]>()
  for (const refusal of refusalsOf(route)) {
    const status = refusal.status ?? STATUS_OF[refusal.code]
    byStatus.set(status, [...(byStatus.get(status) ?? []), refusal])
  }
  return Object.fromEntries(
    [...byStatus]
      .toSorted(([a], [b]) => a - b)
      .map(([status, refusals]) => [String(status), failureResponse(status, refusals)]),
  )
}

const failureResponse = (status: number, refusals: readonly RouteError[]): Json => {
  const { code, when } = refusals[0]!
  const waits = refusals.some((refusal) =>
    (['rate_limited', 'storage_unavailable'] as ErrorCode[]).includes(refusal.code),
  )
  return {
    description: capital(`${refusals.map((refusal) => `${refusal.when} (\`${refusal.code}\`)`).join('; ')}.`),
    headers: {
      'X-Request-ID': REQUEST_ID,
      ...(waits ? { 'Retry-After': { $ref: '#/components/headers/RetryAfter' } } : {}),
    },
    content: {
      'application/json': {
        schema: { $ref: '#/components/schemas/Failure' },
        example: { status: false, code: status, message: when, error: when, data: { error_code: code } },
      },
    },
  }
}

const successResponse = (route: Route, schemas: Schemas): Json => {
  const status = route.success?.status ?? 200
  const message = route.success?.message ?? capital(route.summary)
  const optional = route.data !== undefined && '~optional' in route.data
  const data = route.data && schemas.use(route.data, `${capital(route.id)}Data`)
  const repeated = route.repeatDataAtTop && route.data ? (schemas.plain(route.data).properties as Json) : {}
  const envelope: Json = {
    type: 'object',
    required: ['status', 'code', 'message', ...(data && !optional ? ['data'] : [])],
    properties: {
      ...repeated,
      status: { const: true },
      code: { const: status },
      message: { type: 'string' },
      ...(data ? { data } : {}),
    },
  }
  const { example } = route.success ?? {}
  const shown = { status: true, code: status, message, ...(example === undefined ? {} : { data: example }) }
  const top = route.repeatDataAtTop ? (example as Json | undefined) : undefined
  const content: Json = {
    'application/json': {
      schema: envelope,
      ...(example === undefined && data ? {} : { example: { ...top, ...shown } }),
    },
  }
  for (const type of route.produces ?? []) {
    content[type] = { schema: type.startsWith('text/') ? { type: 'string' } : { type: 'string', format: 'binary' } }
  }
  const headers: Json = {
    'X-Request-ID': REQUEST_ID,
    ...(route.idempotent ? { 'Idempotency-Replayed': { $ref: '#/components/headers/IdempotencyReplayed' } } : {}),
  }
  return { description: route.success?.description ?? message, headers, content }
}

/** What a route whose reply goes on answers first. */
const liveResponse = (route: Route): Json =>
  route.live === 'websocket'
    ? { '101': { description: 'The connection is a WebSocket from here on.', headers: { 'X-Request-ID': REQUEST_ID } } }
    : {
        '200': {
          description: 'A stream that goes on for as long as the caller stays.',
          headers: { 'X-Request-ID': REQUEST_ID },
          content: { 'text/event-stream': { schema: { type: 'string' } } },
        },
      }

const LAST_EVENT_ID: Json = {
  name: 'Last-Event-ID',
  in: 'header',
  required: false,
  description: 'The `id` of the last event that you got; counts more than `after`',
  schema: { type: 'string' },
}

const parametersOf = (route: Route, schemas: Schemas): Json[] => {
  const list = (place: 'path' | 'query', object: Route['params']): Json[] => {
    if (!object) return []
    const { properties, required } = schemas.plain(object) as { properties: Record<string, Json>; required?: string[] }
    return Object.entries(properties).map(([name, { description, ...schema }]) => ({
      name,
      in: place,
      required: place === 'path' || (required ?? []).includes(name),
      ...(description === undefined ? {} : { description }),
      schema,
    }))
  }
  const header: Json[] = route.idempotent ? [{ $ref: '#/components/parameters/IdempotencyKey' }] : []
  if (route.live === 'event-stream') header.push(LAST_EVENT_ID)
  return [...list('path', route.params), ...list('query', route.query), ...header]
}

const requestBodyOf = (route: Route, schemas: Schemas): Json | undefined => {
  if (!route.body) return undefined
  const schema = schemas.use(route.body, `${capital(route.id)}Body`)
  const example = route.bodyExample === undefined ? {} : { example: route.bodyExample }
  const media = { schema, ...example }
  const form = route.upload ? { schema: withFile(schemas.plain(route.body), route.upload) } : media
  return {
    required: route.bodyOptional !== true,
    content: Object.fromEntries(
      bodyTypesOf(route).map((type) => [type, type === 'multipart/form-data' ? form : media]),
    ),
  }
}

/** The body of a form: the fields, and the file in place of what JSON has instead. */
const withFile = (body: Json, { what, maxBytes }: UploadRule): Json => {
  const { url: _, base64: __, ...fields } = (body.properties ?? {}) as Record<string, Json>
  const file = { type: 'string', format: 'binary', description: `${capital(what)}, at most ${maxBytes} bytes` }
  return { type: 'object', required: ['file'], properties: { file, ...fields } }
}

const operationOf = (route: Route, schemas: Schemas): Json => {
  const parameters = parametersOf(route, schemas)
  const requestBody = requestBodyOf(route, schemas)
  return {
    operationId: route.id,
    tags: [route.tag],
    summary: route.summary,
    ...(route.description === undefined ? {} : { description: route.description }),
    security: route.auth === 'none' ? [] : [{ [SECURITY[route.auth]]: [] }],
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(requestBody ? { requestBody } : {}),
    responses: {
      ...(route.live
        ? liveResponse(route)
        : { [String(route.success?.status ?? 200)]: successResponse(route, schemas) }),
      ...failureResponses(route),
    },
  }
}

const webhooksOf = (events: readonly DocumentedEvent[], schemas: Schemas): Json =>
  Object.fromEntries(
    events.map(({ name, description, category, schema, example }) => [
      name,
      {
        post: {
          operationId: name,
          ...(category === undefined ? {} : { tags: [category] }),
          summary: name,
          description,
          security: [],
          requestBody: {
            required: true,
            content: {
              'application/json': {
                schema: schemas.use(schema, `Event ${name}`.replace(/[ ._]+(.)/g, upper)),
                example,
              },
            },
          },
          responses: { '2XX': { description: 'Received. Anything else is tried again.' } },
        },
      },
    ]),
  )

const upper = (_: string, letter: string): string => letter.toUpperCase()

/** The OpenAPI 3.1 document of these routes and events; depends on nothing else. @throws Error on two routes of one id */
export const buildOpenApi = (
  routes: readonly Route[],
  events: readonly DocumentedEvent[],
  { version, baseUrl = '' }: DocumentFacts,
): Json => {
  const schemas = new Schemas()
  const paths: Record<string, Json> = {}
  const ids = new Set<string>()
  for (const route of routes) {
    if (ids.has(route.id)) throw new Error(`two routes are called ${route.id}`)
    ids.add(route.id)
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operationOf(route, schemas) }
  }
  const webhooks = webhooksOf(events, schemas)
  return {
    openapi: '3.1.0',
    info: {
      title: 'Parley',
      version,
      summary: 'A multi-session WhatsApp REST gateway',
      description: INTRO,
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: baseUrl === '' ? '/' : baseUrl }],
    tags: [...new Set(routes.map(({ tag }) => tag))].map((name) => ({ name })),
    paths,
    webhooks,
    components: {
      securitySchemes: SECURITY_SCHEMES,
      headers: {
        RequestId: {
          description: 'The id of this call in the log: the one that was sent, or a new UUID.',
          schema: { type: 'string' },
        },
        RetryAfter: { description: 'Seconds to wait.', schema: { type: 'integer', minimum: 1 } },
        IdempotencyReplayed: {
          description: 'On a reply that was given before to the same Idempotency-Key.',
          schema: { const: 'true' },
        },
      },
      parameters: {
        IdempotencyKey: {
          name: 'Idempotency-Key',
          in: 'header',
          required: false,
          description:
            'Makes a repeat safe: for 24 hours the same request under the same key of this device and endpoint is carried out once, also across a crash, and repeats get the same reply (with `Idempotency-Replayed: true`) and message id. A repeat that comes too early waits. Refusals and failures are not remembered.',
          schema: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[\\x21-\\x7E]+$' },
        },
      },
      schemas: {
        Failure: {
          type: 'object',
          required: ['status', 'code', 'message', 'error'],
          properties: {
            status: { const: false },
            code: { type: 'integer', description: 'The HTTP status' },
            message: { type: 'string' },
            error: { type: 'string', description: 'The same as `message`' },
            data: {
              type: 'object',
              properties: {
                error_code: { type: 'string', enum: Object.keys(STATUS_OF) },
                field: { type: 'string', description: 'The input at fault: `text`, `events[2]`' },
                whatsapp_code: { type: 'integer', description: "WhatsApp's own code" },
              },
              additionalProperties: true,
            },
          },
        },
        ...schemas.components(),
      },
    },
  }
}
