import { Type } from 'typebox'
import { NOT_BLANK, ok, type Route, raw, route, STORAGE_AWAY } from '../../http/route.ts'
import { ParleyError } from '../../kernel/errors.ts'
import { bareJid, parseChat } from '../../kernel/jid.ts'
import type { Sessions } from '../../sessions/index.ts'
import type { MessageRepository } from '../../storage/index.ts'
import { CONNECTION_ERRORS, findOnlyMessage, MessageParams } from '../messaging.ts'
import type { LibraryFile, MediaLibrary } from './library.ts'
import { readRange } from './ranges.ts'
import { cleanFileName } from './schema.ts'
import { decodeBase64 } from './source.ts'

export interface DownloadDeps {
  readonly library: Pick<MediaLibrary, 'open' | 'retry'>
  readonly storage: { readonly messages: Pick<MessageRepository, 'describe' | 'find'> }
  readonly sessions: Pick<Sessions, 'connection'>
}

const MEDIA_KEY_BYTES = 32
const jid = (description: string) => Type.String({ minLength: 1, maxLength: 255, description })

export const downloadRoutes = (deps: DownloadDeps): Route[] => [
  route({
    id: 'getMessageMedia',
    method: 'GET',
    path: '/messages/{message_id}/media',
    auth: 'jwt',
    tag: 'Message Actions',
    summary: 'Get the file of a message, decrypted',
    description:
      'Downloaded from WhatsApp on the first call and kept on disk (MEDIA_STORE_MAX_SIZE). When WhatsApp has it no more, the phone is asked to upload it once more. `Range` is honoured.',
    params: MessageParams,
    query: Type.Object({
      chat_jid: Type.Optional(jid('The chat of the message; needed only when several chats have one of that id')),
    }),
    produces: ['application/octet-stream'],
    success: { description: 'The file, under its own media type; 206 for a range of it' },
    errors: [
      ...CONNECTION_ERRORS,
      { code: 'not_found', when: 'there is no such message, or no file in it' },
      {
        code: 'gone',
        when: 'the message was deleted for everybody, or neither WhatsApp nor the phone has its file any more',
      },
      { code: 'range_not_satisfiable', when: 'the range lies beyond the end of the file' },
      { code: 'too_large', when: 'the file is over 2 GiB' },
    ],
    handler: async ({ auth, params, query, request }) => {
      const { deviceId } = auth.device
      const row = await findOnlyMessage(deps.storage.messages, deviceId, params.message_id, query.chat_jid)
      const found = await deps.library.open(deviceId, row)
      const { file, facts, mimetype } = found
      const etag = `"${facts.sha256}"`
      const condition = request.header('if-range')
      const range =
        condition === undefined || condition === etag ? readRange(request.header('range'), file.size) : undefined
      const headers = {
        etag,
        'accept-ranges': 'bytes',
        'cache-control': 'private, max-age=0',
        'content-disposition': dispositionOf(found),
        // strangers made these files: whatever they are, nothing in them runs here
        'content-security-policy': "default-src 'none'; sandbox",
      }
      if (!range) return raw(mimetype, { length: file.size, open: () => file.read() }, { headers })
      const { start, end } = range
      return raw(
        mimetype,
        { length: end - start + 1, open: () => file.read(range) },
        { status: 206, headers: { ...headers, 'content-range': `bytes ${start}-${end}/${file.size}` } },
      )
    },
  }),
  route({
    id: 'retryMedia',
    method: 'POST',
    path: '/messages/media/retry-receipt',
    auth: 'jwt',
    tag: 'Message Actions',
    summary: 'Ask sender to re-upload media',
    description:
      'The phone answers when it is online; `media.retry` tells how. `GET /messages/{message_id}/media` does this by itself.',
    body: Type.Object(
      {
        chat_jid: jid('The chat of the message'),
        sender_jid: jid('Who wrote it'),
        message_id: Type.String({ pattern: NOT_BLANK, maxLength: 128 }),
        media_key: Type.String({ minLength: 1, maxLength: 128, description: 'Key of the file, base64' }),
      },
      { title: 'MediaRetry' },
    ),
    bodyExample: {
      chat_jid: '6281234567890@s.whatsapp.net',
      sender_jid: '6281234567890@s.whatsapp.net',
      message_id: '3EB0C431C26A1916E07E',
      media_key: 'q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=',
    },
    errors: [...CONNECTION_ERRORS.filter((error) => error !== STORAGE_AWAY), STORAGE_AWAY],
    handler: async ({ auth, body }) => {
      const { deviceId } = auth.device
      const chat = parseChat(body.chat_jid, 'chat_jid')
      const sender = parseChat(body.sender_jid, 'sender_jid')
      const mediaKey = decodeBase64(body.media_key, 'media_key')
      if (mediaKey.length !== MEDIA_KEY_BYTES)
        throw new ParleyError('bad_request', `media_key: must have ${MEDIA_KEY_BYTES} bytes`, { field: 'media_key' })
      const { account } = await deps.sessions.connection(deviceId)
      const own = [account?.jid, account?.lid].flatMap((name) => (name ? [bareJid(name)] : []))
      const row = await deps.storage.messages.find(deviceId, body.message_id, chat)
      const reference = { messageId: body.message_id, chat, sender, fromMe: own.includes(sender) }
      await deps.library.retry(deviceId, { reference, mediaKey }, row?.content ? row : undefined)
      return ok('Media retry receipt sent')
    },
  }),
]

/** Pictures, films and sounds are shown; what else there is, is saved. */
const dispositionOf = ({ facts, mimetype }: LibraryFile): string => {
  const shown = /^(image\/(?!svg)|video\/|audio\/)/.test(mimetype) ? 'inline' : 'attachment'
  const name = cleanFileName(facts.fileName)
  if (name === undefined) return shown
  // RFC 6266: the name in ASCII for old clients, and as it is for all others
  const ascii = name.replace(/[^\x20-\x7e]|["\\%]/g, '_')
  const exact = encodeURIComponent(name).replace(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
  return `${shown}; filename="${ascii}"; filename*=UTF-8''${exact}`
}
