import { stat } from 'node:fs/promises'
import type { Sharp, SharpOptions } from 'sharp'
import { ParleyError } from '../kernel/errors.ts'
import { IMAGE_QUALITY, IMAGE_SIDE, MOST_PIXELS, THUMBNAIL_WIDTH } from './limits.ts'
import type { Prepared } from './prepared.ts'
import { unreadable } from './probe.ts'
import type { Workspace } from './temp-files.ts'

export interface ImageSettings {
  readonly imageCompression: boolean
  readonly convertWebp: boolean
}

/** What can be sent as a picture: WhatsApp shows the first three, the others are converted. */
export const IMAGE_TYPES: readonly string[] = [
  'image/jpeg',
  'image/png',
  'image/webp',
  'image/gif',
  'image/tiff',
  'image/avif',
]

type Output = 'jpeg' | 'png' | 'webp'

/** sharp is loaded with the first picture: it takes 20 MB that most gateways never need. */
export const loadSharp = async () => {
  const { default: sharp } = await import('sharp')
  sharp.cache(false)
  sharp.concurrency(1)
  sharp.block({ operation: ['VipsForeignLoadSvg', 'VipsForeignLoadPdf', 'VipsForeignLoadMagick'] })
  return (path: string, options: SharpOptions = {}): Sharp =>
    sharp(path, { limitInputPixels: MOST_PIXELS, sequentialRead: true, failOn: 'error', ...options })
}

/**
 * A picture as it is sent: upright, at most 1600 pixels a side when pictures are compressed, never enlarged. What needs no
 * change stays as it is, byte for byte.
 */
export const prepareImage = async (
  path: string,
  mimetype: string,
  settings: ImageSettings,
  work: Workspace,
): Promise<Prepared> => {
  const open = await loadSharp()
  try {
    const { width = 0, height = 0, orientation = 1, hasAlpha = false } = await open(path).metadata()
    const [shownWidth, shownHeight] = orientation >= 5 ? [height, width] : [width, height]
    const jpegThumbnail = await thumbnailOf(open(path))
    const output = outputOf(mimetype, hasAlpha, settings)
    const shrinks = settings.imageCompression && Math.max(shownWidth, shownHeight) > IMAGE_SIDE
    const recodes = settings.imageCompression && output === 'jpeg'
    if (`image/${output}` === mimetype && orientation === 1 && !shrinks && !recodes)
      return { path, mimetype, width: shownWidth, height: shownHeight, jpegThumbnail }
    const target = work.path(`image.${output}`)
    let picture = open(path).autoOrient()
    if (shrinks)
      picture = picture.resize({ width: IMAGE_SIDE, height: IMAGE_SIDE, fit: 'inside', withoutEnlargement: true })
    const made = await encode(picture, output, settings.imageCompression).toFile(target)
    const isSame = `image/${output}` === mimetype && orientation === 1 && !shrinks
    if (isSame && made.size >= (await stat(path)).size)
      return { path, mimetype, width: shownWidth, height: shownHeight, jpegThumbnail }
    return { path: target, mimetype: `image/${output}`, width: made.width, height: made.height, jpegThumbnail }
  } catch (error) {
    throw imageError(error)
  }
}

/** A small JPEG; decodes the whole picture, so that a damaged one is found out. */
export const thumbnailOf = (picture: Sharp, width = THUMBNAIL_WIDTH): Promise<Buffer> =>
  picture
    .autoOrient()
    .resize({ width, height: width * 3, fit: 'inside', withoutEnlargement: true })
    .flatten({ background: '#fff' })
    .jpeg({ quality: 60 })
    .toBuffer()

const outputOf = (mimetype: string, hasAlpha: boolean, { convertWebp }: ImageSettings): Output => {
  if (mimetype === 'image/jpeg') return 'jpeg'
  if (mimetype === 'image/png') return 'png'
  if (mimetype === 'image/webp') return convertWebp ? 'png' : 'webp'
  return hasAlpha ? 'png' : 'jpeg'
}

const encode = (picture: Sharp, output: Output, compress: boolean): Sharp => {
  if (output === 'png') return picture.png({ compressionLevel: 8 })
  const quality = compress ? IMAGE_QUALITY : 95
  return output === 'webp' ? picture.webp({ quality }) : picture.jpeg({ quality, mozjpeg: false })
}

/** sharp's complaints are about the file; anything else is ours. */
export const imageError = (error: unknown): unknown => {
  if (!(error instanceof Error) || error instanceof ParleyError) return error
  if (/pixel limit/i.test(error.message))
    return new ParleyError('bad_request', `file: has more than ${MOST_PIXELS} pixels`, { field: 'file' })
  if ('code' in error) return error
  return unreadable('is not a picture that can be read')
}
