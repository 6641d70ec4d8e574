import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { describe, test } from 'node:test'
import { makeLoopbackDial } from '../../test/support/loopback-dial.ts'
import { systemClock } from '../kernel/clock.ts'
import { AddressGuard } from './address-guard.ts'
import { HttpWebhookClient } from './client.ts'
import type { Resolver } from './resolver.ts'

/** An HTTP receiver on a free port of 127.0.0.1. */
const listen = async (answer: RequestListener) => {
  const server = createServer(answer)
  let connections = 0
  server.on('connection', () => (connections += 1))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => connections,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

const bodyOf = async (request: IncomingMessage): Promise<string> => {
  let text = ''
  for await (const chunk of request) text += chunk
  return text
}

const makeClient = (options: {
  readonly resolver?: Resolver
  readonly allowedNetworks?: readonly string[]
  readonly totalTimeoutMs?: number
}) => {
  const { dial, escapes } = makeLoopbackDial()
  const guard = new AddressGuard({
    allowHttp: true,
    allowedNetworks: options.allowedNetworks ?? ['127.0.0.0/8'],
    resolver: options.resolver ?? (async () => ['127.0.0.1']),
  })
  const client = new HttpWebhookClient({
    guard,
    dial,
    clock: systemClock,
    ...(options.totalTimeoutMs === undefined ? {} : { totalTimeoutMs: options.totalTimeoutMs }),
  })
  return { client, escapes }
}

const request = (url: string, text = '{"a":1}') => ({
  url,
  headers: { 'Content-Type': 'application/json', 'X-Webhook-Event': 'test.ping' },
  body: Buffer.from(text),
})

describe('the webhook client', { timeout: 20_000 }, () => {
  test('posts the very bytes, resolves the name itself, and uses a connection again', async () => {
    const got: { readonly body: string; readonly host: string | undefined; readonly path: string | undefined }[] = []
    await using server = await listen(async (incoming, response) => {
      got.push({ body: await bodyOf(incoming), host: incoming.headers.host, path: incoming.url })
      assert.equal(incoming.headers['x-webhook-event'], 'test.ping')
      response.writeHead(202).end('thanks')
    })
    const asked: string[] = []
    const { client } = makeClient({
      resolver: async (host) => {
        asked.push(host)
        return ['127.0.0.1']
      },
    })
    await using _ = client
    for (let i = 0; i < 8; i++) {
      const answer = await client.post(request(`http://hook.example:${server.port}/in?x=1`))
      assert.deepEqual(
        { ...answer, latencyMs: 0 },
        {
          kind: 'answered',
          status: 202,
          latencyMs: 0,
          excerpt: '',
          retryAfter: undefined,
        },
      )
    }
    assert.deepEqual(got[0], { body: '{"a":1}', host: `hook.example:${server.port}`, path: '/in?x=1' })
    // undici uses a connection again one turn of the event loop after an answer, so two take turns.
    assert.ok(server.connections() <= 2, `${server.connections()} connections`)
    assert.equal(asked.length, server.connections())
  })

  test('keeps the first bytes of an answer that is no success, and its Retry-After', async () => {
    await using server = await listen((_, response) =>
      response.writeHead(503, { 'Retry-After': '7' }).end(`busy ${'x'.repeat(5_000)}`),
    )
    const { client } = makeClient({})
    await using _ = client
    const answer = await client.post(request(`http://hook.example:${server.port}/`))
    assert.ok(answer.kind === 'answered')
    assert.equal(answer.status, 503)
    assert.equal(answer.retryAfter, '7')
    assert.equal(answer.excerpt.length, 1024)
    assert.ok(answer.excerpt.startsWith('busy xxx'))
  })

  test('does not follow redirects', async () => {
    let reached = 0
    await using other = await listen((_, response) => {
      reached += 1
      response.end()
    })
    await using server = await listen((_, response) =>
      response.writeHead(307, { Location: `http://127.0.0.1:${other.port}/` }).end(),
    )
    const { client } = makeClient({})
    await using _ = client
    const answer = await client.post(request(`http://hook.example:${server.port}/`))
    assert.ok(answer.kind === 'answered' && answer.status === 307)
    assert.equal(reached, 0)
  })

  test('reads an endless answer no further than its bound', async () => {
    let written = 0
    let cut: (() => void) | undefined
    const closed = new Promise<void>((resolve) => {
      cut = resolve
    })
    await using server = await listen((_, response) => {
      response.on('close', () => cut!())
      const more = () => {
        if (response.destroyed) return
        written += 16_384
        response.write('y'.repeat(16_384), () => setImmediate(more))
      }
      more()
    })
    const { client } = makeClient({})
    await using _ = client
    const answer = await client.post(request(`http://hook.example:${server.port}/`))
    assert.ok(answer.kind === 'answered' && answer.status === 200)
    await closed
    assert.ok(written < 16 * 1024 * 1024, `${written} bytes were taken`)
  })

  test('gives up an answer that does not come, does not end, or never begins to connect', async () => {
    await using silent = await listen(() => undefined)
    await using dripping = await listen((_, response) => {
      response.writeHead(200)
      response.write('a')
    })
    const { client } = makeClient({ totalTimeoutMs: 60 })
    await using _ = client
    for (const { port } of [silent, dripping]) {
      const answer = await client.post(request(`http://hook.example:${port}/`))
      assert.ok(answer.kind === 'failed')
      assert.equal(answer.error, 'no answer within 0.06 s')
    }
    const slowName = makeClient({ totalTimeoutMs: 60, resolver: () => new Promise(() => undefined) })
    const answer = await slowName.client.post(request('http://slow.example/'))
    assert.equal(answer.kind, 'failed')
    await slowName.client[Symbol.asyncDispose]()
  })

  test('tells a refused connection and one that is cut', async () => {
    const server = createTcpServer((socket) => socket.destroy())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const { client } = makeClient({})
    await using _ = client
    assert.equal((await client.post(request(`http://hook.example:${port}/`))).kind, 'failed')
    await new Promise<void>((resolve) => server.close(() => resolve()))
    const answer = await client.post(request(`http://hook.example:${port}/`))
    assert.ok(answer.kind === 'failed')
    assert.match(answer.error, /ECONNREFUSED/)
  })

  test('tells a receiver that does not speak TLS where it should', async () => {
    await using server = await listen((_, response) => response.end())
    const { client } = makeClient({})
    await using _ = client
    const answer = await client.post(request(`https://hook.example:${server.port}/`))
    assert.ok(answer.kind === 'failed')
    assert.match(answer.error, /SSL|TLS|disconnected/i)
  })

  test('tries the next address of a name', async () => {
    await using server = await listen((_, response) => response.end())
    const { client } = makeClient({ resolver: async () => ['127.0.0.9', '127.0.0.1'] })
    await using _ = client
    // Nothing listens on 127.0.0.9, which is this machine too.
    const answer = await client.post(request(`http://two.example:${server.port}/`))
    assert.ok(answer.kind === 'answered' && answer.status === 200)
  })
})

describe('the way inside is shut', { timeout: 20_000 }, () => {
  const inside = ['127.0.0.1', '10.0.0.1', '169.254.169.254', '::1', '::ffff:127.0.0.1', '100.64.0.1', 'fd00:ec2::254']

  for (const address of inside)
    test(`a name that leads to ${address} is not dialled`, async () => {
      await using server = await listen((_, response) => response.end())
      const { client, escapes } = makeClient({ allowedNetworks: [], resolver: async () => [address] })
      await using _ = client
      const answer = await client.post(request(`http://evil.example:${server.port}/`))
      assert.ok(answer.kind === 'failed')
      assert.match(answer.error, /webhooks may not reach/)
      assert.equal(server.connections(), 0)
      assert.deepEqual(escapes, [])
    })

  test('a literal address inside is not dialled either', async () => {
    await using server = await listen((_, response) => response.end())
    const { client, escapes } = makeClient({ allowedNetworks: [] })
    await using _ = client
    for (const host of ['127.0.0.1', '[::1]', '10.0.0.1', '2130706433', '[::ffff:127.0.0.1]'])
      assert.equal((await client.post(request(`http://${host}:${server.port}/`))).kind, 'failed')
    assert.equal(server.connections(), 0)
    assert.deepEqual(escapes, [])
  })

  test('a name is resolved once for a connection, and the address that was checked is the one dialled', async () => {
    // The first answer is public and the second inside: whoever asked twice would go inside.
    const answers = [['93.184.215.14'], ['127.0.0.1']]
    await using server = await listen((_, response) => response.end())
    const { client, escapes } = makeClient({
      allowedNetworks: [],
      resolver: async () => answers.shift() ?? ['127.0.0.1'],
    })
    await using _ = client
    assert.equal((await client.post(request(`http://rebind.example:${server.port}/`))).kind, 'failed')
    assert.deepEqual(escapes, [{ address: '93.184.215.14', port: server.port, tlsName: undefined }])
    assert.equal((await client.post(request(`http://rebind.example:${server.port}/`))).kind, 'failed')
    assert.equal(server.connections(), 0)
    assert.equal(escapes.length, 1)
  })

  test('https goes to the checked address under its own name', async () => {
    const { client, escapes } = makeClient({ resolver: async () => ['93.184.215.14'] })
    await using _ = client
    await client.post(request('https://good.example/hook'))
    await client.post(request('https://[2606:4700::1]/hook'))
    assert.deepEqual(escapes, [
      { address: '93.184.215.14', port: 443, tlsName: 'good.example' },
      { address: '2606:4700::1', port: 443, tlsName: '2606:4700::1' },
    ])
  })
})
