import { type Readable, Transform, type TransformCallback, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Agent, request } from 'undici'
import { diskFailure, isParleyError, messageOf, ParleyError } from '../kernel/errors.ts'
import { formatSize } from '../kernel/sizes.ts'
import type { AddressGuard } from './address-guard.ts'
import { type GuardedDial, guardedAgent } from './guarded-agent.ts'

export interface Fetch {
  /** As the caller gave it. */
  readonly url: string
  /** The caller's field, for refusals. */
  readonly field: string
  readonly maxBytes: number
  readonly timeoutMs: number
  /** A body beyond `maxBytes` is cut off there instead of refused. */
  readonly cut?: boolean
}

export interface Fetched {
  /** Where it was found in the end. */
  readonly url: URL
  readonly contentType: string
}

const MOST_REDIRECTS = 3

/** Gets what a user's URL leads to, from outside only: each address on the way is checked as a webhook's is. */
export class Fetcher implements AsyncDisposable {
  readonly #guard: AddressGuard
  readonly #agent: Agent

  constructor(parts: GuardedDial) {
    this.#guard = parts.guard
    this.#agent = guardedAgent(parts)
  }

  /** Writes the body into `sink`. @throws bad_request naming the field, too_large */
  async get({ url: given, field, maxBytes, timeoutMs, cut = false }: Fetch, sink: Writable): Promise<Fetched> {
    const signal = AbortSignal.timeout(timeoutMs)
    try {
      let url = this.#guard.checkUrl(given, field)
      for (let hop = 0; hop <= MOST_REDIRECTS; hop++) {
        const response = await request(url, {
          dispatcher: this.#agent,
          signal,
          headers: { 'user-agent': 'WhatsApp/2 (Parley)', accept: '*/*', 'accept-encoding': 'identity' },
        })
        const { statusCode, headers, body } = response
        // a body that nobody wants must not be able to break anything
        body.on('error', () => undefined)
        const { location } = headers
        if (statusCode >= 300 && statusCode < 400 && typeof location === 'string' && URL.canParse(location, url.href)) {
          body.destroy()
          url = this.#guard.checkUrl(new URL(location, url).href, field)
          continue
        }
        if (statusCode !== 200) {
          body.destroy()
          throw bad(field, `answered ${statusCode}`)
        }
        if (!cut && Number(headers['content-length'] ?? 0) > maxBytes) {
          body.destroy()
          throw tooLarge(field, maxBytes)
        }
        await pipeline(body as Readable, new Bound(maxBytes, cut ? undefined : tooLarge(field, maxBytes)), sink, {
          signal,
        })
        return { url, contentType: String(headers['content-type'] ?? '') }
      }
      throw bad(field, `leads on more than ${MOST_REDIRECTS} times`)
    } catch (error) {
      sink.destroy()
      if (isParleyError(error)) throw error
      if (signal.aborted) throw bad(field, `did not answer within ${timeoutMs / 1000} s`)
      throw diskFailure(error) ?? bad(field, `cannot be fetched: ${messageOf(error)}`)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy()
  }
}

/** Lets so many bytes through; more are an error, or nobody's loss. */
class Bound extends Transform {
  readonly #most: number
  readonly #refusal: ParleyError | undefined
  #bytes = 0

  constructor(most: number, refusal: ParleyError | undefined) {
    super()
    this.#most = most
    this.#refusal = refusal
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback) {
    const room = Math.max(0, this.#most - this.#bytes)
    this.#bytes += chunk.length
    if (chunk.length <= room) return callback(null, chunk)
    if (this.#refusal) return callback(this.#refusal)
    callback(null, chunk.subarray(0, room))
  }
}

const bad = (field: string, why: string): ParleyError => new ParleyError('bad_request', `${field}: ${why}`, { field })

const tooLarge = (field: string, limit: number): ParleyError =>
  new ParleyError('too_large', `${field}: what is there is larger than ${formatSize(limit)}`, {
    field,
    data: { limit_bytes: limit },
  })
