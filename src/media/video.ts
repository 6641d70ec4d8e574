import { ParleyError } from '../kernel/errors.ts'
import { THUMBNAIL_WIDTH } from './limits.ts'
import type { Prepared } from './prepared.ts'
import { assertWhole, formatOf, inputArgs, probe, unreadable } from './probe.ts'
import type { Tools } from './tools.ts'

export const VIDEO_TYPES: readonly string[] = [
  'video/mp4',
  'video/3gpp',
  'video/3gpp2',
  'video/quicktime',
  'video/webm',
  'video/mpeg',
  'video/mp2p',
  'video/mp1s',
  'video/matroska',
  'video/x-matroska',
  'video/vnd.avi',
]

/** A film as it is, with its length, its size as shown, and a picture out of it. */
export const prepareVideo = async (tools: Tools, path: string, mimetype: string): Promise<Prepared> => {
  const format = formatOf(mimetype)!
  const { video, duration } = await probe(tools, path, format)
  if (!video || video.width === 0)
    throw new ParleyError('unsupported_media_type', 'file: has no moving picture in it', { field: 'file' })
  await assertWhole(tools, path, format)
  // the first frame is often black
  const jpegThumbnail =
    (await frameAt(tools, path, format, Math.min(1, (duration ?? 0) / 2))) ?? (await frameAt(tools, path, format, 0))
  if (!jpegThumbnail) throw unreadable('has no picture that can be read')
  return {
    path,
    mimetype,
    width: video.width,
    height: video.height,
    ...(duration === undefined ? {} : { seconds: Math.max(1, Math.round(duration)) }),
    jpegThumbnail,
  }
}

/** A small JPEG of one moment; undefined when there is none. */
const frameAt = async (tools: Tools, path: string, format: string, second: number): Promise<Buffer | undefined> => {
  const scale = `scale=w='min(${THUMBNAIL_WIDTH},iw)':h=-2`
  const { ok, stdout } = await tools.run('ffmpeg', [
    '-nostdin',
    '-hide_banner',
    '-v',
    'error',
    '-threads',
    '1',
    '-ss',
    second.toFixed(3),
    ...inputArgs(path, format),
    ...['-map', 'v:0', '-frames:v', '1', '-vf', scale, '-pix_fmt', 'yuvj420p'],
    ...['-c:v', 'mjpeg', '-q:v', '6', '-f', 'image2pipe', 'pipe:1'],
  ])
  return ok && stdout.length > 0 ? stdout : undefined
}
