import type { MediaContent, MediaKind } from '../../engine/index.ts'
import { type Route, type RouteError, route } from '../../http/route.ts'
import { parseChat } from '../../kernel/jid.ts'
import { MOST_BYTES, WORD_FOR } from '../../media/limits.ts'
import type { MediaProcessor, PrepareOptions } from '../../media/processor.ts'
import type { TempFiles } from '../../media/temp-files.ts'
import type { Sessions } from '../../sessions/index.ts'
import type { Fetcher } from '../../webhooks/fetcher.ts'
import { ChatParams, LIMITED_ERRORS, SENT_EXAMPLE, SentMessage, sentReply } from '../messaging.ts'
import {
  AudioBody,
  cleanFileName,
  DocumentBody,
  type FlagValue,
  ImageBody,
  isTrue,
  readCaption,
  readFlag,
  StickerBody,
  VideoBody,
} from './schema.ts'
import { type FileSource, type ReceivedFile, receive } from './source.ts'

export interface SendMediaDeps {
  readonly sessions: Pick<Sessions, 'send' | 'connection'>
  readonly processor: Pick<MediaProcessor, 'prepare'>
  readonly fetcher: Pick<Fetcher, 'get'>
  readonly temp: TempFiles
}

const FORMS = ['multipart/form-data', 'application/json'] as const

const ERRORS: readonly RouteError[] = [
  { code: 'bad_request', when: 'the file is missing, empty, damaged or cut short' },
  { code: 'too_large', when: 'the file is over the limit of its kind; data.limit_bytes says which' },
  { code: 'unsupported_media_type', when: 'the file is of another kind by its content' },
  { code: 'not_found', when: 'there is no message reply_to_message_id' },
  { code: 'not_supported', when: 'it needs ffmpeg, which is not installed' },
  ...LIMITED_ERRORS,
]

interface Common {
  readonly url?: string
  readonly base64?: string
  readonly reply_to_message_id?: string
  readonly typing_simulation?: FlagValue
  readonly presence_simulation?: FlagValue
}

interface Sending {
  readonly deviceId: string
  readonly chatJid: string
  readonly messageId: string | undefined
  readonly kind: MediaKind
  readonly source: FileSource
  readonly body: Common
  readonly prepare?: PrepareOptions
  readonly more?: (file: ReceivedFile) => Partial<MediaContent>
}

/** The file is made ready and uploaded, then the message is stored and sent; temporary files go in any case. */
const sender = (deps: SendMediaDeps) => async (sending: Sending) => {
  const { deviceId, kind, source, body, messageId, more } = sending
  const chat = parseChat(sending.chatJid, 'chat_jid')
  await using work = await deps.temp.workspace()
  const file = await receive(source, deps.fetcher, work, { maxBytes: MOST_BYTES[kind], what: WORD_FOR[kind] })
  const { path, ...facts } = await deps.processor.prepare(kind, file, work, sending.prepare)
  const typing = readFlag(body.typing_simulation)
  const presence = readFlag(body.presence_simulation)
  const sent = await deps.sessions.send(deviceId, {
    chat,
    content: {
      kind: 'media',
      upload: async (connection) => {
        const uploaded = await connection.media.upload(kind, path)
        return { kind: 'media', media: kind, file: uploaded, ...facts, ...more?.(file) }
      },
    },
    ...(messageId === undefined ? {} : { messageId }),
    ...(body.reply_to_message_id === undefined ? {} : { replyToMessageId: body.reply_to_message_id }),
    ...(typing === undefined ? {} : { typingSimulation: typing }),
    ...(presence === undefined ? {} : { presenceSimulation: presence }),
  })
  return sentReply(sent)
}

export const sendMediaRoutes = (deps: SendMediaDeps): Route[] => {
  const send = sender(deps)
  const facts = (kind: MediaKind) =>
    ({
      method: 'POST',
      auth: 'jwt',
      tag: 'Messaging',
      params: ChatParams,
      bodyTypes: FORMS,
      upload: { maxBytes: MOST_BYTES[kind], what: WORD_FOR[kind] },
      idempotent: true,
      data: SentMessage,
      success: { example: SENT_EXAMPLE },
      errors: ERRORS,
    }) as const
  return [
    route({
      ...facts('image'),
      id: 'sendImage',
      path: '/chats/{chat_jid}/images',
      summary: 'Send an image',
      description:
        'JPEG, PNG or WebP; GIF, TIFF and AVIF are converted. It is turned upright, compressed when WHATSAPP_MEDIA_IMAGE_COMPRESSION says so, and never enlarged.',
      body: ImageBody,
      bodyExample: { url: 'https://example.com/picture.jpg', caption: 'Our new shop' },
      handler: ({ auth, params, body, request }) => {
        const caption = readCaption(body.caption)
        return send({
          deviceId: auth.device.deviceId,
          chatJid: params.chat_jid,
          messageId: request.messageId,
          kind: 'image',
          source: { ...body, file: request.file },
          body,
          more: () => ({ ...(caption ? { caption } : {}), viewOnce: isTrue(body.view_once) }),
        })
      },
    }),
    route({
      ...facts('video'),
      id: 'sendVideo',
      path: '/chats/{chat_jid}/videos',
      summary: 'Send a video',
      description: 'As it is, with a thumbnail, its length and its size. WhatsApp plays MP4 with H.264 everywhere.',
      body: VideoBody,
      bodyExample: { url: 'https://example.com/clip.mp4', caption: 'A look around' },
      handler: ({ auth, params, body, request }) => {
        const caption = readCaption(body.caption)
        return send({
          deviceId: auth.device.deviceId,
          chatJid: params.chat_jid,
          messageId: request.messageId,
          kind: 'video',
          source: { ...body, file: request.file },
          body,
          more: () => ({
            ...(caption ? { caption } : {}),
            viewOnce: isTrue(body.view_once),
            gifPlayback: isTrue(body.gif_playback),
          }),
        })
      },
    }),
    route({
      ...facts('audio'),
      id: 'sendAudio',
      path: '/chats/{chat_jid}/audio',
      summary: 'Send audio or a voice note',
      description: 'A voice note is converted to OGG/Opus, mono, with its length and waveform, whatever it was before.',
      body: AudioBody,
      bodyExample: { url: 'https://example.com/greeting.mp3', voice_note: true },
      handler: ({ auth, params, body, request }) =>
        send({
          deviceId: auth.device.deviceId,
          chatJid: params.chat_jid,
          messageId: request.messageId,
          kind: 'audio',
          source: { ...body, file: request.file },
          body,
          prepare: { voiceNote: isTrue(body.voice_note) || isTrue(body.ptt) },
          more: () => ({ viewOnce: isTrue(body.view_once) }),
        }),
    }),
    route({
      ...facts('sticker'),
      id: 'sendSticker',
      path: '/chats/{chat_jid}/stickers',
      summary: 'Send a WebP sticker',
      description:
        'Any picture or clip of up to 10 seconds becomes a WebP sticker of 512 by 512; what moves keeps moving.',
      body: StickerBody,
      bodyExample: { url: 'https://example.com/smile.png', pack_name: 'Smiles' },
      handler: ({ auth, params, body, request }) =>
        send({
          deviceId: auth.device.deviceId,
          chatJid: params.chat_jid,
          messageId: request.messageId,
          kind: 'sticker',
          source: { ...body, file: request.file },
          body,
          prepare: {
            pack: {
              name: body.pack_name ?? 'Stickers',
              publisher: body.pack_publisher ?? 'Parley',
              emojis: (body.emojis ?? '').split(',').flatMap((emoji) => (emoji.trim() ? [emoji.trim()] : [])),
            },
          },
        }),
    }),
    route({
      ...facts('document'),
      id: 'sendDocument',
      path: '/chats/{chat_jid}/documents',
      summary: 'Send a file',
      description: 'Any file, byte for byte; its type is found out from its content.',
      body: DocumentBody,
      bodyExample: { url: 'https://example.com/price-list.pdf', filename: 'Preisliste.pdf' },
      handler: ({ auth, params, body, request }) => {
        const caption = readCaption(body.caption)
        return send({
          deviceId: auth.device.deviceId,
          chatJid: params.chat_jid,
          messageId: request.messageId,
          kind: 'document',
          source: { ...body, file: request.file },
          body,
          more: (file) => ({
            fileName: cleanFileName(body.filename) ?? cleanFileName(file.fileName) ?? 'file',
            ...(caption ? { caption } : {}),
          }),
        })
      },
    }),
  ]
}
