// The media servers over HTTP: uploads are checked as WhatsApp's are, downloads know ranges.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { sha256 } from '../crypto/symmetric.ts'
import type { ProblemLog } from '../service/problem-log.ts'
import { type MediaDepot, type StoredMedia, UPLOAD_TYPES, type UploadType } from './media-depot.ts'

const MAX_UPLOAD_BYTES = 256 * 1024 * 1024
/** As WhatsApp's own are called; clients are told another way to reach them by configuration. */
const PUBLIC_HOST = 'mmg.whatsapp.net'

export interface MediaServerOptions {
  readonly depot: MediaDepot
  readonly log: ProblemLog
}

export class MediaServer {
  readonly #depot: MediaDepot
  readonly #log: ProblemLog

  constructor({ depot, log }: MediaServerOptions) {
    this.#depot = depot
    this.#log = log
  }

  /** Answers requests that are for a media server; false for all others. */
  handle(request: IncomingMessage, response: ServerResponse): boolean {
    const { url = '/', method } = request
    if (url.startsWith('/mms/') || url.startsWith('/newsletter/')) {
      this.#upload(request, response).catch((error: unknown) => {
        this.#log.add('internal', 'media', String(error))
        response.destroy()
      })
      return true
    }
    if (!url.startsWith('/v/')) return false
    if (method === 'GET' || method === 'HEAD') this.#download(request, response)
    else refuse(response, 405, 'method not allowed')
    return true
  }

  async #upload(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'https://sandbox')
    const [, type, token] = /^\/mms\/([\w-]+)\/([\w-]+)=*$/.exec(pathname) ?? []
    const bad = (status: number, text: string) => {
      this.#log.add(status === 401 ? 'refused' : 'malformed', 'media', `upload to ${pathname}: ${text}`)
      refuse(response, status, text)
    }
    if (request.method !== 'POST') return bad(405, 'an upload is a POST')
    if (type === undefined || !isUploadType(type)) return bad(404, 'there is no such kind of media')
    if (!this.#depot.isGranted(searchParams.get('auth') ?? '')) return bad(401, 'the auth token is not known')
    if (searchParams.get('token') !== token) return bad(400, 'the token is not the hash in the path')
    const chunks: Buffer[] = []
    let size = 0
    for await (const chunk of request) {
      size += (chunk as Buffer).length
      if (size > MAX_UPLOAD_BYTES) return bad(413, 'too large')
      chunks.push(chunk as Buffer)
    }
    const body = Buffer.concat(chunks)
    if (sha256(body).toString('base64url') !== token) return bad(400, 'the body does not have the hash in the path')
    if (type !== 'md-app-state' && (size < 26 || (size - 10) % 16 !== 0))
      return bad(400, 'the body is not an AES-CBC ciphertext with a MAC of 10 bytes')
    const directPath = this.#depot.add(type, body)
    const answer = { url: `https://${PUBLIC_HOST}${directPath}&mms3=true`, direct_path: directPath }
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
  }

  #download(request: IncomingMessage, response: ServerResponse) {
    const file = this.#depot.find(request.url ?? '')
    if (file === undefined) return refuse(response, 403, 'URL signature mismatch')
    if (file.gone !== undefined) return refuse(response, file.gone, 'gone')
    file.downloads += 1
    const body = damaged(file)
    const headers = {
      'content-type': 'application/octet-stream',
      'accept-ranges': 'bytes',
      etag: `"${file.encSha256.toString('base64url')}"`,
    }
    const range = readRange(request.headers.range, body.length)
    if (range === 'unsatisfiable') {
      response.writeHead(416, { 'content-range': `bytes */${body.length}` }).end()
      return
    }
    const part = range === undefined ? body : body.subarray(range.start, range.end + 1)
    response.writeHead(range === undefined ? 200 : 206, {
      ...headers,
      'content-length': part.length,
      ...(range !== undefined && { 'content-range': `bytes ${range.start}-${range.end}/${body.length}` }),
    })
    if (request.method === 'HEAD') response.end()
    else if (file.damage === 'break' || file.damage === 'stall') {
      const half = part.length >> 1
      if (file.damage === 'stall') file.stuck.push(() => response.end(part.subarray(half)))
      response.write(part.subarray(0, half), () => file.damage === 'break' && response.destroy())
    } else response.end(part)
  }
}

/** The file as it goes over the wire. */
function damaged({ body, damage }: StoredMedia): Buffer {
  if (damage === 'truncate') return body.subarray(0, body.length - 16)
  if (damage !== 'flip' && damage !== 'mac') return body
  const copy = Buffer.from(body)
  copy[damage === 'mac' ? copy.length - 1 : copy.length >> 1]! ^= 1
  return copy
}

const isUploadType = (type: string): type is UploadType => (UPLOAD_TYPES as readonly string[]).includes(type)

function refuse(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain', connection: 'close' }).end(text)
}

/** One range of RFC 9110, section 14.1.2; anything else is as good as none. */
function readRange(header: string | undefined, size: number) {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? []
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first)
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1)
  return start > end || start >= size ? 'unsatisfiable' : { start, end }
}
