import type { MediaKind } from '../engine/index.ts'
import { ParleyError } from '../kernel/errors.ts'
import { Semaphore } from '../kernel/semaphore.ts'
import { formatSize } from '../kernel/sizes.ts'
import { AUDIO_TYPES, prepareAudio, prepareVoiceNote } from './audio.ts'
import { IMAGE_TYPES, type ImageSettings, prepareImage } from './images.ts'
import { JOBS_AT_ONCE, MOST_BYTES, WORD_FOR } from './limits.ts'
import type { Prepared } from './prepared.ts'
import { type Sniffed, sniff } from './sniff.ts'
import { prepareSticker, STICKER_TYPES } from './stickers.ts'
import type { Workspace } from './temp-files.ts'
import type { Tools } from './tools.ts'
import { prepareVideo, VIDEO_TYPES } from './video.ts'
import type { StickerPack } from './webp-exif.ts'

export interface PrepareOptions {
  readonly voiceNote?: boolean
  readonly pack?: StickerPack
}

const PLAIN_PACK: StickerPack = { name: 'Stickers', publisher: 'Parley', emojis: [] }

const ACCEPTED: Readonly<Record<Exclude<MediaKind, 'document'>, readonly string[]>> = {
  image: IMAGE_TYPES,
  video: VIDEO_TYPES,
  audio: AUDIO_TYPES,
  sticker: STICKER_TYPES,
}

/** Makes files ready to be sent, a few at a time. */
export class MediaProcessor {
  readonly #tools: Tools
  readonly #settings: ImageSettings
  readonly #jobs = new Semaphore(JOBS_AT_ONCE)

  constructor({ tools, settings }: { readonly tools: Tools; readonly settings: ImageSettings }) {
    this.#tools = tools
    this.#settings = settings
  }

  /**
   * What is made lies in `work`, or is the given file itself.
   * @throws bad_request (empty, damaged, a bomb), too_large, unsupported_media_type, not_supported (no ffmpeg here)
   */
  async prepare(
    kind: MediaKind,
    file: { readonly path: string; readonly size: number },
    work: Workspace,
    options: PrepareOptions = {},
  ): Promise<Prepared> {
    if (file.size === 0) throw new ParleyError('bad_request', 'file: is empty', { field: 'file' })
    if (file.size > MOST_BYTES[kind])
      throw new ParleyError('too_large', `file: ${WORD_FOR[kind]} may have at most ${formatSize(MOST_BYTES[kind])}`, {
        field: 'file',
        data: { limit_bytes: MOST_BYTES[kind], limit: WORD_FOR[kind] },
      })
    const found = await sniff(file.path)
    if (kind === 'document') return { path: file.path, mimetype: found.mimetype }
    if (!ACCEPTED[kind].includes(found.mimetype)) throw wrongType(kind, found)
    return this.#jobs.run(() => this.#work(kind, file.path, found.mimetype, work, options))
  }

  #work(
    kind: Exclude<MediaKind, 'document'>,
    path: string,
    mimetype: string,
    work: Workspace,
    { voiceNote, pack = PLAIN_PACK }: PrepareOptions,
  ): Promise<Prepared> {
    switch (kind) {
      case 'image':
        return prepareImage(path, mimetype, this.#settings, work)
      case 'video':
        return prepareVideo(this.#tools, path, mimetype)
      case 'audio':
        return voiceNote
          ? prepareVoiceNote(this.#tools, path, mimetype, work)
          : prepareAudio(this.#tools, path, mimetype)
      case 'sticker':
        return prepareSticker(this.#tools, path, mimetype, pack, work)
    }
  }
}

const wrongType = (kind: Exclude<MediaKind, 'document'>, { mimetype }: Sniffed): ParleyError =>
  new ParleyError(
    'unsupported_media_type',
    `file: is ${mimetype} by its content; ${WORD_FOR[kind]} must be one of ${ACCEPTED[kind].join(', ')}`,
    { field: 'file', data: { found: mimetype } },
  )
