// Files: sending them, looking at them, and letting the media server lose them.
import { readFile } from 'node:fs/promises'
import { DAMAGES, type Damage } from '../media/media-depot.ts'
import type { MediaKind } from '../media/media-encryption.ts'
import { forgetOldFiles, type OutgoingMedia } from '../phone/album.ts'
import { ApiError } from './api-error.ts'
import { type Context, findChat, findPerson } from './context.ts'
import { assertOnline, sent, to } from './message-routes.ts'
import { Bytes, type Route } from './router.ts'
import type { Fields } from './schema.ts'
import { OK, reply } from './views.ts'

const MAX_FILE_BYTES = 128 * 1024 * 1024
const MAX_BODY_BYTES = Math.ceil((MAX_FILE_BYTES * 4) / 3) + 65_536

const words = { type: 'string', maxLength: 4096 } as const
const number = { type: 'integer', minimum: 0 } as const
const flag = { type: 'boolean' } as const
const bytes = { type: 'string', maxLength: MAX_BODY_BYTES, description: 'base64' } as const

export function makeMediaRoutes(context: Context): Route[] {
  const { service } = context
  return [
    {
      method: 'POST',
      path: '/sandbox/people/{phone}/send-media',
      tag: 'media',
      summary: 'Send a file',
      description: 'Encrypted and uploaded as an app does it; nothing is checked about what is inside.',
      body: {
        type: 'object',
        properties: {
          to,
          kind: { type: 'string', enum: ['image', 'video', 'audio', 'document', 'sticker'] },
          base64: { ...bytes, description: 'the file' },
          file: { ...words, description: 'path of the file on this machine, instead of base64' },
          mimetype: { type: 'string', minLength: 1, maxLength: 200 },
          caption: words,
          file_name: words,
          seconds: number,
          width: number,
          height: number,
          voice_note: flag,
          view_once: flag,
          thumbnail_base64: { ...bytes, maxLength: 1_000_000 },
        },
        required: ['to', 'kind', 'mimetype'],
      },
      maxBodyBytes: MAX_BODY_BYTES,
      reply: reply({ message_id: { type: 'string' } }),
      refusals: {
        404: ['unknown_person'],
        409: ['phone_offline'],
        422: ['unknown_recipient', 'unknown_group', 'refused'],
        504: ['no_answer'],
      },
      handle: async ({ params, body }) => {
        const { phone } = findPerson(context, params.phone!)
        const chat = findChat(context, body.to as string)
        assertOnline(phone.online)
        return sent(phone.sendMedia(chat, await readOutgoing(body)))
      },
    },
    {
      method: 'GET',
      path: '/sandbox/people/{phone}/messages/{message_id}/media',
      tag: 'media',
      summary: 'The decrypted file of a message',
      reply: 'bytes',
      refusals: { 404: ['unknown_person', 'unknown_message', 'no_file'] },
      handle: ({ params }) => {
        const { phone } = findPerson(context, params.phone!)
        const message = phone.messages.findLast(({ messageId }) => messageId === params.message_id)
        if (message === undefined) throw new ApiError(404, 'unknown_message', `the phone has no ${params.message_id}`)
        const { media } = message
        if (media?.bytes === undefined) throw new ApiError(404, 'no_file', media?.fault ?? 'there is no file in it')
        return new Bytes(media.mimetype || 'application/octet-stream', media.bytes)
      },
    },
    {
      method: 'POST',
      path: '/sandbox/media/expire',
      tag: 'media',
      summary: 'Let the media server lose files: downloads get 404 or 410 from now on',
      body: {
        type: 'object',
        properties: {
          direct_path: { ...words, description: 'of one file; all that there are when absent' },
          status: { type: 'string', enum: ['404', '410'], description: '410 when absent' },
          tokens: { ...flag, description: 'also end all upload tokens' },
        },
      },
      reply: reply({ expired: number }),
      handle: ({ body }) => {
        if (body.tokens === true) service.media.revokeGrants()
        return { expired: service.media.expire(body.status === '404' ? 404 : 410, body.direct_path as string) }
      },
    },
    {
      method: 'POST',
      path: '/sandbox/media/damage',
      tag: 'media',
      summary: 'Let downloads go wrong from now on',
      body: {
        type: 'object',
        properties: {
          direct_path: { ...words, description: 'of one file; all that there are when absent' },
          damage: {
            type: 'string',
            enum: ['none', ...DAMAGES],
            description: 'flip: one bit; mac: of the MAC; truncate: the end is missing; break, stall: in the middle',
          },
        },
        required: ['damage'],
      },
      reply: reply({ damaged: number }),
      handle: ({ body }) => {
        const damage = body.damage === 'none' ? undefined : (body.damage as Damage)
        return { damaged: service.media.damage(damage, body.direct_path as string) }
      },
    },
    {
      method: 'POST',
      path: '/sandbox/media/blobs',
      tag: 'media',
      summary: 'Whether phones put history and app state on the media server, as they do when there is much of it',
      body: { type: 'object', properties: { used: flag }, required: ['used'] },
      reply: reply({ used: flag }),
      handle: ({ body }) => {
        service.media.takesBlobs = body.used === true
        return { used: service.media.takesBlobs }
      },
    },
    {
      method: 'POST',
      path: '/sandbox/people/{phone}/forget-files',
      tag: 'media',
      summary: 'Let a phone lose the files of its messages: it can upload none of them once more',
      reply: OK,
      refusals: { 404: ['unknown_person'] },
      handle: ({ params }) => {
        forgetOldFiles(findPerson(context, params.phone!).phone.messages.list(), 0)
        return { ok: true }
      },
    },
    {
      method: 'GET',
      path: '/sandbox/media',
      tag: 'media',
      summary: 'What is on the media server, still encrypted',
      reply: reply({
        files: {
          type: 'array',
          items: reply({
            direct_path: words,
            type: words,
            size: number,
            enc_sha256: { ...words, description: 'hex' },
            downloads: number,
          }),
        },
      }),
      handle: () => ({
        files: service.media.list().map(([direct_path, { type, body, encSha256, downloads }]) => ({
          direct_path,
          type,
          size: body.length,
          enc_sha256: encSha256.toString('hex'),
          downloads,
        })),
      }),
    },
  ]
}

async function readOutgoing(body: Fields): Promise<OutgoingMedia> {
  const { base64, file, thumbnail_base64 } = body as Readonly<Record<string, string | undefined>>
  if ((base64 === undefined) === (file === undefined))
    throw new ApiError(400, 'invalid_request', 'either base64 or file is needed')
  return {
    kind: body.kind as MediaKind,
    bytes: file === undefined ? Buffer.from(base64!, 'base64') : await readLocal(file),
    mimetype: body.mimetype as string,
    caption: body.caption as string | undefined,
    fileName: body.file_name as string | undefined,
    seconds: body.seconds as number | undefined,
    width: body.width as number | undefined,
    height: body.height as number | undefined,
    voiceNote: body.voice_note as boolean | undefined,
    viewOnce: body.view_once as boolean | undefined,
    thumbnail: thumbnail_base64 === undefined ? undefined : Buffer.from(thumbnail_base64, 'base64'),
  }
}

async function readLocal(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    throw new ApiError(400, 'invalid_request', `file: ${error instanceof Error ? error.message : String(error)}`)
  }
}
