import assert from 'node:assert/strict'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { after, test } from 'node:test'
import sharp from 'sharp'
import { Samples } from '../../test/support/media/samples.ts'
import type { MediaKind } from '../engine/index.ts'
import { systemClock } from '../kernel/clock.ts'
import { isParleyError, type ParleyError } from '../kernel/errors.ts'
import { barsOf } from './audio.ts'
import { MediaProcessor, type PrepareOptions } from './processor.ts'
import { TempFiles } from './temp-files.ts'
import { Tools } from './tools.ts'

const samples = new Samples()
after(() => samples[Symbol.dispose]())
const temp = new TempFiles(samples.path('tmp'))
const plain = { imageCompression: false, convertWebp: false }
const make = (settings = { imageCompression: true, convertWebp: true }, tools = samples.tools) =>
  new MediaProcessor({ tools, settings })

const prepare = async (processor: MediaProcessor, kind: MediaKind, name: string, options?: PrepareOptions) => {
  await using work = await temp.workspace()
  const file = { path: samples.path(name), size: statSync(samples.path(name)).size }
  const made = await processor.prepare(kind, file, work, options)
  return { ...made, bytes: readFileSync(made.path) }
}

test('without compression a picture that stands upright stays as it is', async () => {
  const photo = await samples.photo('plain.jpg', { width: 1800, height: 100 })
  const made = await prepare(make(plain), 'image', 'plain.jpg')
  assert.deepEqual(made.bytes, photo)
  assert.deepEqual([made.mimetype, made.width, made.height], ['image/jpeg', 1800, 100])
  const webp = await samples.photo('plain.webp', { width: 10, height: 10 })
  assert.deepEqual((await prepare(make(plain), 'image', 'plain.webp')).bytes, webp)
  await samples.photo('turned.jpg', { width: 30, height: 20, orientation: 8 })
  const turned = await prepare(make(plain), 'image', 'turned.jpg')
  assert.deepEqual([turned.width, turned.height], [20, 30])
})

test('with compression a picture shrinks to 1600, keeps what shines through, and never grows', async () => {
  await samples.photo('large.jpg', { width: 2000, height: 1000 })
  const large = await prepare(make(), 'image', 'large.jpg')
  assert.deepEqual([large.width, large.height, large.mimetype], [1600, 800, 'image/jpeg'])
  const clear = {
    create: { width: 1700, height: 10, channels: 4 as const, background: { r: 1, g: 2, b: 3, alpha: 0.5 } },
  }
  writeFileSync(samples.path('clear.png'), await sharp(clear).png().toBuffer())
  const png = await prepare(make(), 'image', 'clear.png')
  assert.deepEqual([png.mimetype, png.width, (await sharp(png.bytes).metadata()).hasAlpha], ['image/png', 1600, true])
  const tight = await sharp({ create: { width: 50, height: 50, channels: 3, background: '#123456' } })
    .jpeg({ quality: 20 })
    .toBuffer()
  writeFileSync(samples.path('tight.jpg'), tight)
  assert.deepEqual((await prepare(make(), 'image', 'tight.jpg')).bytes, tight)
})

test('a film that was held upright is as high as it is shown', async () => {
  await samples.film('flat.mp4', 1, '320x240')
  await samples.make('upright.mp4', '-i', samples.path('flat.mp4'), '-c', 'copy', '-metadata:s:v', 'rotate=90')
  const { width, height, seconds } = await prepare(make(), 'video', 'upright.mp4')
  assert.deepEqual([width, height, seconds], [240, 320, 1])
})

test('the sound of a film can be a voice note; a film without sound cannot', async () => {
  const note = await prepare(make(), 'audio', 'flat.mp4', { voiceNote: true })
  assert.deepEqual([note.mimetype, note.seconds, note.waveform?.length], ['audio/ogg; codecs=opus', 1, 64])
  await samples.make('mute.mp4', '-i', samples.path('flat.mp4'), '-an', '-c', 'copy')
  await assert.rejects(prepare(make(), 'audio', 'mute.mp4', { voiceNote: true }), (error) =>
    isParleyError(error, 'unsupported_media_type'),
  )
})

test('damaged films and sounds are refused', async () => {
  const film = readFileSync(samples.path('flat.mp4'))
  writeFileSync(samples.path('cut.mp4'), film.subarray(0, 600))
  await assert.rejects(prepare(make(), 'video', 'cut.mp4'), (error) => isParleyError(error, 'bad_request'))
  writeFileSync(samples.path('cut.wav'), (await samples.tone('t.wav', 1)).subarray(0, 40))
  await assert.rejects(prepare(make(), 'audio', 'cut.wav', { voiceNote: true }), (error) =>
    isParleyError(error, 'bad_request'),
  )
})

test('what ends too early is refused where its form says how much is to come', async () => {
  for (const name of ['whole.mp4', 'whole.mkv', 'whole.wav', 'whole.m4a']) {
    const bytes = /mp4|mkv/.test(name) ? await samples.film(name, 3) : await samples.tone(name, 3)
    const kind = /mp4|mkv/.test(name) ? 'video' : 'audio'
    await prepare(make(), kind, name)
    writeFileSync(samples.path(`cut-${name}`), bytes.subarray(0, Math.floor(bytes.length * 0.7)))
    await assert.rejects(prepare(make(), kind, `cut-${name}`), (error) => isParleyError(error, 'bad_request'), name)
  }
  await assert.rejects(prepare(make(), 'sticker', 'cut-whole.mp4'), (error) => isParleyError(error, 'bad_request'))
})

test('a WAV whose length was never written down is whole, as speech synthesis sends it', async () => {
  const wav = await samples.tone('spoken.wav', 2)
  wav.writeUInt32LE(0xffffffff, 4)
  wav.writeUInt32LE(0xffffffff, wav.indexOf('data') + 4)
  writeFileSync(samples.path('spoken.wav'), wav)
  assert.deepEqual((await prepare(make(), 'audio', 'spoken.wav')).bytes, wav)
  const note = await prepare(make(), 'audio', 'spoken.wav', { voiceNote: true })
  assert.deepEqual([note.mimetype, note.seconds], ['audio/ogg; codecs=opus', 2])
})

test('what is small and becomes endless is refused', async () => {
  await samples.make('hum.mp3', '-f', 'lavfi', '-i', 'sine=frequency=100:duration=20', '-ar', '8000', '-b:a', '8k')
  await samples.make('night.mp3', '-stream_loop', '900', '-i', samples.path('hum.mp3'), '-c', 'copy')
  for (const voiceNote of [false, true])
    await assert.rejects(prepare(make(), 'audio', 'night.mp3', { voiceNote }), /longer than 4 hours/)
  await samples.make('many.gif', '-f', 'lavfi', '-i', 'testsrc=size=1500x1500:rate=10:duration=5')
  await assert.rejects(prepare(make(), 'sticker', 'many.gif'), /more than 100000000 pixels/)
  await samples.make('vast.mp4', '-f', 'lavfi', '-i', 'color=size=8200x4400:duration=0.1:rate=10', '-c:v', 'mjpeg')
  for (const kind of ['video', 'sticker'] as const)
    await assert.rejects(prepare(make(), kind, 'vast.mp4'), /pixels are too many/)
})

test('a playlist that names other files is no film', async () => {
  writeFileSync(samples.path('list.m3u8'), '#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n')
  writeFileSync(samples.path('list.txt'), "ffconcat version 1.0\nfile 'flat.mp4'\n")
  for (const name of ['list.m3u8', 'list.txt'])
    for (const kind of ['video', 'audio', 'sticker'] as const)
      await assert.rejects(prepare(make(), kind, name), (error) => isParleyError(error, 'unsupported_media_type'), name)
})

test('without ffmpeg what needs it says so, and the rest works', async () => {
  const tools = new Tools({ ffmpegPath: samples.path('no-ffmpeg'), clock: systemClock })
  const poor = make(undefined, tools)
  const needs = [
    ['video', 'flat.mp4', {}],
    ['audio', 'flat.mp4', { voiceNote: true }],
    ['sticker', 'flat.mp4', {}],
  ] as const
  for (const [kind, name, options] of needs)
    await assert.rejects(prepare(poor, kind, name, options), (error) => isParleyError(error, 'not_supported'), kind)
  await samples.tone('poor.mp3', 1)
  assert.deepEqual((await prepare(poor, 'audio', 'poor.mp3')).seconds, undefined)
  assert.equal((await prepare(poor, 'sticker', 'large.jpg')).mimetype, 'image/webp')
  assert.equal((await prepare(poor, 'image', 'large.jpg')).mimetype, 'image/jpeg')
})

test('a tool that takes too long is ended with all that it started', async () => {
  const endless = ['-v', 'error', '-f', 'lavfi', '-i', 'testsrc=size=64x64', '-f', 'null', '-']
  const started = performance.now()
  await assert.rejects(samples.tools.run('ffmpeg', endless, { timeoutMs: 200 }), (error: ParleyError) =>
    error.message.includes('takes too long'),
  )
  assert.ok(performance.now() - started < 5_000)
})

test('a tool that wants too much memory gets none of it', async () => {
  const greedy = ['-v', 'error', '-f', 'lavfi', '-i', 'color=size=15500x15500:duration=0.1:rate=10']
  const { ok, complaint } = await samples.tools.run('ffmpeg', [...greedy, '-pix_fmt', 'rgba64le', '-f', 'null', '-'])
  assert.equal(ok, false)
  assert.match(complaint, /allocate memory/i)
})

test('64 bars show how loud it was, the loudest being 100', () => {
  assert.deepEqual([...barsOf([])], Array(64).fill(0))
  assert.deepEqual([...barsOf([0.2])], Array(64).fill(100))
  const rising = barsOf(Array.from({ length: 640 }, (_, index) => index))
  assert.equal(rising[63], 100)
  assert.ok([...rising].every((bar, index) => index === 0 || bar >= rising[index - 1]!))
})
