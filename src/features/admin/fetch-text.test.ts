import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { fetchText } from './fetch-text.ts'

test('reads a text, refuses other answers and endless ones, and says what is wrong', async () => {
  const server = createServer((request, response) => {
    if (request.url === '/ok') response.end('grüße')
    else if (request.url === '/large') response.end(Buffer.alloc(6 * 1_024 * 1_024))
    else response.writeHead(404).end('no')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const { signal } = new AbortController()
  try {
    assert.equal(await fetchText(`${base}/ok`, signal), 'grüße')
    await assert.rejects(fetchText(`${base}/gone`, signal), /answered 404/)
    await assert.rejects(fetchText(`${base}/large`, signal), /more than/)
    await assert.rejects(fetchText(`${base}/ok`, AbortSignal.abort()))
  } finally {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
  await assert.rejects(fetchText(base, signal), /^Error: 127\.0\.0\.1:\d+ cannot be reached: (?!fetch failed)./)
})
