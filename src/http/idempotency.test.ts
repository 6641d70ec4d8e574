import assert from 'node:assert/strict'
import { after, beforeEach, describe, test } from 'node:test'
import fc from 'fast-check'
import { Type } from 'typebox'
import { type TestDevice, TestGateway } from '../../test/support/fakes/test-gateway.ts'
import { ParleyError } from '../kernel/errors.ts'
import { FINGERPRINT, fingerprintOf } from './idempotency.ts'
import { ok, route } from './route.ts'

/** What the handler of the route below does next, and what it was given. */
const sent: (string | undefined)[] = []
let behave = async (id: string | undefined): Promise<string> => id ?? 'none'

const sendOnce = route({
  id: 'sendOnce',
  method: 'POST',
  path: '/once/{to}',
  auth: 'jwt',
  tag: 'Test',
  summary: 'Once',
  idempotent: true,
  params: Type.Object({ to: Type.String() }),
  body: Type.Object({ text: Type.String(), more: Type.Optional(Type.Unknown()) }),
  data: Type.Object({ id: Type.String() }),
  errors: [],
  handler: async ({ request }) => {
    sent.push(request.messageId)
    return ok('Done', { id: await behave(request.messageId) })
  },
})

describe('a route that takes an Idempotency-Key', async () => {
  const gateway = await TestGateway.open({ routes: [sendOnce] })
  after(() => gateway[Symbol.asyncDispose]())
  let device: TestDevice
  beforeEach(async () => {
    device = await gateway.newDevice()
    sent.length = 0
    behave = async (id) => id ?? 'none'
  })

  const send = (key: string | undefined, body: unknown = { text: 'x' }, to = 'ada', from = device) =>
    gateway.call('POST', `/once/${to}`, {
      headers: { ...from.headers, ...(key === undefined ? {} : { 'idempotency-key': key }) },
      body,
    })

  test('carries the same request out once and repeats its reply', async () => {
    const first = await send('k')
    assert.equal(first.status, 200)
    assert.match(first.body.data.id, /^3EB0[0-9A-F]{18}$/)
    assert.equal(first.headers['idempotency-replayed'], undefined)
    const again = await send('k')
    assert.deepEqual([again.status, again.text], [200, first.text])
    assert.equal(again.headers['idempotency-replayed'], 'true')
    assert.equal(sent.length, 1)
  })

  test('without a key each request counts', async () => {
    assert.deepEqual([(await send(undefined)).body.data.id, (await send(undefined)).body.data.id], ['none', 'none'])
    assert.deepEqual(sent, [undefined, undefined])
  })

  test('a key counts for one device and one request', async () => {
    await send('k')
    for (const [body, to] of [
      [{ text: 'y' }, 'ada'],
      [{ text: 'x', more: 1 }, 'ada'],
      [{ text: 'x' }, 'ben'],
    ] as const) {
      const other = await send('k', body, to)
      assert.deepEqual([other.status, other.body.data.error_code], [422, 'idempotency_mismatch'])
    }
    const another = await gateway.newDevice()
    assert.equal((await send('k', { text: 'y' }, 'ada', another)).status, 200)
    assert.equal(sent.length, 2)
  })

  test('repeats that come too early wait for the first; another request does not', async () => {
    const gate = Promise.withResolvers<void>()
    behave = async (id) => {
      await gate.promise
      return id!
    }
    const entered = new Promise<void>((resolve) => {
      const push = sent.push.bind(sent)
      sent.push = (...ids) => {
        resolve()
        sent.push = push
        return push(...ids)
      }
    })
    const waiting = Array.from({ length: 20 }, () => send('k'))
    await entered
    assert.equal((await send('k', { text: 'other' })).status, 422)
    gate.resolve()
    const replies = await Promise.all(waiting)
    assert.equal(new Set(replies.map(({ text }) => text)).size, 1)
    assert.equal(replies.filter(({ headers }) => headers['idempotency-replayed'] === undefined).length, 1)
    assert.equal(sent.length, 1)
  })

  test('failures are not remembered, whoever is at fault', async () => {
    for (const code of ['bad_request', 'not_on_whatsapp', 'whatsapp_refused', 'storage_unavailable'] as const) {
      behave = async () => {
        throw new ParleyError(code, 'no')
      }
      assert.equal((await send(`k-${code}`)).body.data.error_code, code)
      behave = async (id) => id!
      // not even the request has to be the same
      const then = await send(`k-${code}`, { text: 'better' })
      assert.deepEqual([then.status, then.headers['idempotency-replayed']], [200, undefined])
    }
  })

  test('input that is refused before anything is done does not use the key up', async () => {
    assert.equal((await send('k', { text: 5 })).status, 400)
    assert.equal((await send('k', { text: 'x' })).status, 200)
  })

  test('one that was accepted before its failure goes on under the same id', async () => {
    behave = async (id) => {
      gateway.idempotency.kept.add(id!)
      throw new ParleyError('storage_unavailable', 'gone after the commit')
    }
    assert.equal((await send('k')).status, 503)
    behave = async (id) => id!
    assert.equal((await send('k')).status, 200)
    assert.equal(sent.length, 2)
    assert.equal(sent[0], sent[1])
  })

  test('what a crash cut off goes on under the id that was committed', async () => {
    const scope = { deviceId: device.deviceId, route: 'sendOnce', key: 'k' }
    const fingerprint = fingerprintOf({ params: { to: 'ada' }, query: undefined, body: { text: 'x' } })
    await gateway.idempotency.claim({ ...scope, fingerprint, messageId: '3EB0DEAD' })
    assert.equal((await send('k', { text: 'other' })).status, 422)
    const { body, headers } = await send('k')
    assert.deepEqual([body.data.id, headers['idempotency-replayed']], ['3EB0DEAD', undefined])
    assert.equal((await send('k')).headers['idempotency-replayed'], 'true')
    assert.equal(sent.length, 1)
  })

  test('a reply that cannot be kept is given all the same, and found by its id later', async () => {
    gateway.idempotency.failures.set('finish', new ParleyError('storage_unavailable', 'away'))
    const first = await send('k')
    assert.equal(first.status, 200)
    assert.deepEqual((await send('k')).body.data, first.body.data)
    assert.equal(sent[0], sent[1])
  })

  test('nothing is done when the key cannot be committed', async () => {
    gateway.idempotency.failures.set('claim', new ParleyError('storage_unavailable', 'away'))
    const { status, headers } = await send('k')
    assert.deepEqual([status, headers['retry-after'], sent.length], [503, '5', 0])
  })

  test('a key must be 1 to 255 visible ASCII characters', async () => {
    for (const key of ['', ' ', 'a b', 'ü', 'x'.repeat(256), 'tab\tkey']) {
      const { status, body } = await send(key)
      assert.deepEqual([status, body.data.field], [400, 'Idempotency-Key'], JSON.stringify(key))
      assert.match(body.message, /^Idempotency-Key: /)
    }
    for (const key of ['~', '!', 'x'.repeat(255), '"quoted"', '5f0c7d1e-9a53-4f0b'])
      assert.equal((await send(key)).status, 200)
  })

  test('every sending route takes one, and the document says so', async () => {
    const document = (await gateway.call('GET', '/docs/swagger.json')).body
    for (const { id, path, method, idempotent } of gateway.routes) {
      const { parameters = [], responses } = document.paths[path][method.toLowerCase()]
      const names = parameters.map(({ $ref }: { $ref?: string }) => $ref)
      assert.equal(names.includes('#/components/parameters/IdempotencyKey'), idempotent === true, id)
      if (idempotent) assert.match(JSON.stringify(responses['422']), /idempotency_mismatch/)
    }
    assert.equal(gateway.routes.find(({ id }) => id === 'sendText')?.idempotent, true)
  })
})

test('a key on a route without a device, or without something to do, is a mistake in the code', () => {
  const facts = { id: 'x', path: '/x', tag: 't', summary: 's', errors: [], idempotent: true, handler: () => ok('x') }
  assert.throws(() => route({ ...facts, method: 'POST', auth: 'admin' }), /needs a device/)
  assert.throws(() => route({ ...facts, method: 'GET', auth: 'jwt' }), /needs a device/)
})

describe('a fingerprint', () => {
  const of = (body: unknown) => fingerprintOf({ params: {}, query: undefined, body })

  test('does not depend on the order of fields, and on nothing that was left out', () => {
    const shuffled = fc.dictionary(fc.string(), fc.jsonValue()).map((fields) => {
      const turned = Object.fromEntries(Object.entries(fields).toReversed())
      return [fields, { ...turned, left_out: undefined }] as const
    })
    fc.assert(fc.property(shuffled, ([one, other]) => of(one) === of(other)))
  })

  test('tells different requests apart', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
        const same = JSON.stringify(sorted(a)) === JSON.stringify(sorted(b))
        return (of([a]) === of([b])) === same
      }),
    )
    const whole = { params: { a: '1' }, query: { b: '1' }, body: { c: '1' } }
    const all = [
      whole,
      { ...whole, params: {} },
      { ...whole, query: { a: '1' } },
      { params: { b: '1' }, query: { a: '1' }, body: { c: '1' } },
    ]
    assert.equal(new Set(all.map(fingerprintOf)).size, all.length)
  })

  test('knows a file by its bytes or by the hash it brings', () => {
    assert.equal(of({ file: Buffer.from('abc') }), of({ file: new Uint8Array([97, 98, 99]) }))
    assert.notEqual(of({ file: Buffer.from('abc') }), of({ file: Buffer.from('abd') }))
    assert.equal(
      of({ file: { [FINGERPRINT]: 'h', path: '/tmp/1' } }),
      of({ file: { [FINGERPRINT]: 'h', path: '/tmp/2' } }),
    )
    assert.notEqual(of({ file: { [FINGERPRINT]: 'h' } }), of({ file: { [FINGERPRINT]: 'i' } }))
  })
})

const sorted = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(sorted)
    : typeof value === 'object' && value !== null
      ? Object.fromEntries(
          Object.entries(value)
            .map(([name, field]) => [name, sorted(field)] as const)
            .toSorted(([a], [b]) => (a < b ? -1 : 1)),
        )
      : Object.is(value, -0)
        ? 0
        : value
