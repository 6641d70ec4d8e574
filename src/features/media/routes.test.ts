import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type TestDevice, TestGateway } from '../../../test/support/fakes/test-gateway.ts'

const uploadFolder = mkdtempSync(join(tmpdir(), 'parley-uploads-'))
const gateway = await TestGateway.open({ http: { bodyLimitBytes: 60 * 1024 * 1024, uploadFolder } })
let device: TestDevice
let port: number
before(async () => {
  device = await gateway.newDevice()
  gateway.sessions.goOnline(device.deviceId)
  await gateway.app.listen({ port: 0, host: '127.0.0.1' })
  port = Number((gateway.app.server.address() as { port: number }).port)
})
after(async () => {
  await gateway[Symbol.asyncDispose]()
  rmSync(uploadFolder, { recursive: true, force: true })
})

/** Sends the head of an upload and no more than `body` of what it promises; answers the status line. */
const begin = async (promised: number, body: Buffer): Promise<string> => {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const { authorization } = device.headers as { authorization: string }
  const head = [
    'POST /chats/628123456/images HTTP/1.1',
    'host: x',
    `authorization: ${authorization}`,
    'content-type: multipart/form-data; boundary=b',
    `content-length: ${promised}`,
  ]
  const part = '--b\r\ncontent-disposition: form-data; name="file"; filename="x.jpg"\r\n\r\n'
  socket.write(`${head.join('\r\n')}\r\n\r\n${part}`)
  socket.write(body)
  try {
    const [answer] = (await once(socket, 'data', { signal: AbortSignal.timeout(5_000) })) as [Buffer]
    return answer.toString()
  } finally {
    socket.destroy()
  }
}

test('what is too large by its own word is refused before it comes', async () => {
  assert.match(await begin(61 * 1024 * 1024, Buffer.alloc(0)), /^HTTP\/1\.1 413 .*HTTP_BODY_LIMIT_SIZE/s)
  assert.match(await begin(30 * 1024 * 1024, Buffer.alloc(0)), /^HTTP\/1\.1 413 .*an image may have at most 20M/s)
})

test('what turns out too large is refused while it comes, and nothing of it is left', async () => {
  const most = 20 * 1024 * 1024
  assert.match(await begin(most + 100_000, Buffer.alloc(most + 1)), /^HTTP\/1\.1 413 .*an image may have at most 20M/s)
  assert.deepEqual(readdirSync(uploadFolder), [])
})

test('an upload that breaks off leaves nothing behind', async () => {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const { authorization } = device.headers as { authorization: string }
  socket.write(
    `POST /chats/628123456/images HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\n` +
      'content-type: multipart/form-data; boundary=b\r\ncontent-length: 100000\r\n\r\n' +
      '--b\r\ncontent-disposition: form-data; name="file"; filename="x.jpg"\r\n\r\nabc',
  )
  while (readdirSync(uploadFolder).length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  const [folder] = readdirSync(uploadFolder)
  socket.destroy()
  const deadline = Date.now() + 5_000
  while (existsSync(join(uploadFolder, folder!)) && Date.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 5))
  assert.deepEqual(readdirSync(uploadFolder), [])
})

test('a chat, a caption and a source that are wrong are named', async () => {
  const call = (chat: string, body: unknown) => device.call('POST', `/chats/${chat}/images`, body)
  const cases = [
    ['0812', { base64: 'AAAA' }, 'chat_jid'],
    ['628123456', {}, 'file'],
    ['628123456', { base64: '!' }, 'base64'],
    ['628123456', { base64: 'AAAA', url: 'https://example.com' }, 'file'],
    ['628123456', { url: 5 }, 'url'],
    ['628123456', { base64: 'AAAA', caption: 'x'.repeat(65_537) }, 'caption'],
  ] as const
  for (const [chat, body, field] of cases) {
    const { status, body: answer } = await call(chat, body)
    assert.deepEqual([status, answer.data.field], [400, field], JSON.stringify(body).slice(0, 80))
  }
  assert.equal((await call('628123456', { base64: 'AAAA' })).status, 415)
})
