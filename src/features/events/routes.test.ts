import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { until } from '../../../test/support/e2e/until.ts'
import { type EventGateway, openEventGateway } from '../../../test/support/event-gateway.ts'
import { openSocket, StreamReader } from '../../../test/support/live-readers.ts'

const labelsOf = (envelopes: readonly { readonly data: Readonly<Record<string, unknown>> }[]) =>
  envelopes.map(({ data }) => data.message)

describe('the event log over HTTP', { timeout: 30_000 }, () => {
  let gateway: EventGateway
  let deviceId: string
  let token: string
  const bearer = () => ({ authorization: `Bearer ${token}` })

  before(async () => {
    gateway = await openEventGateway()
  })
  after(() => gateway[Symbol.asyncDispose]())

  const freshDevice = async () => {
    ;({ deviceId, token } = await gateway.newDevice())
  }

  test('pages: a reader who asks on with next_after gets everything once', async () => {
    await freshDevice()
    await gateway.ping(deviceId, ['1', '2', '3', '4', '5'])
    const got: unknown[] = []
    let path = '/events?limit=2'
    for (;;) {
      const { status, data } = await gateway.as(token, 'GET', path)
      assert.equal(status, 200)
      got.push(...labelsOf(data.events))
      path = `/events?limit=2&after=${data.next_after}`
      if (!data.more) break
    }
    assert.deepEqual(got, ['1', '2', '3', '4', '5'])
    const { data } = await gateway.as(token, 'GET', '/events?limit=1')
    assert.deepEqual(Object.keys(data.events[0]).toSorted(), [
      'data',
      'device_id',
      'event_type',
      'id',
      'sequence',
      'timestamp',
    ])
    assert.deepEqual(
      [data.events[0].device_id, data.events[0].sequence, data.events[0].event_type],
      [deviceId, 1, 'test.ping'],
    )
    const none = await gateway.as(token, 'GET', '/events?types=message.*,%20connection.qr')
    assert.deepEqual([none.data.events, none.data.next_after], [[], 5])
  })

  test('bad input is refused with its field, over every transport', async () => {
    await freshDevice()
    const cases: readonly [string, string][] = [
      ['after=-1', 'after'],
      ['after=x', 'after'],
      ['after=1.5', 'after'],
      ['after=1', 'after'], // ahead of the log
      ['types=no.such', 'types'],
      ['types=message.*,,', 'types'],
      [`types=${'x'.repeat(4_001)}`, 'types'],
    ]
    for (const [query, field] of [...cases, ['limit=0', 'limit'], ['limit=201', 'limit']] as const) {
      const { status, data } = await gateway.as(token, 'GET', `/events?${query}`)
      assert.deepEqual([status, data.field], [400, field], query)
    }
    for (const [query, field] of cases) {
      await assert.rejects(StreamReader.open(gateway.port, `/events/stream?${query}`, bearer()), (error) => {
        const { status, reply } = error as unknown as { status: number; reply: { data: { field: string } } }
        assert.deepEqual([status, reply.data.field], [400, field], query)
        return true
      })
      await assert.rejects(openSocket(gateway.port, `/events/ws?${query}`, bearer()), (error) => {
        const { status, reply } = error as unknown as { status: number; reply: { data: { field: string } } }
        assert.deepEqual([status, reply.data.field], [400, field], query)
        return true
      })
    }
    await assert.rejects(
      StreamReader.open(gateway.port, '/events/stream', { ...bearer(), 'last-event-id': 'x' }),
      /Last-Event-ID: must be the id/,
    )
    for (const after of ['x', '5', '1.2.3', '1.-2', '99999999999999999999.1']) {
      const { status, data } = await gateway.asAdmin('GET', `/admin/events?after=${after}`)
      assert.deepEqual([status, data.field], [400, 'after'], after)
    }
    assert.equal((await gateway.asAdmin('GET', '/admin/events?limit=0')).data.field, 'limit')
    assert.equal((await gateway.asAdmin('GET', '/admin/events?types=x.y')).data.field, 'types')
    assert.equal((await gateway.as(token, 'GET', '/admin/events')).status, 401)
    for (const path of ['/events', '/events/stream', '/events/ws'])
      assert.equal((await gateway.as('nonsense', 'GET', path)).status, 401, path)
    await assert.rejects(openSocket(gateway.port, '/events/ws', {}), { status: 401 })
  })

  test('the admin reads all devices as one log', async () => {
    const [a, b] = [await gateway.newDevice(), await gateway.newDevice()]
    const { data: start } = await gateway.asAdmin('GET', '/admin/events?limit=200')
    assert.equal(start.more, false)
    await gateway.ping(a.deviceId, ['a1'])
    await gateway.ping(b.deviceId, ['b1', 'b2'])
    await gateway.ping(a.deviceId, ['a2'])
    const { data } = await gateway.asAdmin('GET', `/admin/events?after=${start.next_after}`)
    assert.deepEqual(labelsOf(data.events), ['a1', 'b1', 'b2', 'a2'])
    assert.equal(data.events.at(-1).cursor, data.next_after)
    const { data: rest } = await gateway.asAdmin('GET', `/admin/events?after=${data.events[1].cursor}`)
    assert.deepEqual(labelsOf(rest.events), ['b2', 'a2'])
  })

  test('a stream begins now, or after the cursor; Last-Event-ID counts more than the URL', async () => {
    await freshDevice()
    await gateway.ping(deviceId, ['1', '2', '3'])
    using live = await StreamReader.open(gateway.port, '/events/stream', {
      ...bearer(),
      origin: 'https://app.example',
      'x-request-id': 'my-stream',
    })
    const { headers } = live.response
    assert.match(String(headers['content-type']), /^text\/event-stream/)
    assert.deepEqual(
      [headers['cache-control'], headers['x-accel-buffering'], headers['x-request-id']],
      ['no-store', 'no', 'my-stream'],
    )
    assert.equal(headers['access-control-allow-origin'], 'https://app.example')
    using caughtUp = await StreamReader.open(gateway.port, '/events/stream?after=1', bearer())
    using back = await StreamReader.open(gateway.port, '/events/stream?after=0', { ...bearer(), 'last-event-id': '2' })
    using picky = await StreamReader.open(gateway.port, '/events/stream?types=message.*', bearer())
    await gateway.ping(deviceId, ['4'])
    await until('all have 4', () => [live, caughtUp, back].every(({ items }) => items.at(-1)?.id === '4'))
    assert.deepEqual(labelsOf(live.items.map(({ envelope }) => envelope)), ['4'])
    assert.deepEqual(labelsOf(caughtUp.items.map(({ envelope }) => envelope)), ['2', '3', '4'])
    assert.deepEqual(labelsOf(back.items.map(({ envelope }) => envelope)), ['3', '4'])
    assert.deepEqual(picky.items, [])
    const [item] = live.items
    assert.deepEqual([item!.event, item!.envelope.sequence, item!.envelope.device_id], ['test.ping', 4, deviceId])
  })

  test('a WebSocket gives the same, and what it sends is ignored', async () => {
    await freshDevice()
    await gateway.ping(deviceId, ['1', '2'])
    using reader = await openSocket(gateway.port, '/events/ws?after=1', bearer())
    reader.socket.send('hello?')
    await until('2', () => reader.envelopes.length === 1)
    await gateway.ping(deviceId, ['3'])
    await until('3', () => reader.envelopes.length === 2)
    assert.deepEqual(labelsOf(reader.envelopes), ['2', '3'])
    reader.socket.close()
    await reader.closed
    await until('the reader is forgotten', () => gateway.feed.readers === 0)
    reader.socket.terminate()
  })

  test('whoever does not ask for a WebSocket, or not well, is told so; other upgrades are not offered', async () => {
    await freshDevice()
    const plain = await gateway.as(token, 'GET', '/events/ws')
    assert.deepEqual([plain.status, plain.data.error_code], [426, 'upgrade_required'])
    assert.equal(plain.headers.get('upgrade'), 'websocket')
    const ask = async (path: string, ...headers: readonly string[]): Promise<string> => {
      const socket = connect(gateway.port, '127.0.0.1')
      socket.write(
        `GET /api${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nConnection: Upgrade\r\n${headers.join('\r\n')}\r\n\r\n`,
      )
      const [answer] = (await once(socket, 'data')) as [Buffer]
      socket.destroy()
      return answer.toString().slice(0, 12)
    }
    assert.equal(await ask('/events/ws', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'), 'HTTP/1.1 400')
    const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='
    assert.equal(await ask('/events/ws', 'Upgrade: websocket', key, 'Sec-WebSocket-Version: 8'), 'HTTP/1.1 400')
    assert.equal(await ask('/events/ws', 'Upgrade: websocket', key, 'Sec-WebSocket-Version: 13'), 'HTTP/1.1 101')
    // as Java's client does with every request
    assert.equal(await ask('/events', 'Upgrade: h2c'), 'HTTP/1.1 200')
    assert.equal(await ask('/events', 'Upgrade: websocket', key, 'Sec-WebSocket-Version: 13'), 'HTTP/1.1 200')
    assert.equal(await ask('/nowhere', 'Upgrade: websocket', key, 'Sec-WebSocket-Version: 13'), 'HTTP/1.1 404')
    assert.equal(await ask('/events/ws', 'Upgrade: h2c'), 'HTTP/1.1 426')
  })

  test('a cursor from before what is kept is 410 with the oldest there is, on every transport', async () => {
    await freshDevice()
    await gateway.ping(deviceId, ['1', '2'])
    await gateway.storage.events.prune(Date.now() + 1_000)
    await gateway.ping(deviceId, ['3'])
    const { status, data } = await gateway.as(token, 'GET', '/events?after=1')
    assert.deepEqual([status, data.error_code, data.field, data.oldest], [410, 'gone', 'after', 2])
    const { data: kept } = await gateway.as(token, 'GET', `/events?after=${data.oldest}`)
    assert.deepEqual(labelsOf(kept.events), ['3'])
    const { data: all } = await gateway.as(token, 'GET', '/events')
    assert.deepEqual(labelsOf(all.events), ['3'])
    await assert.rejects(StreamReader.open(gateway.port, '/events/stream?after=1', bearer()), { status: 410 })
    await assert.rejects(
      StreamReader.open(gateway.port, '/events/stream', { ...bearer(), 'last-event-id': '1' }),
      (error) => (error as { reply: { data: { oldest: number } } }).reply.data.oldest === 2,
    )
    await assert.rejects(openSocket(gateway.port, '/events/ws?after=0', bearer()), { status: 410 })
    const admin = await gateway.asAdmin('GET', '/admin/events?after=0.0')
    assert.deepEqual([admin.status, admin.data.field], [410, 'after'])
    const on = await gateway.asAdmin('GET', `/admin/events?after=${admin.data.oldest}&limit=200`)
    assert.ok(labelsOf(on.data.events).includes('3'))
  })

  test('a device has ten readers at most', async () => {
    await freshDevice()
    const readers = await Promise.all(
      Array.from({ length: 10 }, () => StreamReader.open(gateway.port, '/events/stream', bearer())),
    )
    await assert.rejects(StreamReader.open(gateway.port, '/events/stream', bearer()), { status: 429 })
    await assert.rejects(openSocket(gateway.port, '/events/ws', bearer()), { status: 429 })
    for (const reader of readers) reader[Symbol.dispose]()
    await until('they are forgotten', () => gateway.feed.readers === 0)
    using again = await StreamReader.open(gateway.port, '/events/stream', bearer())
    await gateway.ping(deviceId, ['x'])
    await until('it works again', () => again.items.length === 1)
  })

  test('a reader whose token or device has gone is sent away with the next event', async () => {
    await freshDevice()
    using stream = await StreamReader.open(gateway.port, '/events/stream', bearer())
    using socket = await openSocket(gateway.port, '/events/ws', bearer())
    await gateway.accounts.devices.raiseTokenVersion(deviceId, Date.now())
    await gateway.ping(deviceId, ['secret'])
    assert.deepEqual(await socket.closed, { code: 1008, reason: 'unauthorized' })
    await stream.closed
    assert.deepEqual([stream.items, socket.envelopes], [[], []])
    assert.ok(stream.comments.includes(': refused unauthorized'))
  })
})

test('a graceful stop says goodbye to every reader and does not wait for them', { timeout: 10_000 }, async () => {
  const gateway = await openEventGateway()
  const { token } = await gateway.newDevice()
  const headers = { authorization: `Bearer ${token}` }
  using stream = await StreamReader.open(gateway.port, '/events/stream', headers)
  using socket = await openSocket(gateway.port, '/events/ws', headers)
  const started = performance.now()
  await gateway[Symbol.asyncDispose]()
  assert.deepEqual(await socket.closed, { code: 1001, reason: 'closing' })
  await stream.closed
  assert.ok(stream.comments.includes(': closing'))
  assert.ok(performance.now() - started < 2_000)
})
