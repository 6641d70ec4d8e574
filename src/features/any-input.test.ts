import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { ADMIN_SECRET, TestGateway } from '../../test/support/fakes/test-gateway.ts'

const gateway = await TestGateway.open()
after(() => gateway[Symbol.asyncDispose]())
const { key } = await gateway.newKey(0x7fffffff)
const device = await gateway.newDevice(key)
gateway.sessions.goOnline(device.deviceId)

const CREDENTIALS = {
  none: {},
  admin: { 'x-admin-secret': ADMIN_SECRET },
  'api-key': { 'x-api-key': key },
  jwt: device.headers,
}

/** Texts that have broken something somewhere before. */
const awkward = fc.constantFrom(
  '',
  ' ',
  '0',
  '-1',
  '1e3',
  'null',
  '%',
  '%zz',
  '%00',
  '..',
  "' OR 1=1--",
  '\u0000',
  '\ud800',
  '💥',
  '@',
  ':',
  '628123456',
  'x'.repeat(600),
)
const text = fc.oneof(awkward, fc.string({ maxLength: 40 }))
const typed = fc.constantFrom(
  'application/json',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=b',
  'text/plain',
  undefined,
)

/** Bodies that have the right names with any values in them get further than random ones. */
const bodyFor = (properties: readonly string[]) =>
  fc.oneof(
    fc.jsonValue(),
    fc.record(Object.fromEntries(properties.map((name) => [name, fc.oneof(text, fc.jsonValue())])), {
      requiredKeys: [],
    }),
  )

// A reply that goes on cannot be injected; test/e2e has those.
for (const route of gateway.routes.filter(({ live }) => live === undefined)) {
  test(`${route.method} ${route.path}: whatever is sent, the answer is an envelope and never a 500`, async () => {
    const names = Object.keys((route.body as { properties?: object } | undefined)?.properties ?? {})
    const cases = fc.record({ part: text, query: text, body: bodyFor(names), raw: fc.option(text), type: typed })
    await fc.assert(
      fc.asyncProperty(cases, async ({ part, query, body, raw, type }) => {
        await gateway.clock.advance(6_000)
        const path = route.path.replaceAll(/\{[^}]+\}/g, () => part.replaceAll(/[/?#\s]|[^\x20-\x7e]/g, '_') || '_')
        const reply = await gateway.app.inject({
          method: route.method,
          url: `${path}?${new URLSearchParams({ force: query, output: query, limit: query }).toString()}`,
          headers: { ...CREDENTIALS[route.auth], ...(type === undefined ? {} : { 'content-type': type }) },
          ...(route.method === 'GET' ? {} : { payload: raw ?? JSON.stringify(body) }),
        })
        assert.notEqual(reply.statusCode, 500, reply.body)
        if (reply.statusCode < 400) return
        const envelope = reply.json()
        assert.deepEqual([envelope.status, envelope.code, envelope.error], [false, reply.statusCode, envelope.message])
      }),
      { numRuns: 25 },
    )
  })
}
