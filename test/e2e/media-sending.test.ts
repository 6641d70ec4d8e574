import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import sharp from 'sharp'
import type { Phone, SeenFile } from '../support/e2e/phone.ts'
import { type DatabaseKind, type Linked, Stage } from '../support/e2e/stage.ts'
import { until } from '../support/e2e/until.ts'
import { Samples } from '../support/media/samples.ts'
import { stopTestServer } from '../support/postgres.ts'

const hex = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** The chunks of a WebP file by name; the last of each. */
const chunksOf = (webp: Buffer): Map<string, Buffer> => {
  assert.deepEqual([webp.toString('latin1', 0, 4), webp.toString('latin1', 8, 12)], ['RIFF', 'WEBP'])
  assert.equal(webp.readUInt32LE(4), webp.length - 8, 'the length in its header')
  const chunks = new Map<string, Buffer>()
  for (let at = 12; at < webp.length; ) {
    const size = webp.readUInt32LE(at + 4)
    chunks.set(webp.toString('latin1', at, at + 4), webp.subarray(at + 8, at + 8 + size))
    at += 8 + size + (size % 2)
  }
  return chunks
}

for (const database of ['sqlite', 'postgres'] as const satisfies readonly DatabaseKind[])
  describe(`files that are sent, ${database}`, () => {
    const home = mkdtempSync(join(tmpdir(), 'parley-sending-e2e-'))
    const mediaFolder = join(home, 'media')
    const samples = new Samples()
    const files = new Map<string, Buffer>()
    let stage: Stage
    let ada: Linked
    let ben: Phone
    let web: Server
    let webUrl: string
    const pages = new Map<string, (response: ServerResponse) => void>()

    before(async () => {
      const caFile = join(home, 'ca.pem')
      stage = await Stage.open({
        database,
        env: { WHATSAPP_TLS_CA_FILE: caFile, MEDIA_STORE_DIR: mediaFolder, HTTP_BODY_LIMIT_SIZE: '64M' },
        sandboxArgs: ['--port', '0', '--tls-port', '0', '--ca-file', caFile],
      })
      ben = await stage.whatsapp.person('Ben')
      ada = await stage.linked('Ada')
      web = createServer((request, response) => {
        const page = pages.get(request.url ?? '')
        if (page) page(response)
        else response.writeHead(404).end()
      })
      await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve))
      webUrl = `http://127.0.0.1:${(web.address() as AddressInfo).port}`
      files.set('images', await samples.photo('photo.jpg', { width: 64, height: 48 }))
      files.set('videos', await samples.film('film.mp4', 1))
      files.set('audio', await samples.tone('tone.mp3', 1))
      files.set('stickers', await samples.photo('sticker.png', { width: 64, height: 48 }))
      files.set('documents', randomBytes(1_000))
    })
    after(async () => {
      web?.close()
      web?.closeAllConnections()
      await stage?.[Symbol.asyncDispose]()
      samples[Symbol.dispose]()
      rmSync(home, { recursive: true, force: true })
      if (database === 'postgres') await stopTestServer()
    })

    const leftovers = () => (existsSync(join(mediaFolder, 'tmp')) ? readdirSync(join(mediaFolder, 'tmp')) : [])
    const form = (bytes: Uint8Array, name: string, fields: Readonly<Record<string, string>> = {}) => {
      const data = new FormData()
      for (const [field, value] of Object.entries(fields)) data.append(field, value)
      data.append('file', new Blob([bytes as Uint8Array<ArrayBuffer>]), name)
      return data
    }
    const post = (path: string, raw: FormData, chat = ben.number) =>
      ada.device.call('POST', `/chats/${encodeURIComponent(chat)}/${path}`, { raw })
    const seen = async (answer: { status: number; text: string; data: { message_id: string } }) => {
      assert.equal(answer.status, 200, answer.text)
      const message = await ben.message(answer.data.message_id)
      assert.equal(message.media?.fault, null)
      return { ...message, media: message.media as SeenFile, bytes: await ben.file(message.message_id) }
    }

    test('every kind of file goes by form, by URL and by base64, and arrives the same', async () => {
      for (const [path, bytes] of files) {
        pages.set(`/${path}`, (response) => response.end(bytes))
        const ways = [
          await post(path, form(bytes, 'x.bin')),
          await ada.device.call('POST', `/chats/${ben.number}/${path}`, { body: { url: `${webUrl}/${path}` } }),
          await ada.device.call('POST', `/chats/${ben.number}/${path}`, {
            body: { base64: bytes.toString('base64url') },
          }),
        ]
        const arrived = await Promise.all(ways.map(seen))
        const facts = arrived.map(({ media: { file_name, direct_path, sha256, size, ...media } }) =>
          path === 'stickers' ? media : { ...media, sha256, size },
        )
        assert.deepEqual(facts[1], facts[0], `${path} by URL`)
        assert.deepEqual(facts[2], facts[0], `${path} by base64`)
        if (path !== 'stickers' && path !== 'images') assert.equal(arrived[0]!.media.sha256, hex(bytes), path)
      }
      await until('no temporary file is left', () => leftovers().length === 0)
    })

    test('a picture goes to a phone number, a LID and a group; all who are in it can open it', async () => {
      const cleo = await stage.whatsapp.person('Cleo')
      const group = await stage.whatsapp.group('Album', cleo, ada.phone, ben)
      for (const chat of [ben.number, ben.jid, ben.lid, group]) {
        const answer = await post('images', form(files.get('images')!, 'x.jpg', { caption: `for ${chat}` }), chat)
        assert.equal((await seen(answer)).media.caption, `for ${chat}`)
        if (chat === group) assert.equal((await cleo.message(answer.data.message_id)).media?.fault, null)
      }
    })

    test('pictures, films and sounds can be for one look; a caption in any script stays whole', async () => {
      for (const path of ['images', 'videos', 'audio']) {
        const once = await seen(await post(path, form(files.get(path)!, 'x', { view_once: 'true' })))
        assert.equal(once.media.view_once, true, path)
        const often = await seen(await post(path, form(files.get(path)!, 'x', { view_once: 'false' })))
        assert.equal(often.media.view_once, false, path)
      }
      for (const caption of ['שלום 👩‍👩‍👧 مرحبا', '\u{1f1e9}\u{1f1ea}\n\tzwei Zeilen', 'x'.repeat(60_000)])
        assert.equal(
          (await seen(await post('videos', form(files.get('videos')!, 'x', { caption })))).media.caption,
          caption,
        )
    })

    test('the thumbnail shows what the file shows', async () => {
      const half = await sharp({ create: { width: 200, height: 100, channels: 3, background: '#f00' } })
        .composite([
          {
            input: { create: { width: 100, height: 100, channels: 3, background: '#00f' } },
            gravity: 'east',
          },
        ])
        .withMetadata({ orientation: 3 })
        .jpeg()
        .toBuffer()
      const picture = await seen(await post('images', form(half, 'x.jpg')))
      const look = async (bytes: Buffer) => {
        const { data, info } = await sharp(bytes).raw().toBuffer({ resolveWithObject: true })
        const at = (x: number) => [...data.subarray((info.width * (info.height >> 1) + x) * info.channels)].slice(0, 3)
        const [left, right] = [at(info.width >> 2), at((info.width * 3) >> 2)]
        return [left[2]! > 200 && left[0]! < 60, right[0]! > 200 && right[2]! < 60, info.width > info.height]
      }
      assert.deepEqual(await look(picture.bytes), [true, true, true], 'the picture, turned')
      assert.deepEqual(await look(Buffer.from(picture.media.thumbnail_base64!, 'base64')), [true, true, true])
      const blue = await samples.make(
        'blue.mp4',
        ...['-f', 'lavfi', '-i', 'color=c=blue:size=160x120:rate=10:duration=2', '-pix_fmt', 'yuv420p'],
      )
      const film = await seen(await post('videos', form(blue, 'x.mp4')))
      const { dominant } = await sharp(Buffer.from(film.media.thumbnail_base64!, 'base64')).stats()
      assert.ok(dominant.b > 180 && dominant.r < 60, JSON.stringify(dominant))
    })

    test('stickers carry their pack in an EXIF chunk, those that move too; a GIF keeps moving', async () => {
      const gif = await samples.make('moves.gif', '-f', 'lavfi', '-i', 'testsrc=duration=1:size=100x60:rate=10')
      const pack = { pack_name: '東京 🐱', pack_publisher: 'Ada', emojis: '😀, 🐱' }
      for (const [name, bytes, moves] of [
        ['still', files.get('stickers')!, false],
        ['gif', gif, true],
        ['clip', files.get('videos')!, true],
      ] as const) {
        const sticker = await seen(await post('stickers', form(bytes, name, pack)))
        assert.deepEqual(
          [sticker.media.kind, sticker.media.mimetype, sticker.media.animated],
          ['sticker', 'image/webp', moves],
        )
        const chunks = chunksOf(sticker.bytes)
        assert.equal(chunks.has('ANIM'), moves, name)
        assert.ok(chunks.get('VP8X')![0]! & 0x08, 'its header says that there is EXIF')
        const exif = chunks.get('EXIF')!
        const said = JSON.parse(exif.toString('utf8', exif.indexOf('{')))
        assert.deepEqual(
          [said['sticker-pack-name'], said['sticker-pack-publisher'], said.emojis],
          ['東京 🐱', 'Ada', ['😀', '🐱']],
        )
        const { width, pageHeight, height, pages: frames } = await sharp(sticker.bytes, { animated: true }).metadata()
        assert.deepEqual([width, pageHeight ?? height, (frames ?? 1) >= 10], [512, 512, moves], name)
        assert.ok(sticker.bytes.length <= (moves ? 500 : 100) * 1024)
      }
    })

    test('whatever it was before, a voice note is OGG/Opus with one channel, its seconds and its waveform', async () => {
      for (const name of ['n.wav', 'n.m4a', 'n.flac', 'n.ogg', 'n.opus', 'n.aac', 'n.aiff']) {
        const note = await seen(await post('audio', form(await samples.tone(name, 2), name, { ptt: 'true' })))
        assert.deepEqual([note.media.mimetype, note.media.seconds], ['audio/ogg; codecs=opus', 2], name)
        const head = note.bytes.indexOf('OpusHead')
        assert.deepEqual([note.bytes.toString('latin1', 0, 4), note.bytes[head + 9]], ['OggS', 1], name)
        assert.equal(note.media.waveform?.length, 64)
      }
      const film = await seen(await post('audio', form(files.get('videos')!, 'film.mp4', { voice_note: 'true' })))
      assert.deepEqual([film.media.voice_note, film.media.seconds], [true, 1])
    })

    test('what ends too early, says nothing, lies or swells is refused, however it comes', async () => {
      const film = await samples.film('long.mp4', 3)
      await samples.make('hum.mp3', '-f', 'lavfi', '-i', 'sine=duration=20', '-ar', '8000', '-b:a', '8k')
      const night = await samples.make('night.mp3', '-stream_loop', '900', '-i', samples.path('hum.mp3'), '-c', 'copy')
      const cases: readonly (readonly [string, Buffer, number, RegExp])[] = [
        ['videos', film.subarray(0, film.length >> 1), 400, /damaged or cut short/],
        ['stickers', film.subarray(0, film.length >> 1), 400, /damaged or cut short/],
        ['audio', night, 400, /longer than 4 hours/],
        ['images', files.get('videos')!, 415, /video\/mp4 by its content/],
        ['stickers', files.get('images')!.subarray(0, 900), 400, /damaged or cut short/],
        [
          'images',
          Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'),
          415,
          /by its content/,
        ],
        ['videos', Buffer.from('#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n'), 415, /by its content/],
      ]
      for (const [path, bytes, status, words] of cases) {
        pages.set('/bad', (response) => response.writeHead(200, { 'content-type': 'image/jpeg' }).end(bytes))
        const ways = [
          await post(path, form(bytes, 'good.jpg')),
          await ada.device.call('POST', `/chats/${ben.number}/${path}`, { body: { url: `${webUrl}/bad` } }),
          await ada.device.call('POST', `/chats/${ben.number}/${path}`, { body: { base64: bytes.toString('base64') } }),
        ]
        for (const answer of ways) {
          assert.equal(answer.status, status, `${path}: ${answer.text.slice(0, 200)}`)
          assert.match(answer.body.message, words)
        }
      }
      await until('no temporary file is left', () => leftovers().length === 0)
    })

    test('a server that says too little or too much is told of', async () => {
      const path = `/chats/${ben.number}/images`
      pages.set('/liar', (response) => {
        response.writeHead(200, { 'content-length': 5_000 })
        response.write(files.get('images')!.subarray(0, 100), () => response.destroy())
      })
      pages.set('/huge', (response) => response.writeHead(200, { 'content-length': 30 * 1024 * 1024 }).flushHeaders())
      pages.set('/endless', (response) => {
        const more = () => {
          while (!response.destroyed && response.write(Buffer.alloc(256 * 1024)));
        }
        response.on('drain', more)
        more()
      })
      pages.set('/round', (response) => response.writeHead(302, { location: '/round' }).end())
      pages.set('/empty', (response) => response.end())
      const cases = [
        ['/liar', 400, 'url', /cannot be fetched/],
        ['/huge', 413, 'url', /an image may have at most 20M/],
        ['/endless', 413, 'url', /an image may have at most 20M/],
        ['/round', 400, 'url', /leads on/],
        ['/empty', 400, 'file', /is empty/],
      ] as const
      for (const [page, status, field, words] of cases) {
        const refused = await ada.device.refused(status, 'POST', path, { url: `${webUrl}${page}` })
        assert.equal(refused.data.field, field, page)
        assert.match(refused.body.message, words)
        if (status === 413) assert.equal(refused.data.limit_bytes, 20 * 1024 * 1024)
      }
      await until('no temporary file is left', () => leftovers().length === 0)
    })

    test('a body that is too large by its own word is refused before it comes, with the limit and its size', async () => {
      const begin = async (path: string, type: string, length: number): Promise<string> => {
        const socket = connect(Number(new URL(stage.anonymous.base).port), '127.0.0.1')
        const lines = [
          `POST /chats/${ben.number}/${path} HTTP/1.1`,
          'host: x',
          `authorization: Bearer ${ada.device.token}`,
          `content-type: ${type}`,
          `content-length: ${length}`,
        ]
        socket.write(`${lines.join('\r\n')}\r\n\r\n{`)
        try {
          return String(await new Promise((resolve) => socket.once('data', resolve)))
        } finally {
          socket.destroy()
        }
      }
      const MIB = 1024 * 1024
      const json = 'application/json'
      const multipart = 'multipart/form-data; boundary=b'
      assert.match(await begin('images', multipart, 65 * MIB), / 413 .*64M \(67108864 bytes, HTTP_BODY_LIMIT_SIZE\)/s)
      assert.match(await begin('images', multipart, 30 * MIB), / 413 .*an image may have at most 20M/s)
      assert.match(await begin('documents', multipart, 60 * MIB), / 413 .*a document may have at most 50M/s)
      assert.match(await begin('messages', json, 65 * MIB), / 413 .*64M \(67108864 bytes, HTTP_BODY_LIMIT_SIZE\)/s)
      assert.match(await begin('videos', json, 40 * MIB), / 413 .*larger ones come by multipart\/form-data or url/s)
      const fits = randomBytes(20 * MIB)
      const large = await ada.device.ok('POST', `/chats/${ben.number}/documents`, { base64: fits.toString('base64') })
      assert.equal((await ben.message(large.data.message_id)).media?.sha256, hex(fits))
      const over = { base64: randomBytes(20 * MIB + 1).toString('base64') }
      const refused = await ada.device.refused(413, 'POST', `/chats/${ben.number}/images`, over)
      assert.deepEqual([refused.data.field, refused.data.limit_bytes], ['base64', 20 * MIB])
    })

    test('an upload whose leave has run out is tried with a new one', async () => {
      await post('documents', form(randomBytes(10), 'a'))
      await stage.whatsapp.process.call('POST', '/sandbox/media/expire', { tokens: true, direct_path: '/none' })
      const answer = await post('documents', form(files.get('documents')!, 'a'))
      assert.equal((await seen(answer)).media.sha256, hex(files.get('documents')!))
    })

    test('a file that cannot be uploaded is not sent, and not kept', async () => {
      const before = (await ben.messages()).length
      await stage.whatsapp.process.call('POST', '/sandbox/media/expire', { tokens: true, direct_path: '/none' })
      await stage.whatsapp.fault({ kind: 'fail_iq', xmlns: 'w:m', code: 500, phone: ada.phone.number, times: 9 })
      const refused = await post('documents', form(files.get('documents')!, 'a'))
      assert.equal(refused.status, 502, refused.text)
      await stage.whatsapp.clearFaults()
      await until('no temporary file is left', () => leftovers().length === 0)
      const answer = await post('documents', form(files.get('documents')!, 'a'))
      assert.equal((await seen(answer)).media.sha256, hex(files.get('documents')!))
      assert.equal((await ben.messages()).length, before + 1)
    })

    test('pictures stay as they are where nothing is to be done to them', async () => {
      await stage.restart({ WHATSAPP_MEDIA_IMAGE_COMPRESSION: 'false', WHATSAPP_MEDIA_IMAGE_CONVERT_WEBP: 'false' })
      await ada.device.untilConnected()
      const photo = await samples.photo('large.jpg', { width: 1_900, height: 300 })
      const webp = await samples.photo('small.webp', { width: 30, height: 20 })
      for (const bytes of [photo, webp])
        assert.deepEqual((await seen(await post('images', form(bytes, 'x')))).bytes, bytes)
      await stage.restart()
      await ada.device.untilConnected()
      const shrunk = await seen(await post('images', form(photo, 'x')))
      assert.deepEqual([shrunk.media.width, (await sharp(shrunk.bytes).metadata()).width], [1_600, 1_600])
    })

    test('a disk that takes no files is said to be the reason, and is nobody else', async () => {
      const id = await ben.sendFile(ada.phone, { kind: 'document', base64: 'AAEC', mimetype: 'a/b' })
      await ada.device.event('media.received', { message_id: id })
      // a folder below a file: nothing can be written there, not even by root
      await stage.restart({ MEDIA_STORE_DIR: join(home, 'ca.pem', 'media') })
      await ada.device.untilConnected()
      const answers = [
        await post('documents', form(files.get('documents')!, 'a')),
        await ada.device.call('POST', `/chats/${ben.number}/documents`, { body: { base64: 'AAEC' } }),
        await ada.device.call('GET', `/messages/${id}/media`),
      ]
      for (const { status, body, headers } of answers) {
        assert.deepEqual([status, body.data.error_code], [503, 'storage_unavailable'])
        assert.match(body.message, /files cannot be written down \(ENOTDIR\)/)
        assert.ok(Number(headers.get('retry-after')) > 0)
      }
      await stage.restart()
      await ada.device.untilConnected()
      assert.deepEqual([...(await ada.device.call('GET', `/messages/${id}/media`)).bytes], [0, 1, 2])
    })

    test('without ffmpeg what needs it answers 501, and all else works', async () => {
      await stage.stop()
      await stage.startProcess({ FFMPEG_PATH: join(home, 'no-ffmpeg') })
      await ada.device.untilConnected()
      const needs = [
        ['videos', {}],
        ['audio', { voice_note: 'true' }],
      ] as const
      for (const [path, fields] of needs) {
        const refused = await post(path, form(files.get(path)!, 'x', fields))
        assert.deepEqual([refused.status, /FFMPEG_PATH/.test(refused.body.message)], [501, true], refused.text)
      }
      assert.equal((await post('stickers', form(files.get('videos')!, 'x'))).status, 501)
      for (const path of ['images', 'audio', 'stickers', 'documents'])
        assert.equal(
          (await seen(await post(path, form(files.get(path)!, 'x')))).media.kind.slice(0, 4),
          path.slice(0, 4),
        )
      await stage.stop()
      await stage.start()
      await ada.device.untilConnected()
      await until('no temporary file is left', () => leftovers().length === 0)
    })

    test('the service found fault with nothing but the old leave', () =>
      stage.whatsapp.assertNoProblems(({ text }) => text.includes('the auth token is not known')))
  })
