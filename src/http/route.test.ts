import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Type } from 'typebox'
import { ok, raw, route } from './route.ts'

const facts = { method: 'GET', tag: 'T', summary: 's', errors: [] } as const

test('a route keeps what it was declared with', () => {
  const made = route({
    ...facts,
    id: 'getThing',
    path: '/things/{thing_id}',
    auth: 'jwt',
    params: Type.Object({ thing_id: Type.String() }),
    data: Type.Object({ name: Type.String(), tags: Type.Array(Type.String()) }),
    handler: ({ params, auth }) =>
      ok('Found', { name: params.thing_id + auth.device.deviceName, tags: ['a'] as const }),
  })
  assert.equal(made.auth, 'jwt')
  assert.equal(made.query, undefined)
})

test('path and params must name the same parameters', () => {
  assert.throws(
    () =>
      route({
        ...facts,
        id: 'x',
        path: '/x/{a}',
        auth: 'none',
        params: Type.Object({ b: Type.String() }),
        handler: () => ok('x'),
      }),
    /names \{a\}, params \{b\}/,
  )
})

test('what must not compile does not', () => {
  route({
    ...facts,
    id: 'a',
    path: '/a',
    auth: 'admin',
    // @ts-expect-error an admin route has no device
    handler: ({ auth }) => ok(String(auth.device)),
  })
  route({
    ...facts,
    id: 'b',
    path: '/b',
    auth: 'none',
    data: Type.Object({ count: Type.Integer() }),
    // @ts-expect-error the reply misses its schema
    handler: () => ok('b', { count: 'one' }),
  })
  route({
    ...facts,
    id: 'c',
    path: '/c',
    auth: 'none',
    data: Type.Object({ count: Type.Integer() }),
    // @ts-expect-error the reply has no data
    handler: () => ok('c'),
  })
  route({
    ...facts,
    id: 'd',
    path: '/d',
    auth: 'none',
    // @ts-expect-error a raw reply must be declared in `produces`
    handler: () => raw('text/html', '<p>'),
  })
  const optional = route({
    ...facts,
    id: 'e',
    path: '/e',
    auth: 'none',
    data: Type.Optional(Type.Object({ count: Type.Integer() })),
    produces: ['text/html'],
    handler: ({ request }) => (request.ip ? ok('none') : request.id ? raw('text/html', '') : ok('some', { count: 1 })),
  })
  assert.deepEqual(optional.produces, ['text/html'])
})
