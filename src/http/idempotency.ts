import { createHash } from 'node:crypto'
import type { Clock } from '../kernel/clock.ts'
import { messageOf, ParleyError } from '../kernel/errors.ts'
import { newMessageId } from '../kernel/ids.ts'
import type { Logger } from '../kernel/logger.ts'
import type { IdempotencyRepository, IdempotencyScope } from '../storage/index.ts'
import type { Reply } from './route.ts'

export const IDEMPOTENCY_KEY = 'idempotency-key'
/** On a reply that was given before. */
export const REPLAYED = 'idempotency-replayed'

/** How long a key is remembered, ms. */
export const IDEMPOTENCY_KEPT_MS = 24 * 3600_000

/** What an uploaded file stands for in a fingerprint: its hash, not its bytes or the boundary around them. */
export const FINGERPRINT = Symbol('fingerprint')

/** Visible ASCII (RFC 9110 section 5.5), so that every client and log can carry it. */
const KEY = /^[\x21-\x7e]{1,255}$/

/** The key of a request, if it has one. @throws bad_request */
export const idempotencyKeyOf = (header: string | undefined): string | undefined => {
  if (header === undefined) return undefined
  if (KEY.test(header)) return header
  throw new ParleyError('bad_request', 'Idempotency-Key: must have 1 to 255 visible ASCII characters', {
    field: 'Idempotency-Key',
  })
}

/** The same for the same request, whatever the order of its fields or the form of its body. */
export const fingerprintOf = (input: {
  readonly params: unknown
  readonly query: unknown
  readonly body: unknown
}): string =>
  createHash('sha256')
    .update(canonical([input.params ?? {}, input.query ?? {}, input.body ?? {}]))
    .digest('hex')

const canonical = (value: unknown): string => {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  if (FINGERPRINT in value) return `file(${String(value[FINGERPRINT])})`
  if (value instanceof Uint8Array) return `file(${createHash('sha256').update(value).digest('hex')})`
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`
  const fields = Object.entries(value).filter(([, field]) => field !== undefined)
  return `{${fields
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, field]) => `${JSON.stringify(name)}:${canonical(field)}`)
    .join()}}`
}

export interface KeyedRequest extends IdempotencyScope {
  readonly fingerprint: string
}

export interface KeyedReply {
  readonly reply: Reply<unknown>
  /** True when it was given before. */
  readonly replayed: boolean
}

interface Running {
  readonly fingerprint: string
  readonly reply: Promise<Reply<unknown>>
}

/**
 * Carries out requests with an Idempotency-Key once.
 *
 *   new key -> in flight (committed, with the id for its message) -> reply kept: repeats get it for 24 h
 *                    |-> failed: forgotten, unless its message was accepted after all
 *                    |-> cut off by a crash: the repeat goes on under the same message id
 *
 * One process owns the devices, so whoever is in flight in another run is not any more.
 */
export class Idempotency {
  readonly #repository: IdempotencyRepository
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #running = new Map<string, Running>()

  constructor(deps: { readonly repository: IdempotencyRepository; readonly clock: Clock; readonly logger: Logger }) {
    this.#repository = deps.repository
    this.#clock = deps.clock
    this.#logger = deps.logger
  }

  /** @throws idempotency_mismatch, and whatever `handle` throws; a repeat that waited for the first fails as that does */
  async run(
    request: KeyedRequest,
    handle: (messageId: string) => Reply<unknown> | Promise<Reply<unknown>>,
  ): Promise<KeyedReply> {
    const name = JSON.stringify([request.deviceId, request.route, request.key])
    const running = this.#running.get(name)
    if (running) {
      if (running.fingerprint !== request.fingerprint) throw mismatch()
      return { reply: await running.reply, replayed: true }
    }
    let replayed = false
    const reply = this.#runOnce(request, handle, () => {
      replayed = true
    })
    this.#running.set(name, { fingerprint: request.fingerprint, reply })
    try {
      return { reply: await reply, replayed }
    } finally {
      this.#running.delete(name)
    }
  }

  async #runOnce(
    request: KeyedRequest,
    handle: (messageId: string) => Reply<unknown> | Promise<Reply<unknown>>,
    onReplay: () => void,
  ): Promise<Reply<unknown>> {
    const fresh = newMessageId()
    const expiredBefore = this.#clock.now() - IDEMPOTENCY_KEPT_MS
    const known = await this.#repository.claim({ ...request, messageId: fresh }, expiredBefore)
    if (known && known.fingerprint !== request.fingerprint) throw mismatch()
    if (known?.reply !== undefined) {
      onReplay()
      return JSON.parse(known.reply) as Reply<unknown>
    }
    let reply: Reply<unknown>
    try {
      reply = await handle(known?.messageId ?? fresh)
    } catch (error) {
      await this.#quietly(request, this.#repository.release(request))
      throw error
    }
    // where this fails the message is found by its id
    await this.#quietly(request, this.#repository.finish(request, JSON.stringify(reply)))
    return reply
  }

  async #quietly({ deviceId, route }: KeyedRequest, work: Promise<void>): Promise<void> {
    try {
      await work
    } catch (error) {
      this.#logger.warn({ device_id: deviceId, route, reason: messageOf(error) }, 'an idempotency key was not settled')
    }
  }
}

const mismatch = (): ParleyError =>
  new ParleyError('idempotency_mismatch', 'this Idempotency-Key was used with another request', {
    field: 'Idempotency-Key',
  })
