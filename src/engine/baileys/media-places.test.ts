import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { blobDispatcher } from './blob-dispatcher.ts'
import { placeOf } from './media-transfer.ts'

test('files are asked for at hosts of WhatsApp only, whatever a message says', () => {
  const path = '/v/t62.7118-24/x.enc?ccb=11-4&oh=1&oe=2'
  const cases: readonly (readonly [string | null, string | null, string | undefined])[] = [
    [`https://mmg.whatsapp.net${path}`, path, `mmg.whatsapp.net${path}`],
    [`https://media-fra5-1.cdn.whatsapp.net${path}`, null, `media-fra5-1.cdn.whatsapp.net${path}`],
    [null, path, `mmg.whatsapp.net${path}`],
    ['https://169.254.169.254/latest', path, `mmg.whatsapp.net${path}`],
    ['https://169.254.169.254/latest', null, undefined],
    ['http://mmg.whatsapp.net/x', null, undefined],
    ['https://mmg.whatsapp.net.evil.example/x', null, undefined],
    ['https://evilwhatsapp.net/x', null, undefined],
    ['https://user@evil.example#.whatsapp.net', null, undefined],
    [null, '@evil.example/x', undefined],
    [null, '/x\r\nhost: evil.example', undefined],
    [null, '\\\\evil.example\\x', undefined],
    [null, '//evil.example/x', 'mmg.whatsapp.net//evil.example/x'],
    [null, null, undefined],
  ]
  for (const [url, directPath, expected] of cases) {
    const place = placeOf({ url, directPath })
    assert.equal(place && `${place.host}${place.path}`, expected, `${url} ${directPath}`)
  }
})

test('history and app state are asked for at hosts of WhatsApp only', async () => {
  let connections = 0
  const server = createServer((socket) => {
    connections++
    socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const dispatcher = blobDispatcher({ mediaHost: undefined, tls: {}, proxy: undefined })
  const urls = [`https://127.0.0.1:${port}/`, `http://127.0.0.1:${port}/`, 'https://mmg.whatsapp.net.evil.example/']
  for (const url of urls)
    await assert.rejects(fetch(url, { dispatcher } as never), (error: Error) => {
      assert.match(String(error.cause ?? error), /are not fetched from/)
      return true
    })
  assert.equal(connections, 0)
  const own = blobDispatcher({ mediaHost: `127.0.0.1:${port}`, tls: {}, proxy: undefined })
  await assert.rejects(fetch('https://mmg.whatsapp.net/v/x', { dispatcher: own } as never))
  assert.equal(connections, 1, 'what stands for the media servers is asked in their place')
  await Promise.all([dispatcher.destroy(), own.destroy()])
  await new Promise((resolve) => server.close(resolve))
})
