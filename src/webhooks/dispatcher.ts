import type { Waker } from '../events/events.ts'
import type { Clock } from '../kernel/clock.ts'
import { messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/logger.ts'
import type { DeliveryRepository } from '../storage/index.ts'
import type { WebhookClient } from './client.ts'
import { type HealthWatch, Lane, type LaneContext } from './lane.ts'
import { Settler } from './settler.ts'
import { Slots } from './slots.ts'
import type { Subscriptions } from './subscriptions.ts'

/**
 * Delivers the log's events to webhooks, at least once and in order per chat. The rows are the truth; memory holds only
 * what is being delivered.
 *
 * One delivery:
 *
 *   pending --2xx-----------------------------------------------> success
 *      |------410, or the WEBHOOK_RETRY_LIMITth 3xx/4xx----------> failed   (its chat goes on)
 *      |------older than WEBHOOK_MAX_AGE-------------------------> failed
 *      |------3xx/4xx----> pending, due again after its own backoff
 *      +------no answer, 408, 425, 429, 5xx----> pending; the endpoint's circuit opens (circuit.ts)
 *
 * - A chat (order key of one webhook) waits on its head: the next row is handed out only when the head is success or
 *   failed, durably.
 * - An endpoint to which nothing could be delivered for long is paused (health.ts): its rows wait, and become too old.
 * - An endpoint has its own lane (lane.ts) with its own circuit and up to `workers` attempts at once; lanes share nothing
 *   but the global slots (slots.ts), of which slow and dead endpoints can take only a part.
 * - Nothing polls: lanes sleep until woken by a commit or by the time of their next retry.
 * - After a crash, rows that were under way are still pending: they are sent again, with the same event id.
 */
export interface DispatcherOptions {
  readonly deliveries: Pick<DeliveryRepository, 'due' | 'nextDue' | 'waiting' | 'settle' | 'expire'>
  readonly subscriptions: Pick<Subscriptions, 'get'>
  readonly client: WebhookClient
  readonly health?: HealthWatch
  readonly clock: Clock
  readonly logger: Logger
  /** WEBHOOKS_ENABLED: false delivers nothing. */
  readonly enabled: boolean
  /** WEBHOOK_WORKERS: attempts at one endpoint at once. */
  readonly workers: number
  /** WEBHOOK_RETRY_LIMIT */
  readonly retryLimit: number
  /** WEBHOOK_MAX_AGE */
  readonly maxAgeMs: number
  /** Of Parley, for the User-Agent. */
  readonly version: string
  /** How long a stop waits for attempts under way; those that last longer are made again after the next start. */
  readonly stopGraceMs?: number
  readonly slots?: Slots
  readonly random?: () => number
}

const UNWATCHED: HealthWatch = { delivered: () => undefined, failed: () => undefined }

/** How many rows become too old in one statement: a slice of some ms. */
const EXPIRY_BATCH = 1_000

export class Dispatcher implements Waker, AsyncDisposable {
  readonly #options: DispatcherOptions
  readonly #lanes = new Map<number, Lane>()
  readonly #context: LaneContext
  readonly #settler: Settler
  readonly #slots: Slots
  #state: 'new' | 'running' | 'stopping' | 'stopped' = 'new'
  #cancelSweep: (() => void) | undefined

  constructor(options: DispatcherOptions) {
    const { clock, deliveries, logger, maxAgeMs, random = Math.random, retryLimit } = options
    this.#options = options
    this.#slots = options.slots ?? new Slots(clock)
    this.#settler = new Settler({ deliveries, clock, logger })
    this.#context = {
      deliveries,
      subscriptions: options.subscriptions,
      client: options.client,
      health: options.health ?? UNWATCHED,
      settler: this.#settler,
      slots: this.#slots,
      clock,
      logger,
      policy: { retryLimit, maxAgeMs, random },
      workers: options.workers,
      version: options.version,
      stopping: () => this.#state !== 'running',
      stopped: () => this.#state === 'stopped',
    }
  }

  /** Takes up what the last run left. Call once, after the subscriptions are loaded. @throws storage_unavailable */
  async start(): Promise<void> {
    if (!this.#options.enabled || this.#state !== 'new') return
    this.#state = 'running'
    await this.#expire()
    this.#sweepLater()
    const waiting = await this.#options.deliveries.waiting()
    this.wake(waiting.map(({ webhookId }) => webhookId))
  }

  /** Deliveries for these webhooks were committed, or the webhooks changed. Never throws. */
  wake(webhookIds: Iterable<number>): void {
    if (this.#state !== 'running') return
    for (const id of webhookIds) {
      let lane = this.#lanes.get(id)
      if (!this.#options.subscriptions.get(id)) {
        lane?.close()
        this.#lanes.delete(id)
        continue
      }
      if (!lane) {
        lane = new Lane(id, this.#context)
        this.#lanes.set(id, lane)
      }
      lane.wake()
    }
  }

  /** A webhook was created, changed or deleted; `moved`: its URL is another one. */
  changed(webhookId: number, { moved }: { readonly moved: boolean }): void {
    if (moved) this.#lanes.get(webhookId)?.forgetHealth()
    this.wake([webhookId])
  }

  /** For metrics and health. */
  snapshot(): { readonly lanes: number; readonly failing: number; readonly underWay: number; readonly held: number } {
    const lanes = [...this.#lanes.values()]
    return {
      lanes: lanes.length,
      failing: lanes.filter((lane) => lane.isOpen).length,
      underWay: this.#slots.taken,
      held: lanes.reduce((sum, lane) => sum + lane.held, 0),
    }
  }

  /** Starts nothing more, lets attempts under way end within the grace, and writes their results. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === 'stopped' || this.#state === 'stopping') return
    this.#state = 'stopping'
    this.#cancelSweep?.()
    for (const lane of this.#lanes.values()) lane.close()
    const grace = new AbortController()
    const cancel = this.#options.clock.after(this.#options.stopGraceMs ?? 5_000, () => grace.abort())
    await this.#quiet(grace.signal)
    await this.#settler.idle(grace.signal)
    this.#state = 'stopped'
    cancel()
    this.#slots.close()
    this.#lanes.clear()
  }

  async #quiet(signal: AbortSignal): Promise<void> {
    if (this.#slots.taken === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    signal.addEventListener('abort', () => resolve(), { once: true })
    this.#slots.whenIdle(resolve)
    await promise
  }

  /** Also reaches rows of webhooks that are switched off or whose circuit is open. */
  async #expire(): Promise<void> {
    const { clock, deliveries, maxAgeMs } = this.#options
    for (;;) {
      const now = clock.now()
      const expired = await deliveries.expire(now - maxAgeMs, now, EXPIRY_BATCH)
      if (expired < EXPIRY_BATCH) return
    }
  }

  #sweepLater(): void {
    const { clock, logger, maxAgeMs } = this.#options
    // A row is given up at most an eighth of its time, or an hour, late.
    this.#cancelSweep = clock.after(Math.min(maxAgeMs / 8, 3_600_000), () => {
      this.#expire().catch((error: unknown) =>
        logger.warn({ error: messageOf(error) }, 'cannot give up old webhook deliveries; trying again later'),
      )
      if (this.#state === 'running') this.#sweepLater()
    })
  }
}
