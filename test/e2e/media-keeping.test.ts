import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { request } from 'node:http'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Phone } from '../support/e2e/phone.ts'
import { type DatabaseKind, type Linked, Stage } from '../support/e2e/stage.ts'
import { until } from '../support/e2e/until.ts'
import { stopTestServer } from '../support/postgres.ts'

const hex = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

interface MediaServerFile {
  readonly direct_path: string
  readonly type: string
  readonly size: number
  readonly downloads: number
}

/** SOCKS 5 (RFC 1928) without a password, as far as it takes to lead connections on; notes where to. */
class SocksProxy implements AsyncDisposable {
  readonly targets: string[] = []
  readonly #sockets = new Set<Socket>()
  readonly #server = createServer((socket) => this.#greet(socket))

  static async open(): Promise<SocksProxy> {
    const proxy = new SocksProxy()
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port
  }

  #greet(socket: Socket): void {
    this.#keep(socket)
    socket.once('data', () => {
      socket.write(Buffer.of(5, 0))
      socket.once('data', (wish) => {
        const isName = wish[3] === 3
        const end = isName ? 5 + wish[4]! : 8
        const host = isName ? wish.toString('latin1', 5, end) : wish.subarray(4, 8).join('.')
        const port = wish.readUInt16BE(end)
        this.targets.push(`${host}:${port}`)
        const onward = this.#keep(connect(port, host))
        onward.once('connect', () => {
          socket.write(Buffer.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0))
          socket.pipe(onward).pipe(socket)
        })
      })
    })
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket)
    socket.on('error', () => socket.destroy()).on('close', () => this.#sockets.delete(socket))
    return socket
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

for (const database of ['sqlite', 'postgres'] as const satisfies readonly DatabaseKind[])
  describe(`files that were received, ${database}`, () => {
    const home = mkdtempSync(join(tmpdir(), 'parley-keeping-e2e-'))
    const mediaFolder = join(home, 'media')
    let stage: Stage
    let ada: Linked
    let ben: Phone

    before(async () => {
      const caFile = join(home, 'ca.pem')
      stage = await Stage.open({
        database,
        env: { WHATSAPP_TLS_CA_FILE: caFile, MEDIA_STORE_DIR: mediaFolder, MEDIA_STORE_MAX_SIZE: '1M' },
        sandboxArgs: ['--port', '0', '--tls-port', '0', '--ca-file', caFile],
      })
      ben = await stage.whatsapp.person('Ben')
      ada = await stage.linked('Ada')
    })
    after(async () => {
      await stage?.[Symbol.asyncDispose]()
      rmSync(home, { recursive: true, force: true })
      if (database === 'postgres') await stopTestServer()
    })

    const sandbox = <T>(method: string, path: string, body?: unknown) =>
      stage.whatsapp.process.call<T>(method, path, body)
    const onServer = async () => (await sandbox<{ files: MediaServerFile[] }>('GET', '/sandbox/media')).files
    /** Decrypted files that are kept. */
    const kept = () =>
      readdirSync(mediaFolder, { recursive: true, withFileTypes: true })
        .filter((file) => file.isFile() && /^[0-9a-f]{64}$/.test(file.name))
        .map((file) => join(file.parentPath, file.name))
    /** Of what may go at any moment. */
    const sizeOf = (path: string) => statSync(path, { throwIfNoEntry: false })?.size ?? 0
    const contentOf = (path: string): Buffer | undefined => {
      try {
        return readFileSync(path)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
        throw error
      }
    }
    const keeps = (bytes: Uint8Array) => kept().some((path) => contentOf(path)?.equals(bytes))
    const leftovers = () => (existsSync(join(mediaFolder, 'tmp')) ? readdirSync(join(mediaFolder, 'tmp')) : [])

    /** A document that Ada has got; `path` is where it lies on the media server. */
    const receive = async (bytes: Uint8Array, to: Phone | string = ada.phone, from = ben) => {
      const id = await from.sendFile(to, {
        kind: 'document',
        base64: Buffer.from(bytes).toString('base64'),
        mimetype: 'application/x-thing',
      })
      await ada.device.event('media.received', { message_id: id })
      return { id, path: (await onServer()).at(-1)!.direct_path, url: `/messages/${id}/media` }
    }
    const get = (url: string, headers: Readonly<Record<string, string>> = {}) =>
      ada.device.call('GET', url, { headers })
    const downloadsOf = async (path: string) =>
      (await onServer()).find(({ direct_path }) => direct_path === path)!.downloads
    const damage = (kind: string, direct_path?: string) =>
      sandbox('POST', '/sandbox/media/damage', { damage: kind, ...(direct_path ? { direct_path } : {}) })

    test('the file of a message that was deleted for everybody is gone, here too', async () => {
      const bytes = randomBytes(4_000)
      const fetched = await receive(bytes)
      assert.equal((await get(fetched.url)).status, 200)
      assert.ok(keeps(bytes))
      await ben.call('POST', '/revoke', { message_id: fetched.id })
      await ada.device.event('message.deleted', { message_id: fetched.id })
      const refused = await get(fetched.url)
      assert.equal(refused.status, 410, refused.text)
      assert.match(refused.body.message, /deleted for everybody/)
      assert.equal((await get(fetched.url, { range: 'bytes=0-9' })).status, 410)
      await until('its bytes are gone', () => !keeps(bytes))

      const never = await receive(randomBytes(4_000))
      await ben.call('POST', '/revoke', { message_id: never.id })
      await ada.device.event('message.deleted', { message_id: never.id })
      assert.equal((await get(never.url)).status, 410)
      assert.equal(await downloadsOf(never.path), 0)

      const mine = randomBytes(4_000)
      const forMe = await receive(mine)
      assert.equal((await get(forMe.url)).status, 200)
      await ada.device.ok('DELETE', `/messages/${forMe.id}`, { chat_jid: ben.jid, for_me: true })
      await until('the message is gone here', async () => (await get(forMe.url)).status === 404)
      await until('its bytes are gone', () => !keeps(mine))

      const own = await ada.device.ok('POST', `/chats/${ben.number}/documents`, { base64: 'AAEC' })
      const ownUrl = `/messages/${own.data.message_id}/media`
      assert.deepEqual([...(await get(ownUrl)).bytes], [0, 1, 2])
      await ada.device.ok('DELETE', `/messages/${own.data.message_id}`, { chat_jid: ben.jid })
      assert.equal((await get(ownUrl)).status, 410)
    })

    test('a file whose message is deleted while it is downloaded is not given out', async () => {
      const bytes = randomBytes(50_000)
      const file = await receive(bytes)
      await damage('stall', file.path)
      const answer = get(file.url)
      await until('the download has begun', async () => (await downloadsOf(file.path)) === 1)
      await ben.call('POST', '/revoke', { message_id: file.id })
      await ada.device.event('message.deleted', { message_id: file.id })
      await damage('none', file.path)
      const refused = await answer
      assert.equal(refused.status, 410, refused.text)
      assert.ok(!keeps(bytes))
    })

    test('a range beyond the end says how long the file is', async () => {
      const { url } = await receive(randomBytes(1_234))
      const beyond = await get(url, { range: 'bytes=1234-' })
      assert.deepEqual([beyond.status, beyond.headers.get('content-range')], [416, 'bytes */1234'])
    })

    test('a file that was changed, cut short or broken off on the way is refused, and none of it is kept', async () => {
      const bytes = randomBytes(120_000)
      const file = await receive(bytes)
      for (const how of ['flip', 'mac', 'truncate', 'break']) {
        await damage(how, file.path)
        const refused = await get(file.url)
        assert.equal(refused.status, 502, `${how}: ${refused.text.slice(0, 300)}`)
        assert.equal(refused.body.data.error_code, 'whatsapp_refused', how)
        assert.deepEqual([kept().length > 0 && keeps(bytes), leftovers()], [false, []], how)
      }
      assert.equal(ada.device.events('media.downloaded').filter(({ data }) => data.message_id === file.id).length, 0)
      await damage('none', file.path)
      assert.deepEqual(Buffer.from((await get(file.url)).bytes), bytes)
      await ada.device.event('media.downloaded', { message_id: file.id })
    })

    test('one download serves all who want the file, also those who went away', async () => {
      const bytes = randomBytes(300_000)
      const file = await receive(bytes)
      await damage('stall', file.path)
      const { port } = new URL(stage.anonymous.base)
      const headers = { authorization: `Bearer ${ada.device.token}` }
      const leaving = request({ host: '127.0.0.1', port, path: file.url, headers }).end()
      leaving.on('error', () => undefined)
      const staying = [get(file.url), get(file.url), get(file.url, { range: 'bytes=5-9' })]
      await until('the download has begun', async () => (await downloadsOf(file.path)) === 1)
      leaving.destroy()
      await damage('none', file.path)
      const [first, second, part] = await Promise.all(staying)
      assert.deepEqual([first!.status, second!.status, part!.status], [200, 200, 206])
      assert.deepEqual(Buffer.from(first!.bytes), bytes)
      assert.deepEqual(Buffer.from(part!.bytes), bytes.subarray(5, 10))
      assert.equal(await downloadsOf(file.path), 1)
      assert.equal(ada.device.events('media.downloaded').filter(({ data }) => data.message_id === file.id).length, 1)
      assert.deepEqual(leftovers(), [])
    })

    test('a caller who breaks off in the middle leaves nothing open, and can go on where it was', async () => {
      const bytes = randomBytes(900_000)
      const file = await receive(bytes)
      assert.equal((await get(file.url, { range: 'bytes=0-0' })).status, 206)
      const openFiles = () => readdirSync('/proc/self/fd').length
      const before = openFiles()
      const { port } = new URL(stage.anonymous.base)
      for (let i = 0; i < 8; i++) {
        const socket = connect(Number(port), '127.0.0.1')
        socket.write(`GET ${file.url} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${ada.device.token}\r\n\r\n`)
        await new Promise((resolve) => socket.once('data', resolve))
        socket.destroy()
      }
      await until('no file is open', () => openFiles() <= before)
      const all = await get(file.url)
      const half = await get(file.url, { range: 'bytes=450000-', 'if-range': all.headers.get('etag')! })
      assert.equal(half.status, 206)
      assert.deepEqual(Buffer.from(half.bytes), bytes.subarray(450_000))
      const other = await get(file.url, { range: 'bytes=450000-', 'if-range': '"another"' })
      assert.deepEqual([other.status, other.bytes.length], [200, bytes.length])
      assert.equal(await downloadsOf(file.path), 1)
    })

    test('names and types that senders give can do no harm', async () => {
      const send = async (bytes: Buffer, mimetype: string, file_name: string) => {
        const fields = { kind: 'document', base64: bytes.toString('base64'), mimetype, file_name }
        const id = await ben.sendFile(ada.phone, fields)
        await ada.device.event('media.received', { message_id: id })
        const { headers, status } = await get(`/messages/${id}/media`)
        assert.equal(status, 200)
        assert.match(headers.get('content-security-policy') ?? '', /sandbox/)
        assert.equal(headers.get('x-content-type-options'), 'nosniff')
        assert.equal(headers.get('set-cookie'), null)
        return [headers.get('content-type')?.split(';')[0], headers.get('content-disposition')]
      }
      const page = Buffer.from('<html><script>alert(1)</script></html>')
      assert.deepEqual(await send(page, 'text/html', '../../etc/passwd\r\nset-cookie: x'), [
        'text/plain',
        `attachment; filename="passwdset-cookie: x"; filename*=UTF-8''passwdset-cookie%3A%20x`,
      ])
      const svg = Buffer.from('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script/></svg>')
      const [type, disposition] = await send(svg, 'image/png', 'C:\\x\\日本.svg')
      assert.equal(disposition, `attachment; filename="__.svg"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.svg`)
      assert.doesNotMatch(type!, /png|html/)
      const [odd] = await send(randomBytes(50), 'text/html\r\nx: y', '..')
      assert.equal(odd, 'application/octet-stream')
    })

    test('a HEAD says what a GET would bring, and brings nothing', async () => {
      const { url } = await receive(randomBytes(777))
      const head = await ada.device.call('HEAD', url)
      assert.deepEqual([head.status, head.headers.get('content-length'), head.bytes.length], [200, '777', 0])
    })

    test('above the cap what was used longest ago goes, and comes again when it is wanted', async () => {
      const files: { url: string; path: string; bytes: Buffer }[] = []
      for (let i = 0; i < 3; i++) {
        const bytes = randomBytes(400_000)
        const file = await receive(bytes)
        files.push({ ...file, bytes })
        assert.equal((await get(file.url)).status, 200)
      }
      await until('the first had to go', () => !keeps(files[0]!.bytes))
      assert.ok(keeps(files[2]!.bytes))
      const again = await get(files[0]!.url)
      assert.deepEqual(Buffer.from(again.bytes), files[0]!.bytes)
      assert.equal(await downloadsOf(files[0]!.path), 2)
      const bytesKept = () => kept().reduce((sum, path) => sum + sizeOf(path), 0)
      await until('no more than the cap is kept', () => bytesKept() <= 1024 * 1024)
    })

    test('the same file in two messages lies here once; a file in a group comes under the right message', async () => {
      const bytes = randomBytes(2_000)
      const file = await receive(bytes)
      assert.equal((await get(file.url)).status, 200)
      const copy = await ada.device.ok('POST', `/messages/${file.id}/forward`, {
        chat_jid: ben.jid,
        to_chat_jid: ben.jid,
      })
      const forwarded = await get(`/messages/${copy.data.message_id}/media`)
      assert.deepEqual(Buffer.from(forwarded.bytes), bytes)
      assert.equal(await downloadsOf(file.path), 1)
      assert.equal((await ben.message(copy.data.message_id)).media?.sha256, hex(bytes))
    })

    test('what neither WhatsApp nor the phone has is gone; the phone is asked, and asked again', async () => {
      const bytes = randomBytes(3_000)
      const file = await receive(bytes)
      await ada.phone.message(file.id)
      await sandbox('POST', '/sandbox/media/expire', { direct_path: file.path, status: '404' })
      await ada.phone.call('POST', '/forget-files')
      const refused = await get(file.url)
      assert.equal(refused.status, 410, refused.text)
      assert.equal(refused.body.data.whatsapp_code, 2)
      const told = await ada.device.event('media.retry', { message_id: file.id })
      assert.deepEqual(told.data.error, { code: 2 })
      assert.deepEqual(leftovers(), [])
    })

    test('what the phone uploads once more is found at its new place from then on', async () => {
      const bytes = randomBytes(3_000)
      const file = await receive(bytes)
      await ada.phone.message(file.id)
      await sandbox('POST', '/sandbox/media/expire', { direct_path: file.path })
      const before = (await onServer()).length
      assert.deepEqual(Buffer.from((await get(file.url)).bytes), bytes)
      await ada.device.event('media.retry', { message_id: file.id })
      const { data } = await ada.device.event('media.downloaded', { message_id: file.id })
      assert.equal(data.sha256, hex(bytes))
      assert.equal((await onServer()).length, before + 1)
      for (const path of kept()) rmSync(path)
      assert.deepEqual(Buffer.from((await get(file.url)).bytes), bytes)
      assert.equal((await onServer()).length, before + 1, 'the phone was not asked again')
    })

    test('history and app state come from the media servers the same way as files', async () => {
      await sandbox('POST', '/sandbox/media/blobs', { used: true })
      const before = (await onServer()).length
      const cleo = await stage.linked('Cleo')
      const blobs = async () => (await onServer()).slice(before).filter(({ type }) => type === 'md-app-state')
      const history = await until('the history was fetched', async () => {
        const found = await blobs()
        return found.length >= 3 && found.every(({ downloads }) => downloads > 0) && found
      })
      await ben.write(cleo.phone, 'hello')
      await cleo.device.event('message.received', { text: 'hello' })
      await cleo.phone.call('POST', '/chat', { chat: ben.number, action: 'archive' })
      await cleo.device.event('chat.archive', { archived: true })
      const later = await blobs()
      assert.ok(later.length > history.length && later.every(({ downloads }) => downloads > 0))
      await sandbox('POST', '/sandbox/media/blobs', { used: false })
    })

    test('through the proxy of the configuration go files, history and app state as well', async () => {
      await using proxy = await SocksProxy.open()
      await stage.restart({ WHATSAPP_CLIENT_PROXY_URL: `socks5://127.0.0.1:${proxy.port}` })
      await ada.device.untilConnected()
      const mediaServer = new URL(stage.whatsapp.process.https!).port
      const connections = () => proxy.targets.filter((target) => target.endsWith(`:${mediaServer}`)).length
      assert.equal(connections(), 0)
      const bytes = randomBytes(2_000)
      const file = await receive(bytes)
      assert.deepEqual(Buffer.from((await get(file.url)).bytes), bytes)
      const downloads = connections()
      assert.ok(downloads > 0, 'the download')
      await ada.device.ok('POST', `/chats/${ben.number}/documents`, { base64: 'AAEC' })
      const uploads = connections()
      assert.ok(uploads > downloads, 'the upload')
      await sandbox('POST', '/sandbox/media/blobs', { used: true })
      const dora = await stage.linked('Dora')
      await until('the history was fetched', () => connections() > uploads)
      await dora.device.send(ben, 'through the proxy')
      await ben.message('through the proxy')
      await sandbox('POST', '/sandbox/media/blobs', { used: false })
      await stage.restart()
      await ada.device.untilConnected()
    })

    test('a process that dies while it downloads leaves nothing that is taken for the file', async () => {
      const bytes = randomBytes(400_000)
      const file = await receive(bytes)
      await stage.stop()
      await stage.startProcess()
      await ada.device.untilConnected()
      await damage('stall', file.path)
      const broken = get(file.url).catch((error: unknown) => error)
      const come = () => {
        const works = leftovers().map((name) => join(mediaFolder, 'tmp', name))
        return works.flatMap((work) => readdirSync(work).map((name) => sizeOf(join(work, name))))
      }
      await until('half of it has come', () => come().some((size) => size > 100_000))
      await stage.kill()
      assert.ok((await broken) instanceof Error)
      assert.ok(!keeps(bytes))
      await damage('none', file.path)
      await stage.startProcess()
      await ada.device.untilConnected()
      const whole = await get(file.url)
      assert.deepEqual([whole.status, Buffer.from(whole.bytes).equals(bytes)], [200, true])
      assert.equal(await downloadsOf(file.path), 2)
      await stage.stop()
      await stage.start()
      await ada.device.untilConnected()
    })

    test('the service found fault with nothing', () => stage.whatsapp.assertNoProblems())
  })
