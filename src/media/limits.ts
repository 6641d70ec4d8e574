import type { MediaKind } from '../engine/index.ts'

const MIB = 1024 * 1024

/** Most bytes of a file to be sent, by kind; `HTTP_BODY_LIMIT_SIZE` may be lower. */
export const MOST_BYTES: Readonly<Record<MediaKind, number>> = {
  image: 20 * MIB,
  sticker: 20 * MIB,
  audio: 20 * MIB,
  document: 50 * MIB,
  video: 100 * MIB,
}

/** For refusals. */
export const WORD_FOR: Readonly<Record<MediaKind, string>> = {
  image: 'an image',
  sticker: 'a sticker',
  audio: 'an audio file',
  document: 'a document',
  video: 'a video',
}

/** A few kilobytes can hold a picture that needs gigabytes: more pixels (of all frames together) are refused. */
export const MOST_PIXELS = 100_000_000
/** The same for films: more pixels a frame than 8K has. */
export const MOST_FRAME_PIXELS = 8192 * 4320
/** Seconds; a day of silence compresses to nothing. */
export const LONGEST_SECONDS = 4 * 3600
/** A sticker is a short clip. */
export const LONGEST_STICKER_SECONDS = 10

/** WhatsApp's own clients send pictures at most so large in their standard quality. */
export const IMAGE_SIDE = 1600
export const IMAGE_QUALITY = 80
/** Thumbnails travel inside the message. */
export const THUMBNAIL_WIDTH = 72
export const STICKER_SIDE = 512
/** What WhatsApp's clients take for stickers. */
export const STICKER_BYTES = 100 * 1024
export const MOVING_STICKER_BYTES = 500 * 1024
export const WAVEFORM_VALUES = 64
/** Jobs of sharp or ffmpeg at the same time; the others wait. */
export const JOBS_AT_ONCE = 2
