import { open } from 'node:fs/promises'
import { ParleyError } from '../kernel/errors.ts'
import { LONGEST_SECONDS, MOST_FRAME_PIXELS } from './limits.ts'
import type { Tools } from './tools.ts'

/** What ffprobe found out about a film or a sound. */
export interface Probe {
  /** Seconds, with fractions; undefined when the file does not say. */
  readonly duration: number | undefined
  readonly video: { readonly width: number; readonly height: number; readonly codec: string } | undefined
  readonly audio: { readonly codec: string } | undefined
}

interface Stream {
  readonly codec_type?: string
  readonly codec_name?: string
  readonly width?: number
  readonly height?: number
  readonly duration?: string
  readonly tags?: { readonly rotate?: string }
  readonly side_data_list?: readonly { readonly rotation?: number }[]
  readonly disposition?: { readonly attached_pic?: number }
}

/** How tools are told to open an untrusted file: as what it is, and nothing else along with it. */
export const inputArgs = (path: string, format: string): readonly string[] => [
  '-protocol_whitelist',
  'file',
  '-f',
  format,
  '-i',
  `file:${path}`,
]

/** ffmpeg's readers by what a file was found to be; what is not here is not opened. */
const FORMATS: Readonly<Record<string, string>> = {
  'video/mp4': 'mov',
  'video/3gpp': 'mov',
  'video/3gpp2': 'mov',
  'video/quicktime': 'mov',
  'video/webm': 'matroska',
  'video/matroska': 'matroska',
  'video/x-matroska': 'matroska',
  'video/mpeg': 'mpeg',
  'video/mp1s': 'mpeg',
  'video/mp2p': 'mpeg',
  'video/vnd.avi': 'avi',
  'video/x-msvideo': 'avi',
  'video/ogg': 'ogg',
  'audio/mpeg': 'mp3',
  'audio/mp4': 'mov',
  'audio/ogg': 'ogg',
  'audio/opus': 'ogg',
  'audio/wav': 'wav',
  'audio/aac': 'aac',
  'audio/flac': 'flac',
  'audio/x-flac': 'flac',
  'audio/amr': 'amr',
  'audio/aiff': 'aiff',
  'audio/webm': 'matroska',
  'audio/x-ms-wma': 'asf',
  'image/gif': 'gif',
}

export const formatOf = (mimetype: string): string | undefined => FORMATS[mimetype]

export const unreadable = (what: string): ParleyError =>
  new ParleyError('bad_request', `file: ${what}: it is damaged or cut short`, { field: 'file' })

/** @throws bad_request for what cannot be read, or is larger or longer than sense */
export const probe = async (tools: Tools, path: string, format: string): Promise<Probe> => {
  const args = ['-v', 'error', '-of', 'json', '-show_format', '-show_streams', ...inputArgs(path, format)]
  const { ok, stdout } = await tools.run('ffprobe', args, { timeoutMs: 30_000 })
  if (!ok) throw unreadable('cannot be read')
  const { streams = [], format: container } = JSON.parse(stdout.toString('utf8')) as {
    streams?: readonly Stream[]
    format?: { readonly duration?: string }
  }
  const picture = streams.find((stream) => stream.codec_type === 'video' && stream.disposition?.attached_pic !== 1)
  const sound = streams.find((stream) => stream.codec_type === 'audio')
  const seconds = Number(container?.duration ?? picture?.duration ?? sound?.duration)
  const duration = Number.isFinite(seconds) && seconds >= 0 ? seconds : undefined
  if (duration !== undefined && duration > LONGEST_SECONDS)
    throw new ParleyError('bad_request', `file: is longer than ${LONGEST_SECONDS / 3600} hours`, { field: 'file' })
  return {
    duration,
    video: picture && { ...sizeOf(picture), codec: picture.codec_name ?? '' },
    audio: sound && { codec: sound.codec_name ?? '' },
  }
}

/**
 * A WAV that was written while it came into being says that it goes on for ever: in its first size, which nobody went back
 * to set (speech synthesis sends such). ffmpeg takes its end for damage.
 */
export const isEndless = async (path: string, format: string): Promise<boolean> => {
  if (format !== 'wav') return false
  await using file = await open(path, 'r')
  const { buffer, bytesRead } = await file.read(Buffer.alloc(8), 0, 8, 0)
  const size = bytesRead === 8 ? buffer.readUInt32LE(4) : 0
  return size === 0 || size > 0x7fff_0000
}

/** What demuxers say of a file whose end is missing, in old versions of ffmpeg and new ones. */
const CUT_SHORT = /corrupt input packet|ended prematurely|partial file|read error|input\/output error/i

/**
 * Reads a film or a sound through once, without decoding it. Only forms that say how much is to come can be found out:
 * MP4 and its kin, Matroska, WAV, AMR; not MP3, say, which can be cut anywhere and is whole.
 * @throws bad_request when its end is missing
 */
export const assertWhole = async (tools: Tools, path: string, format: string): Promise<void> => {
  if (await isEndless(path, format)) return
  const copied = ['-map', '0:v?', '-map', '0:a?', '-c', 'copy', '-f', 'null', '-']
  const { complaint } = await tools.run('ffmpeg', [
    ...['-nostdin', '-hide_banner', '-v', 'error', '-xerror'],
    ...inputArgs(path, format),
    ...copied,
  ])
  if (CUT_SHORT.test(complaint)) throw unreadable('ends too early')
}

/** As it is shown: phones film upright by a note that says to turn it. */
const sizeOf = ({ width = 0, height = 0, tags, side_data_list }: Stream) => {
  if (width * height > MOST_FRAME_PIXELS)
    throw new ParleyError('bad_request', `file: ${width}x${height} pixels are too many`, { field: 'file' })
  const turn = Number(tags?.rotate ?? side_data_list?.find(({ rotation }) => rotation !== undefined)?.rotation ?? 0)
  return Math.abs(turn) % 180 === 90 ? { width: height, height: width } : { width, height }
}
