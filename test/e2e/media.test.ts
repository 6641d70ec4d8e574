import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import sharp from 'sharp'
import type { Device } from '../support/e2e/device.ts'
import type { Phone, SeenFile } from '../support/e2e/phone.ts'
import { type DatabaseKind, Stage } from '../support/e2e/stage.ts'
import { until } from '../support/e2e/until.ts'
import { Samples } from '../support/media/samples.ts'
import { stopTestServer } from '../support/postgres.ts'

interface Party {
  readonly phone: Phone
  readonly device: Device
  readonly jid: string
}

const hex = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

for (const database of ['sqlite', 'postgres'] as const satisfies readonly DatabaseKind[])
  describe(`files over the real protocol, ${database}`, () => {
    const home = mkdtempSync(join(tmpdir(), 'parley-media-e2e-'))
    const samples = new Samples()
    let stage: Stage
    let ada: Party
    let ben: Phone
    let web: Server
    let webUrl: string
    const pages = new Map<string, { readonly type: string; readonly body: Uint8Array | string }>()

    before(async () => {
      const caFile = join(home, 'ca.pem')
      stage = await Stage.open({
        database,
        env: {
          WHATSAPP_TLS_CA_FILE: caFile,
          MEDIA_STORE_DIR: join(home, 'media'),
          HTTP_BODY_LIMIT_SIZE: '30M',
        },
        sandboxArgs: ['--port', '0', '--tls-port', '0', '--ca-file', caFile],
      })
      ben = await stage.whatsapp.person('Ben')
      ada = await stage.linked('Ada')
      web = createServer((request, response) => {
        const page = pages.get(request.url ?? '')
        if (request.url === '/elsewhere') response.writeHead(302, { location: 'http://169.254.169.254/' }).end()
        else if (!page) response.writeHead(404).end()
        else response.writeHead(200, { 'content-type': page.type }).end(page.body)
      })
      await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve))
      webUrl = `http://127.0.0.1:${(web.address() as AddressInfo).port}`
    })
    after(async () => {
      web?.close()
      web?.closeAllConnections()
      await stage?.[Symbol.asyncDispose]()
      samples[Symbol.dispose]()
      rmSync(home, { recursive: true, force: true })
      if (database === 'postgres') await stopTestServer()
    })

    const form = (bytes: Uint8Array, name: string, fields: Readonly<Record<string, string>> = {}, type = '') => {
      const data = new FormData()
      for (const [field, value] of Object.entries(fields)) data.append(field, value)
      data.append('file', new Blob([bytes as Uint8Array<ArrayBuffer>], { type }), name)
      return data
    }

    const post = (path: string, raw: FormData, headers: Readonly<Record<string, string>> = {}) =>
      ada.device.call('POST', `/chats/${ben.number}${path}`, { raw, headers })

    /** Sends by multipart; what the recipient's phone opened. */
    const deliver = async (path: string, raw: FormData): Promise<{ media: SeenFile; id: string; bytes: Buffer }> => {
      const answer = await post(path, raw)
      assert.equal(answer.status, 200, answer.text)
      assert.equal(answer.data.status, 'server_ack')
      const seen = await ben.message(answer.data.message_id)
      assert.ok(seen.media, 'there is a file in it')
      assert.equal(seen.media.fault, null)
      const bytes = await ben.file(seen.message_id)
      assert.equal(hex(bytes), seen.media.sha256)
      return { media: seen.media, id: seen.message_id, bytes }
    }

    const thumbnailOf = (media: SeenFile) => sharp(Buffer.from(media.thumbnail_base64 ?? '', 'base64')).metadata()
    const leftovers = () => readdirSync(join(home, 'media', 'tmp'))

    test('a photo arrives upright, smaller, with a thumbnail', async () => {
      const photo = await samples.photo('photo.jpg', { width: 2400, height: 1200, orientation: 6 })
      const { media, bytes } = await deliver('/images', form(photo, 'photo.jpg', { caption: 'Grüße 👋' }))
      assert.deepEqual(
        [media.kind, media.mimetype, media.caption, media.width, media.height, media.view_once],
        ['image', 'image/jpeg', 'Grüße 👋', 800, 1600, false],
      )
      const { format, width, height, orientation } = await sharp(bytes).metadata()
      assert.deepEqual([format, width, height, orientation], ['jpeg', 800, 1600, undefined])
      assert.ok(bytes.length < photo.length)
      const thumbnail = await thumbnailOf(media)
      assert.deepEqual([thumbnail.format, thumbnail.width, thumbnail.height], ['jpeg', 72, 144])
    })

    test('a small picture is not enlarged, a WebP becomes a PNG, view once is said', async () => {
      const small = await samples.photo('small.webp', { width: 40, height: 30 })
      const { media, bytes } = await deliver('/images', form(small, 'x.jpg', { view_once: 'true' }, 'image/jpeg'))
      const { format, width, height } = await sharp(bytes).metadata()
      assert.deepEqual([format, width, height], ['png', 40, 30])
      assert.deepEqual([media.mimetype, media.width, media.height, media.view_once], ['image/png', 40, 30, true])
    })

    test('a document arrives byte for byte, under its name in any script', async () => {
      const bytes = randomBytes(300_001)
      const sent = await deliver('/documents', form(bytes, 'Preisliste für 東京 – עברית.bin', { caption: 'look' }))
      assert.deepEqual(sent.bytes, bytes)
      assert.deepEqual(
        [sent.media.kind, sent.media.file_name, sent.media.caption, sent.media.mimetype],
        ['document', 'Preisliste für 東京 – עברית.bin', 'look', 'application/octet-stream'],
      )
      const text = await deliver(
        '/documents',
        form(Buffer.from('a;b\n1;2\n'), 'x.csv', { filename: '../../etc/‮passwd' }, 'application/pdf'),
      )
      assert.deepEqual([text.media.mimetype, text.media.file_name], ['text/plain', 'passwd'])
    })

    test('any sound becomes a voice note; plain audio stays as it is', async () => {
      const tone = await samples.tone('tone.mp3', 3)
      const note = await deliver('/audio', form(tone, 'tone.mp3', { voice_note: 'true' }))
      assert.deepEqual(
        [note.media.kind, note.media.mimetype, note.media.seconds, note.media.voice_note],
        ['audio', 'audio/ogg; codecs=opus', 3, true],
      )
      assert.equal(note.bytes.toString('latin1', 0, 4), 'OggS')
      assert.ok(note.bytes.includes('OpusHead'))
      assert.equal(note.bytes[note.bytes.indexOf('OpusHead') + 9], 1, 'one channel')
      assert.equal(note.media.waveform?.length, 64)
      assert.equal(Math.max(...note.media.waveform!), 100)
      const plain = await deliver('/audio', form(tone, 'tone.mp3'))
      assert.deepEqual(plain.bytes, tone)
      assert.deepEqual([plain.media.mimetype, plain.media.seconds, plain.media.voice_note], ['audio/mpeg', 3, false])
    })

    test('a film arrives as it is, with length, size and a picture out of it', async () => {
      const film = await samples.film('film.mp4', 2)
      const { media, bytes } = await deliver('/videos', form(film, 'film.mp4', { caption: 'bars' }))
      assert.deepEqual(bytes, film)
      assert.deepEqual(
        [media.kind, media.mimetype, media.seconds, media.width, media.height, media.caption],
        ['video', 'video/mp4', 2, 320, 240, 'bars'],
      )
      const { format, width } = await thumbnailOf(media)
      assert.deepEqual([format, width], ['jpeg', 72])
    })

    test('pictures and clips become stickers; what moves keeps moving', async () => {
      const photo = await samples.photo('wide.png', { width: 300, height: 100 })
      const still = await deliver('/stickers', form(photo, 'wide.png', { pack_name: 'Käse' }))
      const stillFacts = await sharp(still.bytes).metadata()
      assert.deepEqual([stillFacts.format, stillFacts.width, stillFacts.height], ['webp', 512, 512])
      assert.deepEqual([still.media.kind, still.media.animated, still.media.width], ['sticker', false, 512])
      assert.ok(still.bytes.includes('"sticker-pack-name":"Käse"'))
      const clip = await deliver('/stickers', form(await samples.film('clip.mp4', 1), 'clip.mp4'))
      const clipFacts = await sharp(clip.bytes, { animated: true }).metadata()
      assert.deepEqual([clipFacts.format, clipFacts.width, clipFacts.pageHeight], ['webp', 512, 512])
      assert.ok((clipFacts.pages ?? 0) >= 10, `${clipFacts.pages} frames`)
      assert.equal(clip.media.animated, true)
    })

    test('files come by URL and base64 too, and never from inside the network', async () => {
      const photo = await samples.photo('web.jpg', { width: 60, height: 50 })
      pages.set('/shop/web%20picture.jpg', { type: 'text/html', body: photo })
      const byUrl = await ada.device.ok('POST', `/chats/${ben.number}/documents`, {
        url: `${webUrl}/shop/web%20picture.jpg`,
      })
      const seen = await ben.message(byUrl.data.message_id)
      assert.deepEqual([seen.media?.file_name, seen.media?.sha256], ['web picture.jpg', hex(photo)])
      const byBase64 = await ada.device.ok('POST', `/chats/${ben.number}/images`, {
        base64: `data:image/jpeg;base64,${photo.toString('base64')}`,
        caption: 'b64',
      })
      assert.equal((await ben.message(byBase64.data.message_id)).media?.width, 60)
      const inside = ['http://169.254.169.254/latest', 'http://[::1]:22/', `${webUrl}/elsewhere`, 'file:///etc/passwd']
      for (const url of inside) {
        const refused = await ada.device.refused(400, 'POST', `/chats/${ben.number}/images`, { url })
        assert.equal(refused.data.field, 'url', url)
      }
      const missing = await ada.device.refused(400, 'POST', `/chats/${ben.number}/images`, { url: `${webUrl}/nothing` })
      assert.match(missing.body.message, /answered 404/)
    })

    test('a picture can answer a message, and goes out once under one Idempotency-Key', async () => {
      const question = await ben.write(ada.phone, 'do you have a picture?')
      await ada.device.event('message.received', { message_id: question })
      const photo = await samples.photo('answer.png', { width: 20, height: 20 })
      const fields = { reply_to_message_id: question, caption: 'yes' }
      const key = { 'idempotency-key': `answer-${database}` }
      const first = await post('/images', form(photo, 'answer.png', fields), key)
      const again = await post('/images', form(photo, 'answer.png', fields), key)
      assert.deepEqual([first.status, again.status], [200, 200], first.text)
      assert.equal(again.data.message_id, first.data.message_id)
      assert.equal(again.headers.get('idempotency-replayed'), 'true')
      const seen = await ben.message(first.data.message_id)
      assert.deepEqual([seen.quoted_message_id, seen.copies], [question, 1])
      const other = await post(
        '/images',
        form(await samples.photo('o.png', { width: 9, height: 9 }), 'answer.png', fields),
        key,
      )
      assert.equal(other.status, 422)
    })

    test('what is wrong with a file is said', async () => {
      const photo = await samples.photo('good.jpg', { width: 900, height: 700 })
      const cases: readonly (readonly [string, FormData, number, RegExp])[] = [
        [
          '/images',
          form(Buffer.from('no picture at all'), 'a.jpg', {}, 'image/jpeg'),
          415,
          /text\/plain by its content/,
        ],
        ['/images', form(new Uint8Array(0), 'a.jpg'), 400, /is empty/],
        ['/images', form(photo.subarray(0, photo.length / 2), 'a.jpg'), 400, /damaged or cut short/],
        ['/images', form(randomBytes(20 * 1024 * 1024 + 1), 'a.jpg'), 413, /an image may have at most 20M/],
        ['/images', form(randomBytes(31 * 1024 * 1024), 'a.jpg'), 413, /30M.*HTTP_BODY_LIMIT_SIZE/],
        ['/documents', form(new Uint8Array(0), 'a.pdf'), 400, /is empty/],
        ['/videos', form(photo, 'a.mp4', {}, 'video/mp4'), 415, /image\/jpeg by its content/],
        ['/audio', form(photo, 'a.mp3', {}, 'audio/mpeg'), 415, /image\/jpeg by its content/],
        ['/stickers', form(await samples.tone('s.mp3', 1), 'a.webp'), 415, /audio\/mpeg by its content/],
        ['/stickers', form(await samples.film('long.mp4', 12, '64x64'), 'a.mp4'), 400, /at most 10 seconds/],
        ['/images', form(photo, 'a.jpg', { reply_to_message_id: 'NOTHING' }), 404, /reply_to_message_id/],
        ['/images', form(photo, 'a.jpg', { caption: 'x'.repeat(65_537) }), 413, /caption/],
      ]
      for (const [path, raw, status, words] of cases) {
        const answer = await post(path, raw)
        assert.equal(answer.status, status, `${path}: ${answer.text}`)
        assert.match(answer.body.message, words)
      }
      const none = new FormData()
      none.append('caption', 'x')
      assert.equal((await post('/images', none)).data.field, 'file')
      const elsewhere = new FormData()
      elsewhere.append('picture', new Blob([photo as Uint8Array<ArrayBuffer>]), 'a.jpg')
      assert.equal((await post('/images', elsewhere)).data.field, 'picture')
      const nobody = await ada.device.call('POST', '/chats/4915100000000/images', { raw: form(photo, 'a.jpg') })
      assert.equal(nobody.status, 422, nobody.text)
      const bomb = await sharp({ create: { width: 12_000, height: 9_000, channels: 3, background: '#000' } })
        .png({ compressionLevel: 9 })
        .toBuffer()
      const refused = await post('/images', form(bomb, 'bomb.png'))
      assert.deepEqual([refused.status, /pixels/.test(refused.body.message)], [400, true], refused.text)
      // the reply goes out first
      await until('no temporary file is left', async () => leftovers().length === 0)
    })

    test('a file that came in is told of, fetched once, kept, and given in parts', async () => {
      const bytes = randomBytes(200_003)
      const id = await ben.sendFile(ada.phone, {
        kind: 'document',
        base64: bytes.toString('base64'),
        mimetype: 'application/x-thing',
        file_name: 'Ding "1".bin',
        caption: 'here',
      })
      const told = await ada.device.event('media.received', { message_id: id })
      assert.deepEqual([told.data.media_type, told.data.jid], ['document', ada.phone.number])
      const all = await ada.device.call('GET', `/messages/${id}/media`)
      assert.equal(all.status, 200, all.text.slice(0, 200))
      assert.deepEqual(Buffer.from(all.bytes), bytes)
      assert.equal(all.headers.get('content-type'), 'application/x-thing')
      assert.match(all.headers.get('content-disposition') ?? '', /^attachment; filename="Ding _1_.bin"/)
      assert.match(all.headers.get('content-security-policy') ?? '', /sandbox/)
      const downloaded = await ada.device.event('media.downloaded', { message_id: id })
      assert.deepEqual([downloaded.data.sha256, downloaded.data.size], [hex(bytes), bytes.length])
      const parts = [
        ['bytes=0-99', 0, 100],
        ['bytes=100000-', 100_000, bytes.length],
        ['bytes=-5', bytes.length - 5, bytes.length],
      ] as const
      for (const [range, from, to] of parts) {
        const part = await ada.device.call('GET', `/messages/${id}/media`, { headers: { range } })
        assert.equal(part.status, 206)
        assert.deepEqual(Buffer.from(part.bytes), bytes.subarray(from, to), range)
        assert.equal(part.headers.get('content-range'), `bytes ${from}-${to - 1}/${bytes.length}`)
      }
      const beyond = await ada.device.call('GET', `/messages/${id}/media`, { headers: { range: 'bytes=200003-' } })
      assert.equal(beyond.status, 416)
      const { files } = await stage.whatsapp.process.call<{ files: { size: number; downloads: number }[] }>(
        'GET',
        '/sandbox/media',
      )
      const stored = files.filter(({ size }) => size === Math.ceil((bytes.length + 1) / 16) * 16 + 10)
      assert.deepEqual(
        stored.map(({ downloads }) => downloads),
        [1],
        'it was downloaded once',
      )
      assert.equal((await ada.device.call('GET', '/messages/NOTHING/media')).status, 404)
      const text = await ben.write(ada.phone, 'no file')
      await ada.device.event('message.received', { message_id: text })
      assert.equal((await ada.device.call('GET', `/messages/${text}/media`)).status, 404)
    })

    test('a picture in a group is fetched by many at once, once', async () => {
      const group = await stage.whatsapp.group('Pictures', ben, ada.phone)
      const photo = await samples.photo('group.jpg', { width: 200, height: 100 })
      const id = await ben.sendFile(group, { kind: 'image', base64: photo.toString('base64'), mimetype: 'image/jpeg' })
      await ada.device.event('media.received', { message_id: id })
      const answers = await Promise.all(
        Array.from({ length: 5 }, () => ada.device.call('GET', `/messages/${id}/media`)),
      )
      for (const answer of answers) assert.deepEqual(Buffer.from(answer.bytes), photo)
      assert.equal(answers[0]!.headers.get('content-type'), 'image/jpeg')
      await ada.device.event('media.downloaded', { message_id: id })
      assert.equal(ada.device.events('media.downloaded').filter(({ data }) => data.message_id === id).length, 1)
    })

    test('when WhatsApp has lost a file the phone uploads it once more; when nobody has it, it is gone', async () => {
      const bytes = randomBytes(5_000)
      const send = () =>
        ben.sendFile(ada.phone, { kind: 'document', base64: bytes.toString('base64'), mimetype: 'application/x-a' })
      const id = await send()
      await ada.device.event('media.received', { message_id: id })
      await ada.phone.message(id)
      await stage.whatsapp.process.call('POST', '/sandbox/media/expire', {})
      const answer = await ada.device.call('GET', `/messages/${id}/media`)
      assert.equal(answer.status, 200, answer.text.slice(0, 300))
      assert.deepEqual(Buffer.from(answer.bytes), bytes)
      const retried = await ada.device.event('media.retry', { message_id: id })
      assert.equal(retried.data.error, undefined)

      await ada.phone.setOnline(false)
      const lost = await send()
      await ada.device.event('media.received', { message_id: lost })
      const { media } = (await ada.phone.messages()).find(({ message_id }) => message_id === id)!
      assert.ok(media)
      const asked = await ada.device.call('POST', '/messages/media/retry-receipt', {
        body: {
          chat_jid: ben.jid,
          sender_jid: ben.jid,
          message_id: 'UNKNOWN1',
          media_key: randomBytes(32).toString('base64'),
        },
      })
      assert.equal(asked.status, 200, asked.text)
      await ada.phone.setOnline(true)
      const none = await ada.device.event('media.retry', { message_id: 'UNKNOWN1' })
      assert.deepEqual(none.data.error, { code: 2 })
      const bad = await ada.device.refused(400, 'POST', '/messages/media/retry-receipt', {
        chat_jid: ben.jid,
        sender_jid: ben.jid,
        message_id: 'X',
        media_key: 'AAAA',
      })
      assert.equal(bad.data.field, 'media_key')
    })

    test('a link goes out with its card: as given, or as the page says, or by its host', async () => {
      const picture = await samples.photo('card.jpg', { width: 400, height: 200 })
      pages.set('/card.jpg', { type: 'image/jpeg', body: picture })
      pages.set('/page', {
        type: 'text/html; charset=utf-8',
        body: `<html><head><meta property="og:title" content="T&uuml;r &amp; Tor"><title>x</title>
          <meta name="description" content='What it says'><meta property="og:image" content="/card.jpg"></head>`,
      })
      const send = async (body: Readonly<Record<string, unknown>>) => {
        const { data } = await ada.device.ok('POST', `/chats/${ben.number}/link-preview`, body)
        return ben.message(data.message_id)
      }
      const given = await send({ text: 'see https://example.com', url: 'https://example.com', title: 'Given' })
      assert.deepEqual([given.type, given.text, given.link?.title], ['text', 'see https://example.com', 'Given'])
      const asked = await send({ text: `see ${webUrl}/page`, url: `${webUrl}/page` })
      assert.deepEqual(
        [asked.link?.url, asked.link?.title, asked.link?.description],
        [`${webUrl}/page`, 'T&uuml;r & Tor', 'What it says'],
      )
      assert.equal((await sharp(Buffer.from(asked.link!.thumbnail_base64!, 'base64')).metadata()).width, 72)
      const inside = await send({ text: 'see http://10.0.0.1/x', url: 'http://10.0.0.1/x' })
      assert.equal(inside.link?.title, '10.0.0.1')
      const bad = [
        [{ text: 'x', url: ' ' }, 'url'],
        [{ text: ' ', url: 'https://example.com' }, 'text'],
        [{ text: 'x', url: 'ftp://example.com' }, 'url'],
        [{ text: 'x', url: 'https://example.com', title: 'T', thumbnail: '!!' }, 'thumbnail'],
        [{ text: 'x', url: 'https://example.com', title: 'T', thumbnail: 'AAAA' }, 'thumbnail'],
      ] as const
      for (const [body, field] of bad) {
        const refused = await ada.device.refused(400, 'POST', `/chats/${ben.number}/link-preview`, body)
        assert.equal(refused.data.field, field)
      }
    })

    test('incoming files are fetched by themselves where that is wanted', async () => {
      await stage.restart({ WHATSAPP_AUTO_DOWNLOAD_MEDIA: 'true' })
      await ada.device.untilConnected()
      const bytes = randomBytes(3_000)
      const id = await ben.sendFile(ada.phone, { kind: 'document', base64: bytes.toString('base64'), mimetype: 'a/b' })
      const { data } = await ada.device.event('media.downloaded', { message_id: id })
      assert.equal(data.sha256, hex(bytes))
    })

    test('the service found fault with nothing', () => stage.whatsapp.assertNoProblems())
  })
