import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { WebSocketServer } from 'ws'
import type { Clock } from '../kernel/clock.ts'
import { isParleyError, messageOf, ParleyError } from '../kernel/errors.ts'
import type { Logger } from '../kernel/logger.ts'
import { type Line, SlowReader, SocketLine, StreamLine } from './live-lines.ts'
import type { Replier } from './replier.ts'
import type { LiveKind, LiveReply } from './route.ts'

/** Middle boxes give up on what is silent for a minute or less. */
const HEARTBEAT_MS = 15_000
/** Of one device, or of the admin. */
const MAX_PER_CALLER = 10
/** How long a stop waits for goodbyes. */
const CLOSE_MS = 2_000

/** A request that wants to become a WebSocket. */
export interface UpgradeOffer {
  readonly socket: Socket
  readonly head: Buffer
  readonly response: ServerResponse
}

interface Live {
  readonly line: Line
  readonly stop: AbortController
  readonly done: Promise<void>
}

/**
 * Replies without an end: server-sent events and WebSockets. Each sends one batch and asks for the next when that is on
 * its way, so that a reader costs one batch however slow it is; one that takes nothing for a while is dropped. Whether
 * the caller may still listen is asked again with every batch and every heartbeat.
 */
export class LiveConnections {
  readonly #replier: Replier
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #sockets = new WebSocketServer({ noServer: true, maxPayload: 1_024, perMessageDeflate: false })
  readonly #offers = new WeakMap<IncomingMessage, UpgradeOffer>()
  readonly #ids = new WeakMap<IncomingMessage, string>()
  readonly #open = new Set<Live>()
  /** By caller: connections that are open or asked for. */
  readonly #seats = new Map<string, number>()
  #closing = false

  constructor(parts: { readonly replier: Replier; readonly clock: Clock; readonly logger: Logger }) {
    this.#replier = parts.replier
    this.#clock = parts.clock
    this.#logger = parts.logger
    this.#sockets.on('headers', (headers, request) => {
      headers.push(`X-Request-ID: ${this.#ids.get(request)}`)
    })
  }

  offer(request: IncomingMessage, offer: UpgradeOffer): void {
    this.#offers.set(request, offer)
  }

  /**
   * From now on until its connection is over, or it has been refused, the request counts: of those that come while others
   * are still looked at, no more than the limit get through.
   * @throws upgrade_required, bad_request, rate_limited
   */
  admit(request: FastifyRequest, reply: FastifyReply, kind: LiveKind): void {
    if (kind === 'websocket') {
      if (!this.#offers.has(request.raw)) throw new ParleyError('upgrade_required', 'this is for WebSockets only')
      const { 'sec-websocket-key': key, 'sec-websocket-version': version } = request.headers
      // RFC 6455, 4.1: 16 bytes in base64, version 13.
      if (!/^[+/0-9A-Za-z]{22}==$/.test(String(key)) || version !== '13')
        throw new ParleyError('bad_request', 'this is not a well-formed WebSocket handshake (RFC 6455)')
    }
    const caller = callerOf(request)
    const taken = this.#seats.get(caller) ?? 0
    if (taken >= MAX_PER_CALLER)
      throw new ParleyError('rate_limited', `there are ${MAX_PER_CALLER} such connections already`, {
        retryAfterSeconds: 10,
      })
    const { raw } = request
    if (raw.socket.destroyed) return
    this.#seats.set(caller, taken + 1)
    let isTaken = true
    const leave = () => {
      if (!isTaken) return
      isTaken = false
      raw.socket.off('close', leave)
      const left = this.#seats.get(caller)! - 1
      if (left === 0) this.#seats.delete(caller)
      else this.#seats.set(caller, left)
    }
    // One that speaks WebSocket now, or waits behind another on its connection, does not hear of its connection's end.
    reply.raw.once('finish', leave).once('close', leave)
    raw.socket.once('close', leave)
  }

  /** `check` throws when the caller's credential has lost its worth. */
  start(request: FastifyRequest, reply: FastifyReply, { live }: LiveReply, check: () => void): void {
    reply.hijack()
    const offer = this.#offers.get(request.raw)
    if (!offer) {
      const line = new StreamLine(reply.raw, this.#clock)
      line.open(this.#replier.headOf(request, ['cache-control', 'no-store', 'x-accel-buffering', 'no']))
      this.#run(request, line, live, check)
      return
    }
    offer.response.detachSocket(offer.socket)
    this.#ids.set(request.raw, request.id)
    this.#sockets.handleUpgrade(request.raw, offer.socket, offer.head, (socket) => {
      this.#run(request, new SocketLine(socket, this.#clock), live, check)
    })
  }

  /** Says goodbye to everybody; resolves when they are gone. */
  async close(): Promise<void> {
    this.#closing = true
    const all = [...this.#open]
    for (const { stop } of all) stop.abort()
    const late = new AbortController()
    const limit = this.#clock.sleep(CLOSE_MS, late.signal).then(
      () => {
        for (const { line } of all) line.cut()
      },
      () => undefined,
    )
    await Promise.race([Promise.all(all.map(({ done }) => done)), limit])
    late.abort()
  }

  get size(): number {
    return this.#open.size
  }

  #run(request: FastifyRequest, line: Line, source: LiveReply['live'], check: () => void): void {
    const stop = new AbortController()
    if (this.#closing) stop.abort()
    line.onClose(() => stop.abort())
    const live: Live = { line, stop, done: this.#pump(request, line, source, check, stop) }
    this.#open.add(live)
    void live.done.finally(() => this.#open.delete(live))
  }

  async #pump(
    request: FastifyRequest,
    line: Line,
    source: LiveReply['live'],
    check: () => void,
    stop: AbortController,
  ): Promise<void> {
    let refused: unknown
    let sent = 0
    const beat = (): (() => void) =>
      this.#clock.after(HEARTBEAT_MS, () => {
        try {
          check()
          line.beat()
        } catch (error) {
          refused = error
          stop.abort()
        }
        cancel = beat()
      })
    let cancel = beat()
    let ended = 'the reader left'
    try {
      for await (const items of source(stop.signal)) {
        check()
        for (const item of items) {
          if (stop.signal.aborted) break
          await line.send(item)
          sent += 1
        }
      }
      if (refused) throw refused
      if (this.#closing) ended = 'the gateway stops'
      line.end(this.#closing ? 'closing' : 'ended')
    } catch (error) {
      ended = messageOf(error)
      if (error instanceof SlowReader) line.cut()
      else line.end(isParleyError(error) ? 'refused' : 'failed', error)
      if (!isParleyError(error) && !(error instanceof SlowReader))
        this.#logger.warn({ request_id: request.id, reason: ended }, 'a live connection failed')
    } finally {
      cancel()
      stop.abort()
    }
    // Whoever does not take a goodbye either.
    const cancelCut = this.#clock.after(CLOSE_MS, () => line.cut())
    await line.closed
    cancelCut()
    this.#replier.log(request, line.status, { sent, ended })
  }
}

const callerOf = (request: FastifyRequest): string => request.notes.deviceId ?? 'admin'
