import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, test } from 'node:test'
import { until } from '../../test/support/e2e/until.ts'
import { openEventGateway } from '../../test/support/event-gateway.ts'
import { FakeClock } from '../../test/support/fake-clock.ts'
import { openSocket, StreamReader } from '../../test/support/live-readers.ts'

const open = async () => {
  const clock = new FakeClock()
  const gateway = await openEventGateway({ clock })
  const device = await gateway.newDevice()
  return { clock, gateway, ...device, headers: { authorization: `Bearer ${device.token}` } }
}

/** A connection that has said what it wants and reads nothing. */
const askAndStall = async (port: number, path: string, headers: readonly string[]) => {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  socket.write(`GET /api${path} HTTP/1.1\r\nHost: x\r\n${headers.join('\r\n')}\r\n\r\n`)
  socket.pause()
  return socket
}

const HANDSHAKE = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version: 13',
]

describe('live connections', { timeout: 30_000 }, () => {
  for (const [kind, path, more] of [
    ['a stream', '/events/stream?after=0', []],
    ['a WebSocket', '/events/ws?after=0', HANDSHAKE],
  ] as const)
    test(`${kind} whose reader takes nothing costs one batch, and is dropped after 20 s`, async () => {
      const { clock, gateway, deviceId, headers } = await open()
      await using _ = gateway
      // 40 MB: more than the sockets of both sides take in
      const text = 'x'.repeat(64 * 1024)
      for (let n = 0; n < 16; n++)
        await gateway.ping(
          deviceId,
          Array.from({ length: 40 }, () => text),
        )
      let read = 0
      const { events } = gateway.storage
      const readPlain = events.read.bind(events)
      events.read = async (...given) => {
        const rows = await readPlain(...given)
        read += rows.length
        return rows
      }
      using reader = await openSocket(gateway.port, '/events/ws', headers)
      const stalled = await askAndStall(gateway.port, path, [`Authorization: ${headers.authorization}`, ...more])
      let before = -1
      await until('the reader stalls', async () => {
        await new Promise((resolve) => setTimeout(resolve, 100))
        const same = read === before && read > 0
        before = read
        return same
      })
      assert.ok(read < 500, `${read} of 640 events were read for a reader who takes none`)
      await clock.advance(14_000)
      assert.equal(gateway.feed.readers, 2)
      await clock.advance(7_000)
      await until('the slow reader is dropped', () => gateway.feed.readers === 1)
      stalled.destroy()
      // nobody else was held up
      await gateway.ping(deviceId, ['after'])
      await until('the other reader gets on', () => reader.envelopes.at(-1)?.data.message === 'after')
    })

  test('a silent stream shows that it lives', async () => {
    const { clock, gateway, headers } = await open()
    await using _ = gateway
    using stream = await StreamReader.open(gateway.port, '/events/stream', headers)
    using socket = await openSocket(gateway.port, '/events/ws', headers)
    let pings = 0
    socket.socket.on('ping', () => {
      pings += 1
    })
    for (let n = 1; n <= 3; n++) {
      await clock.advance(15_000)
      await until(
        'a heartbeat',
        () => pings === n && stream.comments.filter((one) => one === ': heartbeat').length === n,
      )
    }
    assert.equal(gateway.feed.readers, 2)
  })

  test('a WebSocket that answers no ping is cut', async () => {
    const { clock, gateway, headers } = await open()
    await using _ = gateway
    const dead = await askAndStall(gateway.port, '/events/ws', [
      `Authorization: ${headers.authorization}`,
      ...HANDSHAKE,
    ])
    await until('it is open', () => gateway.feed.readers === 1)
    await clock.advance(15_000)
    assert.equal(gateway.feed.readers, 1)
    await clock.advance(15_000)
    await until('it is cut', () => gateway.feed.readers === 0)
    dead.destroy()
  })

  test('a heartbeat notices that the token has been replaced', async () => {
    const { clock, gateway, deviceId, headers } = await open()
    await using _ = gateway
    using stream = await StreamReader.open(gateway.port, '/events/stream', headers)
    using socket = await openSocket(gateway.port, '/events/ws', headers)
    await gateway.accounts.devices.raiseTokenVersion(deviceId, clock.now())
    await clock.advance(15_000)
    assert.deepEqual(await socket.closed, { code: 1008, reason: 'unauthorized' })
    await stream.closed
  })

  test('of a burst, no more get through than may be open; what is refused or ends makes room', async () => {
    const { gateway, headers } = await open()
    await using _ = gateway
    const ask = (n: number) =>
      n % 2 === 0
        ? StreamReader.open(gateway.port, '/events/stream', headers)
        : openSocket(gateway.port, '/events/ws', headers)
    for (let round = 0; round < 3; round++) {
      // refused for another reason: does not count any more
      for (let n = 0; n < 12; n++)
        await assert.rejects(StreamReader.open(gateway.port, '/events/stream?after=9', headers))
      for (let n = 0; n < 12; n++) await assert.rejects(openSocket(gateway.port, '/events/ws?after=9', headers))
      const outcomes = await Promise.allSettled(Array.from({ length: 40 }, (_, n) => ask(n)))
      const opened = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
      const statuses = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason.status] : []))
      assert.deepEqual([opened.length, statuses.length, new Set(statuses)], [10, 30, new Set([429])])
      for (const reader of opened) reader[Symbol.dispose]()
      await until('all have left', () => gateway.feed.readers === 0)
    }
  })

  test('streams that wait behind another on one connection end with it', async () => {
    const { gateway, headers } = await open()
    await using _ = gateway
    const asking = `GET /api/events/stream HTTP/1.1\r\nHost: x\r\nAuthorization: ${headers.authorization}\r\n\r\n`
    const socket = connect({ port: gateway.port, host: '127.0.0.1' })
    socket.write(asking.repeat(3))
    await until('they are open', () => gateway.feed.readers === 3)
    socket.destroy()
    await until('they are gone', () => gateway.feed.readers === 0)
    const opened = await Promise.all(
      Array.from({ length: 10 }, () => StreamReader.open(gateway.port, '/events/stream', headers)),
    )
    for (const reader of opened) reader[Symbol.dispose]()
  })

  test('a device that is deleted ends its streams', async () => {
    const { clock, gateway, deviceId, headers } = await open()
    await using _ = gateway
    using stream = await StreamReader.open(gateway.port, '/events/stream', headers)
    await gateway.accounts.devices.delete(deviceId)
    await clock.advance(15_000)
    await stream.closed
    assert.equal(gateway.feed.readers, 0)
  })

  test('a stop does not wait for a reader who takes no goodbye', async () => {
    const { clock, gateway, deviceId, headers } = await open()
    const text = 'x'.repeat(64 * 1024)
    for (let n = 0; n < 10; n++)
      await gateway.ping(
        deviceId,
        Array.from({ length: 40 }, () => text),
      )
    const stalled = await askAndStall(gateway.port, '/events/stream?after=0', [
      `Authorization: ${headers.authorization}`,
    ])
    await until('it is open', () => gateway.feed.readers === 1)
    await new Promise((resolve) => setTimeout(resolve, 200))
    const stopped = gateway[Symbol.asyncDispose]()
    await clock.advance(2_000)
    await stopped
    stalled.destroy()
  })
})
