import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { type Agent, request as httpsRequest, type RequestOptions } from 'node:https'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type BaileysEventMap, decryptMediaRetryData, encryptMediaRetryRequest, proto, type WASocket } from 'baileys'
import type { Clock } from '../../kernel/clock.ts'
import { diskFailure, isParleyError, messageOf, ParleyError } from '../../kernel/errors.ts'
import { bareJid } from '../../kernel/jid.ts'
import type { DownloadOptions, EngineSignal, MediaKind, MediaPort, MediaRetry, UploadedMedia } from '../index.ts'
import type { AuthStore } from './auth-store.ts'
import { toEngineError } from './engine-errors.ts'
import { encryptedLength, encryptFile, hashFile, MediaDecipher } from './media-cipher.ts'
import { mediaPartOf } from './media-part.ts'
import { MediaServers } from './media-servers.ts'
import type { Transport } from './transport.ts'

/** Where messages lead that name no host of WhatsApp's; whatever else they name is not asked. */
const DOWNLOAD_HOST = 'mmg.whatsapp.net'
const ORIGIN = 'https://web.whatsapp.com'
/** Nothing moving for so long means that nothing will. */
const IDLE_MS = 30_000
/** A phone that is off answers when it is on again; the event tells then, the caller does not wait so long. */
const RETRY_WAIT_MS = 30_000
/** Requests whose answer is still out; the oldest are forgotten first. */
const MOST_RETRIES = 200

const UPLOAD_PATHS: Readonly<Record<MediaKind, string>> = {
  image: '/mms/image',
  sticker: '/mms/image',
  video: '/mms/video',
  audio: '/mms/audio',
  document: '/mms/document',
}

interface PendingRetry {
  readonly mediaKey: Uint8Array
  readonly resolve: (directPath: string) => void
  readonly reject: (error: Error) => void
}

type RetryUpdate = BaileysEventMap['messages.media-update'][number]

/** The media servers as seen from one session: own encryption, own requests, nothing of a file in memory but a chunk. */
export class MediaTransfer implements MediaPort {
  readonly #sock: WASocket
  readonly #auth: AuthStore
  readonly #transport: Transport
  readonly #agent: Agent
  readonly #clock: Clock
  readonly #signal: (signal: EngineSignal) => void
  readonly #servers: MediaServers
  readonly #retries = new Map<string, PendingRetry>()

  constructor(deps: {
    readonly sock: WASocket
    readonly auth: AuthStore
    readonly transport: Transport
    readonly agent: Agent
    readonly clock: Clock
    readonly signal: (signal: EngineSignal) => void
  }) {
    this.#sock = deps.sock
    this.#auth = deps.auth
    this.#transport = deps.transport
    this.#agent = deps.agent
    this.#clock = deps.clock
    this.#signal = deps.signal
    this.#servers = new MediaServers(deps)
    deps.sock.ev.on('messages.media-update', (updates) => {
      for (const update of updates) this.#onRetryAnswer(update)
    })
  }

  async upload(kind: MediaKind, path: string, signal?: AbortSignal): Promise<UploadedMedia> {
    const mediaKey = randomBytes(32)
    const hashes = await hashFile(path, kind, mediaKey)
    const token = hashes.fileEncSha256.toString('base64url')
    let failure: unknown
    // the second round has a new token: the first may have run out
    for (const fresh of [false, true]) {
      const { hosts, auth } = await this.#servers.leave(fresh)
      const own = this.#transport.mediaHost
      for (const host of own ? [own] : hosts) {
        signal?.throwIfAborted()
        try {
          const query = `auth=${encodeURIComponent(auth)}&token=${token}`
          const answer = await this.#post(host, `${UPLOAD_PATHS[kind]}/${token}?${query}`, {
            body: () => encryptFile(path, kind, mediaKey),
            length: encryptedLength(hashes.fileLength),
            signal,
          })
          return { ...answer, mediaKey, ...hashes }
        } catch (error) {
          if (signal?.aborted) throw error
          failure = error
        }
      }
    }
    throw failure
  }

  async download(content: Uint8Array, sink: Writable, { maxBytes, signal }: DownloadOptions): Promise<void> {
    const found = mediaPartOf(proto.Message.decode(content))
    const { mediaKey, fileSha256, fileEncSha256 } = found?.part ?? {}
    const place = found && placeOf(found.part)
    if (!found || mediaKey?.length !== 32 || fileSha256?.length !== 32 || !place) {
      sink.destroy()
      throw new ParleyError('not_found', 'the message has no file that could be downloaded')
    }
    const expected = { fileSha256, fileEncSha256: fileEncSha256 ?? new Uint8Array(0) }
    try {
      const response = await this.#ask(
        { method: 'GET', ...addressOf(this.#transport.mediaHost ?? place.host), path: place.path, signal },
        'downloading a file',
      )
      // 403: the signature in the path has run out
      if (response.statusCode === 403 || response.statusCode === 404 || response.statusCode === 410) {
        response.resume()
        throw gone(response.statusCode)
      }
      if (response.statusCode !== 200) throw await refusedBy(response, 'the download of a file')
      await pipeline(response, new MediaDecipher(found.kind, mediaKey, expected, maxBytes), sink, { signal })
    } catch (error) {
      sink.destroy()
      throw transferError(error, signal, 'downloading a file')
    }
  }

  async retry({ reference, mediaKey }: MediaRetry): Promise<{ directPath: Promise<string> }> {
    const { messageId, chat, sender, fromMe } = reference
    const key = {
      id: messageId,
      remoteJid: chat,
      fromMe,
      ...(chat.endsWith('@g.us') ? { participant: sender } : {}),
    }
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    // whoever asked may not wait for it
    promise.catch(() => undefined)
    const cancel = this.#clock.after(RETRY_WAIT_MS, () =>
      reject(new ParleyError('whatsapp_timeout', 'the phone did not answer; it may do so when it is online again')),
    )
    this.#retries.set(messageId, {
      mediaKey,
      resolve: (directPath) => {
        cancel()
        resolve(directPath)
      },
      reject: (error) => {
        cancel()
        reject(error)
      },
    })
    if (this.#retries.size > MOST_RETRIES) this.#retries.delete(this.#retries.keys().next().value!)
    try {
      await this.#sock.sendNode(encryptMediaRetryRequest(key, mediaKey, this.#auth.creds.me!.id))
    } catch (error) {
      cancel()
      this.#retries.delete(messageId)
      throw toEngineError(error, 'asking for a file once more')
    }
    return { directPath: promise }
  }

  #onRetryAnswer({ key, media, error }: RetryUpdate) {
    const messageId = key.id ?? ''
    const pending = this.#retries.get(messageId)
    this.#retries.delete(messageId)
    const tell = (code: number | undefined) =>
      this.#signal({
        type: 'media_retry',
        messageId,
        chat: bareJid(key.remoteJid ?? ''),
        sender: key.participant ? bareJid(key.participant) : undefined,
        fromMe: key.fromMe === true,
        error: code,
      })
    const { ResultType } = proto.MediaRetryNotification
    if (error || !media) {
      const code = Number((error?.data as { code?: string } | undefined)?.code) || ResultType.GENERAL_ERROR
      pending?.reject(gone(code))
      return tell(code)
    }
    if (!pending) return tell(undefined)
    try {
      const answer = decryptMediaRetryData(media as never, pending.mediaKey, messageId)
      if (answer.result === ResultType.SUCCESS && answer.directPath) {
        pending.resolve(answer.directPath)
        return tell(undefined)
      }
      pending.reject(gone(answer.result ?? ResultType.GENERAL_ERROR))
      tell(answer.result ?? ResultType.GENERAL_ERROR)
    } catch (cause) {
      pending.reject(new ParleyError('whatsapp_refused', `the phone's answer cannot be read: ${messageOf(cause)}`))
      tell(ResultType.DECRYPTION_ERROR)
    }
  }

  async #post(
    host: string,
    path: string,
    { body, length, signal }: { body: () => AsyncIterable<Buffer>; length: number; signal: AbortSignal | undefined },
  ): Promise<{ url: string; directPath: string }> {
    try {
      const headers = { 'content-type': 'application/octet-stream', 'content-length': length }
      const response = await this.#ask(
        { method: 'POST', ...addressOf(host), path, headers, signal },
        'uploading a file',
        Readable.from(body(), { objectMode: false, highWaterMark: 64 * 1024 }),
      )
      if (response.statusCode !== 200) throw await refusedBy(response, 'the upload of a file')
      const answer = JSON.parse(await textOf(response)) as { url?: string; direct_path?: string }
      if (typeof answer.direct_path !== 'string') throw new Error('its answer names no path')
      return { url: answer.url ?? `https://${DOWNLOAD_HOST}${answer.direct_path}`, directPath: answer.direct_path }
    } catch (error) {
      throw transferError(error, signal, 'uploading a file')
    }
  }

  /** One request; answers the response whose body has not been read yet. */
  async #ask(
    options: RequestOptions & { signal: AbortSignal | undefined },
    doing: string,
    body?: Readable,
  ): Promise<IncomingMessage> {
    const { signal, headers, ...rest } = options
    const outgoing = httpsRequest({
      ...rest,
      agent: this.#agent,
      headers: { origin: ORIGIN, ...(headers as Record<string, string | number>) },
      timeout: IDLE_MS,
      ...(signal ? { signal } : {}),
    })
    outgoing.on('timeout', () =>
      outgoing.destroy(new ParleyError('whatsapp_timeout', `the media server did not answer while ${doing}`)),
    )
    const answered = once(outgoing, 'response') as Promise<[IncomingMessage]>
    if (body) {
      // an answer may come before all is sent: then the rest is of no interest
      const sent = pipeline(body, outgoing)
      sent.catch(() => undefined)
      const [response] = await Promise.race([answered, sent.then(() => answered)])
      return response
    }
    outgoing.end()
    return (await answered)[0]
  }
}

/** Where a message's file lies. The sender wrote it: only WhatsApp's own hosts are asked, whatever it says. */
export const placeOf = ({ url, directPath }: { url?: string | null; directPath?: string | null }) => {
  const named = url && URL.canParse(url) ? new URL(url) : undefined
  const host = named && named.protocol === 'https:' && named.hostname.endsWith('.whatsapp.net') ? named.host : undefined
  if (directPath?.startsWith('/') && !/[\s\\]/.test(directPath))
    return { host: host ?? DOWNLOAD_HOST, path: directPath }
  return host && named ? { host, path: `${named.pathname}${named.search}` } : undefined
}

const addressOf = (host: string): { hostname: string; port: number } => {
  const { hostname, port } = new URL(`https://${host}`)
  return { hostname: hostname.replace(/^\[|\]$/g, ''), port: Number(port) || 443 }
}

const gone = (code: number): ParleyError =>
  new ParleyError('gone', 'WhatsApp does not have the file any more', { data: { whatsapp_code: code } })

const refusedBy = async (response: IncomingMessage, what: string): Promise<ParleyError> => {
  const words = (await textOf(response)).replace(/\s+/g, ' ').slice(0, 200)
  return new ParleyError(
    'whatsapp_refused',
    `the media server refused ${what}: ${response.statusCode} ${words}`.trim(),
    {
      data: { whatsapp_code: response.statusCode },
    },
  )
}

/** Answers are short; what is longer is cut. */
const textOf = async (response: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response) {
    chunks.push(chunk as Buffer)
    size += (chunk as Buffer).length
    if (size > 64 * 1024) break
  }
  return Buffer.concat(chunks).toString('utf8')
}

const transferError = (thrown: unknown, signal: AbortSignal | undefined, doing: string): unknown => {
  if (signal?.aborted || isParleyError(thrown)) return thrown
  return (
    diskFailure(thrown) ??
    new ParleyError('whatsapp_refused', `failed while ${doing}: ${messageOf(thrown)}`, { cause: thrown })
  )
}
