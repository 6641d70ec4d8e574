import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { systemClock } from '../kernel/clock.ts'
import { isParleyError } from '../kernel/errors.ts'
import { AddressGuard } from './address-guard.ts'
import { Fetcher } from './fetcher.ts'

class Sink extends Writable {
  readonly chunks: Buffer[] = []

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    this.chunks.push(chunk)
    callback()
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString()
  }
}

/** A server on this machine that may be reached under 127.0.0.1 only. */
const serve = async (listener: RequestListener) => {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const guard = new AddressGuard({
    allowHttp: true,
    allowedNetworks: ['127.0.0.1'],
    resolver: async (host) => (host === 'inside.example' ? ['10.0.0.7'] : ['127.0.0.1']),
  })
  const fetcher = new Fetcher({ guard, clock: systemClock })
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    get: async (url: string, more: { maxBytes?: number; timeoutMs?: number; cut?: boolean } = {}) => {
      const sink = new Sink()
      const found = await fetcher
        .get({ url, field: 'url', maxBytes: 100, timeoutMs: 2_000, ...more }, sink)
        .finally(() => assert.ok(sink.destroyed || sink.writableFinished, 'nothing is left open'))
      return { ...found, text: sink.text }
    },
    [Symbol.asyncDispose]: async () => {
      await fetcher[Symbol.asyncDispose]()
      server.closeAllConnections()
      server.close()
    },
  }
}

const refused =
  (pattern: RegExp, code: 'bad_request' | 'too_large' = 'bad_request') =>
  (error: unknown) =>
    isParleyError(error, code) && error.field === 'url' && pattern.test(error.message)

test('what a URL leads to is written down, redirects followed, by names too', async () => {
  await using web = await serve((request, response) => {
    if (request.url === '/a') response.writeHead(302, { location: '/b' }).end()
    else response.writeHead(200, { 'content-type': 'image/png' }).end('picture')
  })
  const found = await web.get(`${web.url}/a`)
  assert.deepEqual([found.text, found.contentType, found.url.pathname], ['picture', 'image/png', '/b'])
  assert.equal((await web.get(`http://shop.example:${web.port}/x`)).text, 'picture')
})

test('no way leads inside: not by address, name or redirect', async () => {
  let asked = 0
  await using web = await serve((request, response) => {
    asked++
    const to = new URL(request.url!, 'http://x').searchParams.get('to')
    response.writeHead(302, { location: to ?? '/' }).end()
  })
  for (const url of [
    'http://10.0.0.1/',
    'http://169.254.169.254/',
    'http://[::1]/',
    'http://2130706434/',
    'ftp://127.0.0.1/',
  ])
    await assert.rejects(web.get(url), refused(/^url: /), url)
  await assert.rejects(web.get(`http://inside.example:${web.port}/`), refused(/may not reach/))
  assert.equal(asked, 0)
  for (const to of ['http://10.0.0.1/', `http://inside.example:${web.port}/`, 'file:///etc/passwd'])
    await assert.rejects(web.get(`${web.url}/?to=${encodeURIComponent(to)}`), refused(/^url: /), to)
  await assert.rejects(web.get(`${web.url}/?to=${encodeURIComponent('/?to=/')}`), refused(/more than 3 times/))
})

test('size, time and status are bounded', async () => {
  await using web = await serve((request, response) => {
    if (request.url === '/said') response.writeHead(200, { 'content-length': 500 }).end('x'.repeat(500))
    else if (request.url === '/unsaid') response.writeHead(200).end('x'.repeat(500))
    else if (request.url === '/missing') response.writeHead(404).end()
    else response.writeHead(200).write('x')
  })
  await assert.rejects(web.get(`${web.url}/said`), refused(/larger than/, 'too_large'))
  await assert.rejects(web.get(`${web.url}/unsaid`), refused(/larger than/, 'too_large'))
  assert.equal((await web.get(`${web.url}/unsaid`, { cut: true })).text.length, 100)
  await assert.rejects(web.get(`${web.url}/missing`), refused(/answered 404/))
  await assert.rejects(web.get(`${web.url}/slow`, { timeoutMs: 150 }), refused(/did not answer within/))
  await assert.rejects(web.get('http://127.0.0.1:1/'), refused(/^url: /))
})
