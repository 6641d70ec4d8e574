import { ParleyError } from '../kernel/errors.ts'
import { LONGEST_SECONDS, WAVEFORM_VALUES } from './limits.ts'
import type { Prepared } from './prepared.ts'
import { assertWhole, formatOf, inputArgs, isEndless, probe, unreadable } from './probe.ts'
import type { Workspace } from './temp-files.ts'
import type { Tools } from './tools.ts'

export const AUDIO_TYPES: readonly string[] = [
  'audio/mpeg',
  'audio/mp4',
  'audio/ogg',
  'audio/opus',
  'audio/wav',
  'audio/aac',
  'audio/flac',
  'audio/x-flac',
  'audio/amr',
  'audio/aiff',
  'audio/webm',
  'audio/x-ms-wma',
  // containers that may hold sound only
  'video/mp4',
  'video/webm',
  'video/ogg',
]

export const VOICE_NOTE_TYPE = 'audio/ogg; codecs=opus'
const QUIET = ['-nostdin', '-hide_banner', '-v', 'error'] as const

/** Sound as it is. Without ffprobe its length is not known, and the receiver's app finds it out. */
export const prepareAudio = async (tools: Tools, path: string, mimetype: string): Promise<Prepared> => {
  const type =
    mimetype === 'audio/ogg' || mimetype === 'audio/opus' ? VOICE_NOTE_TYPE : mimetype.replace(/^video/, 'audio')
  if (!(await tools.has('ffprobe'))) return { path, mimetype: type }
  const format = formatOf(mimetype)!
  const { audio, duration } = await probe(tools, path, format)
  if (!audio) throw noSound()
  if (await tools.has('ffmpeg')) await assertWhole(tools, path, format)
  return { path, mimetype: type, ...(duration === undefined ? {} : { seconds: wholeSeconds(duration) }) }
}

/** Any sound as WhatsApp's voice notes are: OGG/Opus, mono, with its length and the 64 bars that are shown. */
export const prepareVoiceNote = async (
  tools: Tools,
  path: string,
  mimetype: string,
  work: Workspace,
): Promise<Prepared> => {
  const format = formatOf(mimetype)!
  const { audio } = await probe(tools, path, format)
  if (!audio) throw noSound()
  const target = work.path('voice.ogg')
  const encoded = await tools.run('ffmpeg', [
    ...QUIET,
    ...((await isEndless(path, format)) ? [] : ['-xerror']),
    ...inputArgs(path, format),
    ...['-map', 'a:0', '-map_metadata', '-1', '-vn', '-ac', '1', '-ar', '48000', '-t', String(LONGEST_SECONDS)],
    ...['-c:a', 'libopus', '-b:a', '32k', '-application', 'voip', '-threads', '2', '-f', 'ogg', `file:${target}`],
  ])
  if (!encoded.ok) throw unreadable('cannot be decoded')
  const { waveform, seconds } = await measure(tools, target)
  if (seconds === 0) throw unreadable('has no sound in it')
  return { path: target, mimetype: VOICE_NOTE_TYPE, seconds: wholeSeconds(seconds), voiceNote: true, waveform }
}

/** Samples a second and per block of the measurement: 100 ms. */
const RATE = 8000
const BLOCK = 800

/** Decodes at telephone quality and keeps the loudness of each tenth of a second. */
const measure = async (tools: Tools, path: string): Promise<{ waveform: Uint8Array; seconds: number }> => {
  const loudness: number[] = []
  let samples = 0
  let sum = 0
  let odd: Buffer | undefined
  const decoded = await tools.run(
    'ffmpeg',
    [...QUIET, ...inputArgs(path, 'ogg'), '-ac', '1', '-ar', String(RATE), '-f', 's16le', 'pipe:1'],
    {
      onData: (piece) => {
        const bytes = odd ? Buffer.concat([odd, piece]) : piece
        const whole = bytes.length - (bytes.length % 2)
        odd = whole < bytes.length ? bytes.subarray(whole) : undefined
        for (let at = 0; at < whole; at += 2) {
          sum += (bytes.readInt16LE(at) / 32768) ** 2
          if (++samples % BLOCK === 0) {
            loudness.push(Math.sqrt(sum / BLOCK))
            sum = 0
          }
        }
      },
    },
  )
  if (!decoded.ok) throw unreadable('cannot be decoded')
  if (samples % BLOCK > 0) loudness.push(Math.sqrt(sum / (samples % BLOCK)))
  return { waveform: barsOf(loudness), seconds: samples / RATE }
}

/** 64 values of 0..100, the loudest bar being the highest. */
export const barsOf = (loudness: readonly number[]): Uint8Array => {
  const bars = Array.from({ length: WAVEFORM_VALUES }, (_, index) => {
    const from = Math.floor((index * loudness.length) / WAVEFORM_VALUES)
    const to = Math.max(from + 1, Math.floor(((index + 1) * loudness.length) / WAVEFORM_VALUES))
    return loudness.slice(from, to).reduce((highest, value) => Math.max(highest, value), 0)
  })
  const highest = Math.max(...bars)
  return Uint8Array.from(bars, (bar) => (highest === 0 ? 0 : Math.round((bar / highest) * 100)))
}

const wholeSeconds = (seconds: number): number => Math.max(1, Math.round(seconds))

const noSound = (): ParleyError =>
  new ParleyError('unsupported_media_type', 'file: has no sound in it', { field: 'file' })
