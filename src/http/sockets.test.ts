import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { test } from 'node:test'
import { Type } from 'typebox'
import { TestGateway } from '../../test/support/fakes/test-gateway.ts'
import { ok, type Route, route } from './route.ts'

/** What only a real connection shows. */
const open = async (routes: readonly Route[] = [], bodyLimitBytes = 100_000) => {
  const gateway = await TestGateway.open({ routes, http: { bodyLimitBytes } })
  await gateway.app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = gateway.app.server.address() as AddressInfo
  return { gateway, port }
}

const exchange = async (port: number, text: string): Promise<string> => {
  const socket = connect(port, '127.0.0.1')
  socket.end(text)
  let reply = ''
  for await (const chunk of socket.setEncoding('utf8')) reply += chunk
  return reply
}

const slowRoute = (started: () => void, release: Promise<void>, aborted: () => void = () => undefined) =>
  route({
    id: 'slow',
    method: 'GET',
    path: '/slow',
    auth: 'none',
    tag: 'T',
    summary: 's',
    errors: [],
    data: Type.String(),
    handler: async ({ request: { signal } }) => {
      signal.addEventListener('abort', aborted)
      started()
      await release
      return ok('done', 'late')
    },
  })

test('what is not HTTP is answered in the envelope, and the server lives on', async () => {
  const { gateway, port } = await open()
  await using _ = gateway
  for (const [text, status] of [
    ['GARBAGE\r\n\r\n', 400],
    [`GET / HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`, 431],
  ] as const) {
    const [head = '', body = ''] = (await exchange(port, text)).split('\r\n\r\n')
    assert.match(head, new RegExp(`^HTTP/1.1 ${status} `))
    assert.match(head, /X-Request-ID: [0-9a-f-]{36}/)
    assert.deepEqual([JSON.parse(body).status, JSON.parse(body).code], [false, status])
  }
  assert.match(await exchange(port, 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'), /^HTTP\/1.1 200 /)
})

test('a chunked body over the limit is 413 before it is all there', async () => {
  const { gateway, port } = await open([], 10_000)
  await using _ = gateway
  const device = await gateway.newDevice()
  for (const type of ['application/json', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=b']) {
    const sending = request({
      port,
      method: 'POST',
      path: '/devices/me/login',
      headers: { ...device.headers, 'content-type': type },
    })
    const answered = once(sending, 'response')
    if (type.startsWith('multipart')) sending.write('--b\r\nContent-Disposition: form-data; name="output"\r\n\r\n')
    sending.write('x'.repeat(70_000))
    if (type.startsWith('multipart')) sending.end('\r\n--b--\r\n')
    const [response] = await answered
    assert.equal(response.statusCode, 413, type)
    response.resume()
    sending.destroy()
  }
})

test('a handler learns that its caller went away', async () => {
  const started = Promise.withResolvers<void>()
  const aborted = Promise.withResolvers<void>()
  const release = Promise.withResolvers<void>()
  const { gateway, port } = await open([slowRoute(started.resolve, release.promise, aborted.resolve)])
  await using _ = gateway
  const asking = request({ port, path: '/slow' }).on('error', () => undefined)
  asking.end()
  await started.promise
  asking.destroy()
  await aborted.promise
  release.resolve()
})

test('closing lets a request in flight finish', async () => {
  const started = Promise.withResolvers<void>()
  const release = Promise.withResolvers<void>()
  const { gateway, port } = await open([slowRoute(started.resolve, release.promise)])
  const answer = fetch(`http://127.0.0.1:${port}/slow`)
  await started.promise
  const closed = gateway.app.close()
  while (gateway.app.server.listening) await new Promise(setImmediate)
  release.resolve()
  const reply = (await (await answer).json()) as { data: string }
  assert.equal(reply.data, 'late')
  await closed
  await assert.rejects(fetch(`http://127.0.0.1:${port}/`))
})
