// A phone's pictures, films and sounds: sent really encrypted, received ones downloaded, opened and checked.
import { randomBytes } from 'node:crypto'
import { proto } from 'baileys/WAProto/index.js'
import { decryptGcm, encryptGcm, equalBytes, sha256 } from '../crypto/symmetric.ts'
import type { MediaDepot, UploadType } from '../media/media-depot.ts'
import { deriveRetryKey, type MediaKind, openMedia, sealMedia } from '../media/media-encryption.ts'
import { encode } from './adv.ts'
import { unwrap } from './message-content.ts'

/** A file to send, with what the person's app would have found out about it. */
export interface OutgoingMedia {
  readonly kind: MediaKind
  readonly bytes: Buffer
  readonly mimetype: string
  readonly caption?: string | undefined
  readonly fileName?: string | undefined
  readonly seconds?: number | undefined
  readonly width?: number | undefined
  readonly height?: number | undefined
  readonly voiceNote?: boolean | undefined
  readonly viewOnce?: boolean | undefined
  readonly thumbnail?: Buffer | undefined
}

/** What a person sees of a file. */
export interface SeenMedia {
  readonly kind: MediaKind
  readonly mimetype: string
  readonly caption: string | undefined
  readonly fileName: string | undefined
  readonly width: number | undefined
  readonly height: number | undefined
  readonly seconds: number | undefined
  readonly waveform: readonly number[] | undefined
  readonly voiceNote: boolean
  readonly viewOnce: boolean
  readonly animated: boolean
  readonly thumbnail: Buffer | undefined
  readonly directPath: string
  /** The decrypted file, kept while it is small enough to keep; undefined when it could not be opened. */
  bytes: Buffer | undefined
  readonly sha256: Buffer | undefined
  readonly size: number
  /** Why it could not be opened. */
  readonly fault: string | undefined
}

const FIELDS = [
  ['imageMessage', 'image'],
  ['videoMessage', 'video'],
  ['ptvMessage', 'video'],
  ['audioMessage', 'audio'],
  ['documentMessage', 'document'],
  ['stickerMessage', 'sticker'],
] as const

const MESSAGE_FIELD = {
  image: 'imageMessage',
  video: 'videoMessage',
  audio: 'audioMessage',
  document: 'documentMessage',
  sticker: 'stickerMessage',
} as const

/** What the parts have between them. */
interface MediaPart {
  mimetype?: string | null
  caption?: string | null
  fileName?: string | null
  width?: number | null
  height?: number | null
  seconds?: number | null
  waveform?: Uint8Array | null
  ptt?: boolean | null
  viewOnce?: boolean | null
  isAnimated?: boolean | null
  jpegThumbnail?: Uint8Array | null
  directPath?: string | null
  mediaKey?: Uint8Array | null
  fileSha256?: Uint8Array | null
  fileEncSha256?: Uint8Array | null
  fileLength?: unknown
}

/** Encrypts a file, puts it on the media server, and answers the message that leads to it. */
export function makeMedia(depot: MediaDepot, media: OutgoingMedia, now: number): proto.IMessage {
  const { kind, bytes, mimetype, caption, fileName, seconds, width, height, thumbnail, viewOnce } = media
  const sealed = sealMedia(kind, bytes)
  const directPath = depot.add(uploadTypeOf(kind), sealed.body)
  const part = {
    url: `https://mmg.whatsapp.net${directPath}&mms3=true`,
    directPath,
    mimetype,
    mediaKey: sealed.mediaKey,
    fileSha256: sealed.fileSha256,
    fileEncSha256: sealed.fileEncSha256,
    fileLength: bytes.length,
    mediaKeyTimestamp: Math.floor(now / 1000),
    ...(caption !== undefined && { caption }),
    ...(fileName !== undefined && { fileName, title: fileName }),
    ...(seconds !== undefined && { seconds }),
    ...(width !== undefined && { width }),
    ...(height !== undefined && { height }),
    ...(thumbnail !== undefined && { jpegThumbnail: thumbnail }),
    ...(media.voiceNote === true && { ptt: true }),
    ...(viewOnce === true && { viewOnce: true }),
  }
  const message = { [MESSAGE_FIELD[kind]]: part } as proto.IMessage
  if (viewOnce === true) return { viewOnceMessage: { message } }
  return kind === 'document' && caption !== undefined ? { documentWithCaptionMessage: { message } } : message
}

/** The file in a message, downloaded and opened as the app does it; undefined when there is none. */
export function readMedia(depot: MediaDepot, wrapped: proto.IMessage): SeenMedia | undefined {
  const found = partOf(wrapped)
  if (found === undefined) return undefined
  const { kind, part } = found
  const opened = open(depot, kind, part)
  return {
    kind,
    mimetype: part.mimetype ?? '',
    caption: part.caption ?? undefined,
    fileName: part.fileName ?? undefined,
    width: part.width ?? undefined,
    height: part.height ?? undefined,
    seconds: part.seconds ?? undefined,
    waveform: part.waveform ? [...part.waveform] : undefined,
    voiceNote: part.ptt === true,
    viewOnce: part.viewOnce === true,
    animated: part.isAnimated === true,
    thumbnail: part.jpegThumbnail ? Buffer.from(part.jpegThumbnail) : undefined,
    directPath: part.directPath ?? '',
    bytes: typeof opened === 'string' ? undefined : opened,
    sha256: typeof opened === 'string' ? undefined : sha256(opened),
    size: typeof opened === 'string' ? 0 : opened.length,
    fault: typeof opened === 'string' ? opened : undefined,
  }
}

/** Files in memory of one phone; the newest that fit stay. */
const KEPT_BYTES = 160 * 1024 * 1024

/** Old files go; what was said about them stays. */
export function forgetOldFiles(
  messages: readonly { readonly media: SeenMedia | undefined }[],
  most = KEPT_BYTES,
): void {
  let kept = 0
  for (const { media } of messages.toReversed()) {
    if (media?.bytes === undefined) continue
    kept += media.bytes.length
    if (kept > most) media.bytes = undefined
  }
}

/** What a phone answers when a companion cannot download a file any more. */
export interface RetryAnswer {
  readonly ciphertext: Buffer
  readonly iv: Buffer
}

/**
 * Uploads the file of a message once more and answers the new path, sealed with the file's key.
 * @returns undefined when the request does not fit the message, or the phone has no file
 */
export function answerRetry(
  depot: MediaDepot,
  message: proto.IMessage,
  bytes: Buffer | undefined,
  request: { readonly messageId: string; readonly ciphertext: Buffer; readonly iv: Buffer },
): RetryAnswer | undefined {
  const found = partOf(message)
  if (found === undefined || !found.part.mediaKey || !found.part.directPath) return undefined
  const key = deriveRetryKey(found.part.mediaKey)
  const aad = Buffer.from(request.messageId)
  const asked = proto.ServerErrorReceipt.decode(decryptGcm(key, request.iv, request.ciphertext, aad))
  if (asked.stanzaId !== request.messageId) throw new Error('the request names another message')
  const stored = depot.find(found.part.directPath)
  if (stored === undefined || bytes === undefined) return undefined
  const directPath = depot.add(stored.type, stored.body)
  const answer = encode(proto.MediaRetryNotification, {
    stanzaId: request.messageId,
    directPath,
    result: proto.MediaRetryNotification.ResultType.SUCCESS,
  })
  const iv = randomBytes(12)
  return { iv, ciphertext: encryptGcm(key, iv, answer, aad) }
}

function open(depot: MediaDepot, kind: MediaKind, part: MediaPart): Buffer | string {
  const { directPath, mediaKey, fileSha256, fileEncSha256, fileLength } = part
  if (!directPath || !mediaKey || !fileSha256 || !fileEncSha256) return 'the message lacks its path, key or hashes'
  const file = depot.find(directPath)
  if (file === undefined) return 'there is no such file on the media server'
  if (file.type !== uploadTypeOf(kind)) return `the file was uploaded as ${file.type}`
  if (!equalBytes(file.encSha256, fileEncSha256)) return 'the encrypted file has another hash than the message says'
  try {
    const bytes = openMedia(kind, mediaKey, file.body)
    if (!equalBytes(sha256(bytes), fileSha256)) return 'the file has another hash than the message says'
    if (Number(fileLength) !== bytes.length) return `the file has ${bytes.length} bytes, not ${Number(fileLength)}`
    return bytes
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function partOf(wrapped: proto.IMessage): { readonly kind: MediaKind; readonly part: MediaPart } | undefined {
  const message = unwrap(wrapped)
  for (const [field, kind] of FIELDS) {
    const part = message[field]
    if (part) return { kind, part: part as MediaPart }
  }
  return undefined
}

const uploadTypeOf = (kind: MediaKind): UploadType => (kind === 'sticker' ? 'image' : kind)
