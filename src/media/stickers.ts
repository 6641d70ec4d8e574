import { randomUUID } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { ParleyError } from '../kernel/errors.ts'
import { IMAGE_TYPES, imageError, loadSharp } from './images.ts'
import { LONGEST_STICKER_SECONDS, MOVING_STICKER_BYTES, STICKER_BYTES, STICKER_SIDE } from './limits.ts'
import type { Prepared } from './prepared.ts'
import { assertWhole, formatOf, inputArgs, probe, unreadable } from './probe.ts'
import type { Workspace } from './temp-files.ts'
import type { Tools } from './tools.ts'
import { VIDEO_TYPES } from './video.ts'
import { isAnimatedWebp, packExif, type StickerPack, withExif } from './webp-exif.ts'

export const STICKER_TYPES: readonly string[] = [...IMAGE_TYPES, ...VIDEO_TYPES]

/** Qualities that are tried in turn until the sticker is small enough; the last one is taken as it comes. */
const QUALITIES = [90, 75, 55, 35, 20]
const FRAMES_A_SECOND = 15
const CLEAR = { r: 0, g: 0, b: 0, alpha: 0 }

/** A picture or a short clip as a WebP sticker of 512 by 512 with the name of its pack; a clip moves. */
export const prepareSticker = async (
  tools: Tools,
  path: string,
  mimetype: string,
  pack: StickerPack,
  work: Workspace,
): Promise<Prepared> => {
  const made = VIDEO_TYPES.includes(mimetype)
    ? await fromClip(tools, path, mimetype, work)
    : await fromPicture(path, mimetype)
  const target = work.path('sticker.webp')
  await writeFile(target, withExif(made, packExif(pack, randomUUID())))
  return {
    path: target,
    mimetype: 'image/webp',
    width: STICKER_SIDE,
    height: STICKER_SIDE,
    animated: isAnimatedWebp(made),
  }
}

const fromPicture = async (path: string, mimetype: string): Promise<Buffer> => {
  try {
    const open = await loadSharp()
    const { width, height, pages = 1, pageHeight } = await open(path).metadata()
    const limit = pages > 1 ? MOVING_STICKER_BYTES : STICKER_BYTES
    const original = mimetype === 'image/webp' ? await readFile(path) : undefined
    // decoding it once shows whether it is whole
    const isRight = width === STICKER_SIDE && (pageHeight ?? height) === STICKER_SIDE
    if (original && isRight && original.length <= limit) {
      await open(path, { animated: true }).stats()
      return original
    }
    // awaited here: what sharp complains about must not get past the `catch`
    return await smallest(limit, (quality) =>
      open(path, { animated: pages > 1 })
        .autoOrient()
        .resize({ width: STICKER_SIDE, height: STICKER_SIDE, fit: 'contain', background: CLEAR })
        .webp({ quality, loop: 0, effort: 4 })
        .toBuffer(),
    )
  } catch (error) {
    throw error instanceof RangeError ? unreadable('is not a picture that can be read') : imageError(error)
  }
}

const fromClip = async (tools: Tools, path: string, mimetype: string, work: Workspace): Promise<Buffer> => {
  const format = formatOf(mimetype)!
  const { video, duration } = await probe(tools, path, format)
  if (!video) throw new ParleyError('unsupported_media_type', 'file: has no moving picture in it', { field: 'file' })
  if (duration !== undefined && duration > LONGEST_STICKER_SECONDS + 0.5)
    throw new ParleyError('bad_request', `file: a sticker moves for at most ${LONGEST_STICKER_SECONDS} seconds`, {
      field: 'file',
    })
  await assertWhole(tools, path, format)
  const side = STICKER_SIDE
  const filter = [
    `fps=${FRAMES_A_SECOND}`,
    `scale=${side}:${side}:force_original_aspect_ratio=decrease`,
    'format=rgba',
    `pad=${side}:${side}:(ow-iw)/2:(oh-ih)/2:color=0x00000000`,
  ].join()
  return smallest(MOVING_STICKER_BYTES, async (quality) => {
    const target = work.path('clip.webp')
    const { ok } = await tools.run('ffmpeg', [
      ...['-nostdin', '-hide_banner', '-v', 'error', ...inputArgs(path, format)],
      ...['-map', 'v:0', '-an', '-t', String(LONGEST_STICKER_SECONDS), '-vf', filter, '-threads', '2'],
      ...['-c:v', 'libwebp_anim', '-lossless', '0', '-q:v', String(quality), '-loop', '0', '-f', 'webp'],
      `file:${target}`,
    ])
    if (!ok) throw unreadable('cannot be decoded')
    return readFile(target)
  })
}

const smallest = async (limit: number, make: (quality: number) => Promise<Buffer>): Promise<Buffer> => {
  let made: Buffer | undefined
  for (const quality of QUALITIES) {
    made = await make(quality)
    if (made.length <= limit) break
  }
  return made!
}
