import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { Type } from 'typebox'
import { parse } from 'yaml'
import { TestGateway } from '../../test/support/fakes/test-gateway.ts'
import { buildOpenApi } from './openapi.ts'
import { ok, type Route, route } from './route.ts'

const gateway = await TestGateway.open()
after(() => gateway[Symbol.asyncDispose]())

// biome-ignore lint/suspicious/noExplicitAny: a document is read as what it is
type Any = any

const refsIn = (value: unknown): string[] =>
  typeof value !== 'object' || value === null
    ? []
    : Object.entries(value).flatMap(([key, item]) => (key === '$ref' ? [item as string] : refsIn(item)))

const facts = { method: 'GET', auth: 'none', tag: 'T', summary: 'A thing', errors: [] } as const

test('every route is in the document, with its security and every refusal', async () => {
  const document = (await gateway.call('GET', '/docs/swagger.json')).body
  assert.equal(document.openapi, '3.1.0')
  for (const { path, method, id, auth, body, errors } of gateway.routes) {
    const operation = document.paths[path][method.toLowerCase()]
    assert.equal(operation.operationId, id)
    assert.equal(operation.security.length, auth === 'none' ? 0 : 1, id)
    const statuses = Object.keys(operation.responses)
    assert.ok(
      statuses.some((status) => status.startsWith('2') || status === '101'),
      id,
    )
    assert.ok(statuses.includes('500'), id)
    if (auth !== 'none') assert.ok(statuses.includes('401'), id)
    if (body) for (const status of ['400', '413', '415']) assert.ok(statuses.includes(status), `${id} ${status}`)
    for (const { when } of errors)
      assert.ok(
        JSON.stringify(operation.responses).toLowerCase().includes(JSON.stringify(when).slice(1, -1).toLowerCase()),
        `${id}: ${when}`,
      )
  }
})

test('every reference leads somewhere, and nothing is left nameless that has a name', async () => {
  const document = (await gateway.call('GET', '/docs/swagger.json')).body
  const refs = new Set(refsIn(document))
  assert.ok(refs.size > 20)
  for (const ref of refs) {
    const found = ref
      .slice(2)
      .split('/')
      .reduce((part: Any, key) => part?.[key], document)
    assert.ok(found, ref)
  }
  for (const name of ['Failure', 'Device', 'TextMessage']) assert.ok(refs.has(`#/components/schemas/${name}`), name)
})

test('the YAML says the same as the JSON, below the base URL too', async () => {
  await using based = await TestGateway.open({ http: { baseUrl: '/api/v1' } })
  const json = (await based.call('GET', '/api/v1/docs/swagger.json')).body
  const yaml = await based.call('GET', '/api/v1/docs/swagger.yaml')
  assert.match(String(yaml.headers['content-type']), /^application\/yaml/)
  assert.deepEqual(parse(yaml.text), json)
  assert.deepEqual(json.servers, [{ url: '/api/v1' }])
})

test('the page loads only its own files, and they are there', async () => {
  const page = await gateway.call('GET', '/docs/')
  assert.equal(page.status, 200)
  assert.match(String(page.headers['content-type']), /^text\/html/)
  const links = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map((found) => found[1]!)
  assert.ok(links.length >= 4)
  for (const link of links) {
    assert.match(link, /^\.\//)
    assert.equal((await gateway.call('GET', `/docs/${link.slice(2)}`)).status, 200, link)
  }
  assert.equal((await gateway.call('GET', '/docs/index.html')).text, page.text)
  assert.equal((await gateway.call('GET', '/docs/../package.json')).status, 404)
  const etag = String(page.headers.etag)
  assert.equal((await gateway.call('GET', '/docs/', { headers: { 'if-none-match': etag } })).status, 304)
})

test('events become the webhooks section', () => {
  const schema = Type.Object({ event_id: Type.String(), data: Type.Object({ text: Type.String() }) })
  const document = buildOpenApi(
    [],
    [
      {
        name: 'message.received',
        description: 'A message came.',
        category: 'Messages',
        schema,
        example: { event_id: 'e', data: { text: 'x' } },
      },
    ],
    { version: '1.0.0' },
  ) as Any
  const { post } = document.webhooks['message.received']
  assert.equal(post.description, 'A message came.')
  const media = post.requestBody.content['application/json']
  assert.deepEqual(media.schema, { $ref: '#/components/schemas/EventMessageReceived' })
  assert.deepEqual(document.components.schemas.EventMessageReceived.required, ['event_id', 'data'])
  assert.deepEqual(media.example.data, { text: 'x' })
})

test('a titled schema is one component wherever it occurs; two different ones of a name are a mistake', () => {
  const thing = Type.Object({ n: Type.Integer() }, { title: 'Thing' })
  const make = (id: string, data: Route['data']): Route =>
    ({ ...route({ ...facts, id, path: `/${id}`, handler: () => ok('x') }), data }) as Route
  const document = buildOpenApi([make('one', thing), make('many', Type.Array(thing))], [], { version: '1' }) as Any
  const dataOf = (path: string) =>
    document.paths[path].get.responses['200'].content['application/json'].schema.properties.data
  assert.deepEqual(dataOf('/one'), { $ref: '#/components/schemas/Thing' })
  assert.deepEqual(dataOf('/many'), { type: 'array', items: { $ref: '#/components/schemas/Thing' } })
  const other = Type.Object({ n: Type.String() }, { title: 'Thing' })
  assert.throws(
    () => buildOpenApi([make('one', thing), make('two', other)], [], { version: '1' }),
    /two schemas are called Thing/,
  )
  assert.throws(
    () => buildOpenApi([make('one', thing), make('one', thing)], [], { version: '1' }),
    /two routes are called one/,
  )
})
