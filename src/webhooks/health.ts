import { webhookPaused, webhookResumed } from '../events/catalogue/webhook.ts'
import { draft, type EventDraft } from '../events/draft.ts'
import type { Clock } from '../kernel/clock.ts'
import { messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/logger.ts'
import type { WebhookHealth, WebhookRepository } from '../storage/index.ts'
import type { HealthWatch } from './lane.ts'
import type { Subscription, Subscriptions } from './subscriptions.ts'

/** A failure that is shorter than this is not worth a write. */
const REMEMBER_AFTER_MS = 60_000
/** Of an endpoint that hardly gets any events, so many must have failed. */
const FAILURES_TO_PAUSE = 10

interface Failing {
  readonly since: number
  count: number
  /** The database knows. */
  remembered: boolean
  /** A write is under way. */
  writing: boolean
}

interface Dependencies {
  readonly webhooks: Pick<WebhookRepository, 'setHealth'>
  readonly subscriptions: Pick<Subscriptions, 'get' | 'set'>
  /** Puts events into a device's log; of none, into that of all devices alone. */
  readonly announce: (deviceId: string | undefined, drafts: readonly EventDraft[]) => Promise<unknown>
  readonly clock: Pick<Clock, 'now'>
  readonly logger: Logger
  /** Nothing but failure for so long pauses an endpoint: WEBHOOK_MAX_AGE, so that nothing is given up before. */
  readonly pauseAfterMs: number
}

/**
 *   well --failure--> failing --for `pauseAfterMs`, and nothing delivered--> paused --resume()--> well
 *     ^                  |
 *     +----delivered-----+
 *
 * How long an endpoint has been failing outlives a restart. Paused endpoints are not tried; their events are entered and
 * wait until they are too old, and can be put in line again from the dead letters.
 */
export class EndpointHealth implements HealthWatch {
  readonly #parts: Dependencies
  readonly #failing = new Map<number, Failing>()

  constructor(parts: Dependencies) {
    this.#parts = parts
  }

  delivered(webhookId: number): void {
    const failing = this.#failing.get(webhookId)
    const known = this.#parts.subscriptions.get(webhookId)?.failingSince !== undefined
    if (!failing && !known) return
    this.#failing.delete(webhookId)
    if (known || failing?.remembered) this.#write(webhookId, { failingSince: undefined, pausedAt: undefined })
  }

  failed(webhookId: number, error: string): void {
    const { clock, pauseAfterMs, subscriptions } = this.#parts
    const now = clock.now()
    const subscription = subscriptions.get(webhookId)
    if (!subscription || subscription.pausedAt !== undefined) return
    const failing = this.#failing.get(webhookId) ?? {
      since: subscription.failingSince ?? now,
      count: 0,
      remembered: subscription.failingSince !== undefined,
      writing: false,
    }
    this.#failing.set(webhookId, failing)
    failing.count += 1
    if (failing.writing) return
    if (now - failing.since >= pauseAfterMs && failing.count >= FAILURES_TO_PAUSE)
      this.#pause(subscription, failing, error, now)
    else if (!failing.remembered && now - failing.since >= REMEMBER_AFTER_MS)
      this.#write(webhookId, { failingSince: failing.since, pausedAt: undefined }, failing)
  }

  /** Is tried again from now on. False when it was not paused. @throws storage_unavailable */
  async resume(subscription: Subscription): Promise<boolean> {
    if (subscription.pausedAt === undefined) return false
    this.#failing.delete(subscription.id)
    await this.#store(subscription.id, { failingSince: undefined, pausedAt: undefined })
    const { announce, clock } = this.#parts
    const now = clock.now()
    const payload = { ...factsOf(subscription), paused_at: iso(subscription.pausedAt) }
    await announce(subscription.deviceId, [draft(webhookResumed, payload, { occurredAt: now })])
    return true
  }

  #pause(subscription: Subscription, failing: Failing, error: string, now: number): void {
    const { announce, logger } = this.#parts
    const payload = {
      ...factsOf(subscription),
      failing_since: iso(failing.since),
      paused_at: iso(now),
      last_error: error,
    }
    const { deviceId, id } = subscription
    failing.writing = true
    this.#store(id, { failingSince: failing.since, pausedAt: now })
      .then(async () => {
        this.#failing.delete(id)
        logger.warn({ webhookId: id, reason: error }, 'webhook endpoint paused: it has failed for too long')
        await announce(deviceId, [draft(webhookPaused, payload, { occurredAt: now })])
      })
      .catch((failure: unknown) => this.#cannot(id, failure))
      .finally(() => {
        failing.writing = false
      })
  }

  #write(webhookId: number, health: WebhookHealth, failing?: Failing): void {
    if (failing) failing.writing = true
    this.#store(webhookId, health)
      .then(() => {
        if (failing) failing.remembered = true
      })
      .catch((error: unknown) => this.#cannot(webhookId, error))
      .finally(() => {
        if (failing) failing.writing = false
      })
  }

  async #store(webhookId: number, health: WebhookHealth): Promise<void> {
    const { subscriptions, webhooks } = this.#parts
    const row = await webhooks.setHealth(webhookId, health)
    // Deleted meanwhile: it must not come back into the picture.
    if (row && subscriptions.get(webhookId)) subscriptions.set(row)
  }

  #cannot(webhookId: number, error: unknown): void {
    this.#parts.logger.warn({ webhookId, error: messageOf(error) }, 'cannot record how a webhook endpoint is')
  }
}

const iso = (ms: number): string => new Date(ms).toISOString()

/** The host alone: paths and queries may hold a secret. */
const factsOf = ({ id, url }: Subscription) => ({ webhook_id: id, host: new URL(url).host })
