import { createReadStream } from 'node:fs'
import { open, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { systemClock } from '../src/kernel/clock.ts'
import { Tools } from '../src/media/tools.ts'
import { type Bench, busyness, median, round } from './lib/bench.ts'
import { asDevice, type Gateway, startGateway } from './lib/gateway.ts'
import { makeHome } from './lib/home.ts'
import { pause } from './lib/measure.ts'
import { startWorld } from './lib/world.ts'

const MB = 1024 * 1024
const VIDEO_BYTES = 64 * MB
const ROUNDS = 3
const SAMPLE_MS = 5

/**
 * What it takes to send a large film: a real one of 64 MB goes in by multipart and, encrypted, out to the media servers,
 * while the memory of the process is read every few milliseconds. The first, small one loads what is loaded once.
 */
export const bench: Bench = {
  budget: { peak_mb: { atMost: 64 } },
  async run(say) {
    say(`${ROUNDS} times a video of ${VIDEO_BYTES / MB} MB by multipart, after a small one; ${busyness()}`)
    await using world = await startWorld()
    const accounts = await world.link(1)
    const [contact] = await world.contacts(1)
    await using home = await makeHome()
    const { devices } = await home.addDevices(accounts)
    const [small, large] = [join(home.folder, 'small.mp4'), join(home.folder, 'large.mp4')]
    await makeVideo(small, 0)
    await makeVideo(large, VIDEO_BYTES)
    const address = { ws: world.ws, noiseRoot: world.noiseRoot }
    await using gateway = await startGateway(home, address, {
      HTTP_BODY_LIMIT_SIZE: '110M',
      WHATSAPP_TLS_INSECURE: 'true',
      WHATSAPP_MEDIA_ORIGIN: new URL(world.wss).origin.replace('wss:', 'https:'),
    })
    await world.untilActive(1)
    const url = new URL(`/chats/${contact!.phone}/videos`, gateway.url)
    const headers = asDevice(devices[0]!)
    await upload(url, headers, small)
    const rounds: { peak: number; seconds: number }[] = []
    for (let at = 0; at < ROUNDS; at++) {
      await pause(1_000)
      const idle = (await gateway.memory(true)).rss
      const began = performance.now()
      const peak = await peakDuring(gateway, () => upload(url, headers, large))
      rounds.push({ peak: (peak - idle) / MB, seconds: (performance.now() - began) / 1000 })
      say(
        `idle ${(idle / MB).toFixed(0)} MB, peak ${(peak / MB).toFixed(0)} MB, ${rounds.at(-1)!.seconds.toFixed(2)} s`,
      )
    }
    await world.assertNoProblems()
    return {
      peak_mb: round(median(rounds.map(({ peak }) => peak))),
      seconds: round(median(rounds.map(({ seconds }) => seconds))),
    }
  },
}

/** The highest resident size that was seen, bytes. */
const peakDuring = async (gateway: Gateway, work: () => Promise<void>): Promise<number> => {
  let peak = 0
  let done = false
  const finished = work().finally(() => {
    done = true
  })
  while (!done) {
    peak = Math.max(peak, (await gateway.memory(false)).rss)
    await pause(SAMPLE_MS)
  }
  await finished
  return peak
}

/** A film of a second, made as large as wished by a box that players skip. */
const makeVideo = async (path: string, bytes: number): Promise<void> => {
  const tools = new Tools({ ffmpegPath: process.env.FFMPEG_PATH, clock: systemClock })
  const { ok, complaint } = await tools.run('ffmpeg', [
    ...['-nostdin', '-v', 'error', '-f', 'lavfi', '-i', 'testsrc=duration=1:size=640x360:rate=10'],
    ...['-c:v', 'libx264', '-pix_fmt', 'yuv420p', '-movflags', '+faststart', path],
  ])
  if (!ok) throw new Error(`the video could not be made: ${complaint}`)
  const rest = bytes - (await stat(path)).size
  if (rest < 8) return
  const head = Buffer.alloc(8)
  head.writeUInt32BE(rest, 0)
  head.write('free', 4, 'latin1')
  await writeFile(path, head, { flag: 'a' })
  await using file = await open(path, 'r+')
  await file.truncate(bytes)
}

/** Sends a file of a form as clients do that do not hold it in memory. @throws on anything but 200 */
const upload = async (url: URL, headers: Readonly<Record<string, string>>, path: string): Promise<void> => {
  const boundary = 'bench-boundary'
  const before = `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="v.mp4"\r\n\r\n`
  const after = `\r\n--${boundary}--\r\n`
  const { size } = await stat(path)
  const outgoing = request(url, {
    method: 'POST',
    headers: {
      ...headers,
      'content-type': `multipart/form-data; boundary=${boundary}`,
      'content-length': before.length + size + after.length,
    },
  })
  const answered = new Promise<string>((resolve, reject) => {
    outgoing.once('error', reject)
    outgoing.once('response', async (response) => {
      const text = (await response.toArray()).map(String).join('')
      if (response.statusCode === 200) resolve(text)
      else reject(new Error(`the upload was answered with ${response.statusCode}: ${text}`))
    })
  })
  const form = async function* () {
    yield before
    yield* createReadStream(path)
    yield after
  }
  await Promise.all([answered, pipeline(form, outgoing)])
}
