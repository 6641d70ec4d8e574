import { createWriteStream } from 'node:fs'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { Type } from 'typebox'
import type { LinkPreview } from '../../engine/index.ts'
import { NOT_BLANK, type Route, route } from '../../http/route.ts'
import { isParleyError, ParleyError } from '../../kernel/errors.ts'
import { parseChat } from '../../kernel/jid.ts'
import type { MediaProcessor } from '../../media/processor.ts'
import type { TempFiles, Workspace } from '../../media/temp-files.ts'
import type { Sessions } from '../../sessions/index.ts'
import type { Fetcher } from '../../webhooks/fetcher.ts'
import {
  ChatParams,
  LIMITED_ERRORS,
  SENT_EXAMPLE,
  SentMessage,
  sentReply,
  simulationFields,
  simulationOf,
} from '../messaging.ts'
import { readPage } from './page-facts.ts'
import { decodeBase64 } from './source.ts'

export interface LinkPreviewDeps {
  readonly sessions: Pick<Sessions, 'send'>
  readonly processor: Pick<MediaProcessor, 'prepare'>
  readonly fetcher: Pick<Fetcher, 'get'>
  readonly temp: TempFiles
}

const MOST_TEXT_BYTES = 65_536
/** The head of a page is at its beginning. */
const PAGE_BYTES = 512 * 1024
const PICTURE_BYTES = 5 * 1024 * 1024
/** A preview is an ornament: who is slower than this goes without. */
const PATIENCE_MS = 5_000

const Body = Type.Object(
  {
    text: Type.String({ pattern: NOT_BLANK, description: `Not blank, at most ${MOST_TEXT_BYTES} bytes of UTF-8` }),
    url: Type.String({
      pattern: NOT_BLANK,
      maxLength: 2048,
      description: 'The link that the card is for; http or https',
    }),
    title: Type.Optional(
      Type.String({ maxLength: 300, description: 'Without one the page is asked, from outside of this network only' }),
    ),
    description: Type.Optional(Type.String({ maxLength: 1000 })),
    thumbnail: Type.Optional(Type.String({ minLength: 1, description: 'A picture, base64' })),
    ...simulationFields,
  },
  { title: 'LinkPreviewMessage' },
)

export const linkPreviewRoutes = (deps: LinkPreviewDeps): Route[] => [
  route({
    id: 'sendLinkPreview',
    method: 'POST',
    path: '/chats/{chat_jid}/link-preview',
    auth: 'jwt',
    tag: 'Messaging',
    summary: 'Send text with custom link card',
    params: ChatParams,
    body: Body,
    bodyExample: { text: 'Look: https://example.com', url: 'https://example.com', title: 'Example Domain' },
    idempotent: true,
    data: SentMessage,
    success: { example: SENT_EXAMPLE },
    errors: LIMITED_ERRORS,
    handler: async ({ auth, params, body, request }) => {
      const chat = parseChat(params.chat_jid, 'chat_jid')
      if (Buffer.byteLength(body.text) > MOST_TEXT_BYTES)
        throw new ParleyError('bad_request', `text: must have at most ${MOST_TEXT_BYTES} bytes`, { field: 'text' })
      const link = readLink(body.url)
      await using work = await deps.temp.workspace()
      const given = body.thumbnail === undefined ? undefined : decodeBase64(body.thumbnail, 'thumbnail')
      const thumbnail = given && (await pictureOf(deps, given, work))
      const preview = body.title
        ? cardOf(body.url, body.title, body.description, thumbnail)
        : await askPage(deps, body, link, thumbnail, work)
      const sent = await deps.sessions.send(auth.device.deviceId, {
        chat,
        content: { kind: 'text', text: body.text, preview },
        ...(request.messageId === undefined ? {} : { messageId: request.messageId }),
        ...simulationOf(body),
      })
      return sentReply(sent)
    },
  }),
]

const readLink = (given: string): URL => {
  const link = URL.canParse(given) ? new URL(given) : undefined
  if (!link || !/^https?:$/.test(link.protocol))
    throw new ParleyError('bad_request', 'url: must be an http or https URL', { field: 'url' })
  return link
}

const cardOf = (
  matchedText: string,
  title: string,
  description: string | undefined,
  jpegThumbnail: Uint8Array | undefined,
): LinkPreview => ({
  matchedText,
  title,
  ...(description ? { description } : {}),
  ...(jpegThumbnail ? { jpegThumbnail } : {}),
})

/** A given picture must be one. @throws bad_request */
const pictureOf = async (deps: LinkPreviewDeps, bytes: Buffer, work: Workspace): Promise<Uint8Array | undefined> => {
  const path = work.path('thumbnail')
  await writeFile(path, bytes)
  try {
    return (await deps.processor.prepare('image', { path, size: bytes.length }, work)).jpegThumbnail
  } catch (error) {
    if (isParleyError(error, 'bad_request') || isParleyError(error, 'unsupported_media_type'))
      throw new ParleyError('bad_request', 'thumbnail: is not a picture that can be read', { field: 'thumbnail' })
    throw error
  }
}

/** What the page says; when it cannot be asked, the card has the name of its host. */
const askPage = async (
  deps: LinkPreviewDeps,
  { url, description }: { readonly url: string; readonly description?: string },
  link: URL,
  thumbnail: Uint8Array | undefined,
  work: Workspace,
): Promise<LinkPreview> => {
  try {
    const page = work.path('page')
    const found = await deps.fetcher.get(
      { url, field: 'url', maxBytes: PAGE_BYTES, timeoutMs: PATIENCE_MS, cut: true },
      createWriteStream(page),
    )
    if (!/^(text\/html|application\/xhtml)/i.test(found.contentType))
      return cardOf(url, link.host, description, thumbnail)
    const facts = readPage((await readFile(page)).toString('utf8'), found.url)
    const picture = thumbnail ?? (facts.image === undefined ? undefined : await askPicture(deps, facts.image, work))
    return cardOf(url, facts.title ?? link.host, description ?? facts.description, picture)
  } catch (error) {
    if (!isRefusal(error)) throw error
    return cardOf(url, link.host, description, thumbnail)
  }
}

const askPicture = async (deps: LinkPreviewDeps, url: string, work: Workspace): Promise<Uint8Array | undefined> => {
  try {
    const path = work.path('picture')
    await deps.fetcher.get(
      { url, field: 'url', maxBytes: PICTURE_BYTES, timeoutMs: PATIENCE_MS },
      createWriteStream(path),
    )
    return (await deps.processor.prepare('image', { path, size: (await stat(path)).size }, work)).jpegThumbnail
  } catch (error) {
    if (!isRefusal(error)) throw error
    return undefined
  }
}

const isRefusal = (error: unknown): boolean =>
  isParleyError(error, 'bad_request') ||
  isParleyError(error, 'too_large') ||
  isParleyError(error, 'unsupported_media_type')
