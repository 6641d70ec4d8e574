import { createHash } from 'node:crypto'
import { normalizeMessageContent, proto, toNumber } from 'baileys'
import type { MediaFacts, MediaKind } from '../index.ts'

const FIELDS: readonly (readonly [keyof proto.IMessage, MediaKind])[] = [
  ['imageMessage', 'image'],
  ['videoMessage', 'video'],
  ['ptvMessage', 'video'],
  ['audioMessage', 'audio'],
  ['documentMessage', 'document'],
  ['stickerMessage', 'sticker'],
]

/** The fields that all kinds of files have in common. */
export interface MediaPart {
  url?: string | null
  directPath?: string | null
  mediaKey?: Uint8Array | null
  fileSha256?: Uint8Array | null
  fileEncSha256?: Uint8Array | null
  fileLength?: Parameters<typeof toNumber>[0]
  mimetype?: string | null
  fileName?: string | null
}

export interface FoundPart {
  readonly kind: MediaKind
  readonly part: MediaPart
}

/** The part of a message that leads to a file; a part of the very message, not a copy. */
export const mediaPartOf = (message: proto.IMessage): FoundPart | undefined => {
  const content = normalizeMessageContent(message)
  for (const [field, kind] of FIELDS) {
    const part = content?.[field]
    if (part) return { kind, part: part as MediaPart }
  }
  return undefined
}

export const mediaFactsOf = (content: Uint8Array): MediaFacts | undefined => {
  const found = mediaPartOf(proto.Message.decode(content))
  if (!found) return undefined
  const { kind, part } = found
  const { mediaKey, fileSha256, fileEncSha256 } = part
  if (mediaKey?.length !== 32 || fileSha256?.length !== 32) return undefined
  const identity = createHash('sha256')
    .update(mediaKey)
    .update(fileSha256)
    .update(fileEncSha256 ?? new Uint8Array(0))
  return {
    kind,
    mimetype: part.mimetype ?? '',
    fileName: part.fileName ?? undefined,
    fileLength: toNumber(part.fileLength),
    sha256: Buffer.from(fileSha256).toString('hex'),
    mediaKey,
    identity: identity.digest('hex'),
  }
}

export const relocated = (content: Uint8Array, directPath: string): Uint8Array => {
  const message = proto.Message.decode(content)
  const found = mediaPartOf(message)
  if (!found) return content
  found.part.directPath = directPath
  found.part.url = null
  return proto.Message.encode(message).finish()
}
