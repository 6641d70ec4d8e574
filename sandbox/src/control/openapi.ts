// The OpenAPI 3.1 document of the control API, made from its routes.
import type { Route } from './router.ts'
import type { Schema } from './schema.ts'

const ERROR = {
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['code', 'message'],
      properties: { code: { type: 'string' }, message: { type: 'string' } },
    },
  },
}

const STATUS_TEXT: Readonly<Record<number, string>> = {
  400: 'Malformed JSON, or a field that is missing, unknown or of the wrong type',
  404: 'Not found',
  409: 'Not possible in this state',
  413: 'The body is too large',
  422: 'Refused',
  504: 'A fault keeps the service from answering',
}

const BAD_REQUEST = ['invalid_json', 'invalid_request']

export function describeApi(routes: readonly Route[]) {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const route of routes) {
    paths[route.path] ??= {}
    paths[route.path]![route.method.toLowerCase()] = describeRoute(route)
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Parley sandbox: control API',
      version: '0.1.0',
      description: 'Makes people in the simulated WhatsApp, and lets their phones link, write, read and fail.',
    },
    servers: [{ url: '/' }],
    tags: [...new Set(routes.map(({ tag }) => tag))].map((name) => ({ name })),
    paths,
    components: { schemas: { Error: ERROR } },
  }
}

function describeRoute(route: Route) {
  const { method, path, tag, summary, description, body, status = 200, refusals = {} } = route
  const names = Array.from(path.matchAll(/\{(\w+)\}/g), (match) => match[1]!)
  const parameters = [
    ...names.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } })),
    ...Object.entries(route.query ?? {}).map(([name, schema]) => ({
      name,
      in: 'query',
      required: false,
      description: schema.description,
      schema: toJsonSchema(schema),
    })),
  ]
  const takesInput = body !== undefined || route.query !== undefined || names.length > 0
  const refused: Record<number, readonly string[]> = {
    ...(takesInput && { 400: body === undefined || body === 'text' ? ['invalid_request'] : BAD_REQUEST }),
    ...(body !== undefined && { 413: ['too_large'] }),
    ...refusals,
  }
  const responses = Object.entries(refused).map(([refusal, codes]) => [
    refusal,
    {
      description: `${STATUS_TEXT[Number(refusal)] ?? 'Refused'}: ${codes.map((code) => `\`${code}\``).join(', ')}`,
      content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
    },
  ])
  const words = path.replace(/^\//, '').split(/[^A-Za-z]+/)
  return {
    operationId: [method.toLowerCase(), ...words].filter(Boolean).join('_'),
    tags: [tag],
    summary,
    ...(description !== undefined && { description }),
    ...(parameters.length > 0 && { parameters }),
    ...(body !== undefined && {
      requestBody: {
        required: true,
        content:
          body === 'text'
            ? { 'text/plain': { schema: { type: 'string' } } }
            : { 'application/json': { schema: toJsonSchema(body) } },
      },
    }),
    responses: {
      [status]: {
        description: 'Done',
        content:
          route.reply === 'bytes'
            ? { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } }
            : { 'application/json': { schema: toJsonSchema(route.reply) } },
      },
      ...Object.fromEntries(responses),
    },
  }
}

/** JSON Schema 2020-12, as OpenAPI 3.1 wants it: `nullable` becomes a second type. */
function toJsonSchema(schema: Schema): Record<string, unknown> {
  const { nullable, ...rest } = schema
  const described: Record<string, unknown> = nullable === true ? { ...rest, type: [schema.type, 'null'] } : { ...rest }
  if (schema.type === 'array') described.items = toJsonSchema(schema.items)
  if (schema.type !== 'object') return described
  const properties = Object.entries(schema.properties).map(([name, part]) => [name, toJsonSchema(part)])
  return {
    ...described,
    properties: Object.fromEntries(properties),
    additionalProperties: schema.additionalProperties ?? false,
  }
}
