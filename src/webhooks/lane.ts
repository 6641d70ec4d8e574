import type { Clock } from '../kernel/clock.ts'
import { messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/logger.ts'
import type { DeliveryRepository, DueDelivery } from '../storage/index.ts'
import { Circuit } from './circuit.ts'
import type { Answer, WebhookClient } from './client.ts'
import { describeAnswer, ownDelayMs, type RetryPolicy, resultOf, retryAfterMs, tooOld, verdictOf } from './outcome.ts'
import { buildRequest } from './request.ts'
import type { Settler } from './settler.ts'
import { SLOW_AFTER_MS, type Slot, type Slots } from './slots.ts'
import { isServed, type Subscription, type Subscriptions } from './subscriptions.ts'

/** Heads fetched at once from an endpoint that works: some 30 queries a second at 2 000 deliveries. */
const BATCH = 64
/** From one that may be dead: what is fetched stays in memory while the attempt lasts. */
const CAUTIOUS_BATCH = 4
const STORAGE_RETRY_MS = 1_000

/** Is told how deliveries end; `health.ts` pauses what fails for too long. Neither call throws or waits. */
export interface HealthWatch {
  delivered(webhookId: number): void
  /** `error` in words, without credentials. */
  failed(webhookId: number, error: string): void
}

/** What all lanes share. */
export interface LaneContext {
  readonly deliveries: Pick<DeliveryRepository, 'due' | 'nextDue'>
  readonly subscriptions: Pick<Subscriptions, 'get'>
  readonly client: WebhookClient
  readonly settler: Settler
  readonly health: HealthWatch
  readonly slots: Slots
  readonly clock: Clock
  readonly logger: Logger
  readonly policy: RetryPolicy
  /** Concurrent attempts at one endpoint. */
  readonly workers: number
  readonly version: string
  /** True: nothing new starts. */
  readonly stopping: () => boolean
  /** True: results come too late to be recorded; the deliveries stay as they were. */
  readonly stopped: () => boolean
}

/**
 * The deliveries of one webhook. Rows are fetched in small batches, heads of their chats only; the order keys of what was
 * fetched are `busy` until the result is durable, so that a chat's next row comes only after its head is done.
 *
 *   asleep --wake / timer--> fetching --rows--> delivering --result--> settling --durable--> fetching
 *      ^                        |                   |
 *      +------- no rows --------+                   +-- down --> circuit open: what was fetched is put back; timer
 */
export class Lane {
  readonly webhookId: number
  readonly #context: LaneContext
  readonly #circuit: Circuit
  readonly #busy = new Set<string>()
  #ready: DueDelivery[] = []
  #inFlight = 0
  #fetching = false
  /** There may be due rows that we have not fetched. */
  #stale = true
  /** There may be rows that wait for a time. */
  #delayed = true
  #fetchNotBefore = 0
  /** It has answered since the circuit was last open. */
  #proven = false
  #lastLatencyMs = 0
  #lastDeliveredAt = 0
  #timer: { readonly at: number; readonly cancel: () => void } | undefined

  constructor(webhookId: number, context: LaneContext) {
    this.webhookId = webhookId
    this.#context = context
    this.#circuit = new Circuit(context.policy.random)
  }

  get isOpen(): boolean {
    return this.#circuit.failures > 0
  }

  /** Rows in memory. */
  get held(): number {
    return this.#ready.length + this.#inFlight
  }

  /** Rows were committed, or the webhook changed. */
  wake(): void {
    this.#stale = true
    this.pump()
  }

  /** The webhook leads elsewhere now: what was learnt of the old endpoint does not count. */
  forgetHealth(): void {
    this.#circuit.reset()
    this.#proven = false
    this.#lastLatencyMs = 0
  }

  close(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#putBack()
  }

  /** Starts what may start now. Bound, because it is what `Slots` calls. */
  readonly pump = (): void => {
    const { clock, slots, stopping, subscriptions, workers } = this.#context
    if (stopping()) return
    const subscription = subscriptions.get(this.webhookId)
    if (!isServed(subscription)) {
      this.#putBack()
      return
    }
    const state = this.#circuit.state(clock.now())
    if (state === 'open') {
      this.#putBack()
      this.#wakeAt(this.#circuit.openUntil)
      return
    }
    const limit = state === 'closed' && this.#proven ? workers : 1
    while (this.#inFlight < limit && this.#ready.length > 0) {
      const slot = slots.take(state === 'half-open' || this.#lastLatencyMs > SLOW_AFTER_MS, this.pump)
      if (!slot) return
      void this.#deliver(this.#takeNext(state === 'half-open'), subscription, slot)
    }
    if (this.#stale && !this.#fetching && this.#ready.length < limit) void this.#fetch()
  }

  /**
   * The oldest; for a probe the one that was tried least, because an endpoint that cannot take one particular event
   * would otherwise look dead for as long as that one is retried.
   */
  #takeNext(probe: boolean): DueDelivery {
    let at = 0
    if (probe)
      this.#ready.forEach((item, index) => {
        if (item.delivery.attemptCount < this.#ready[at]!.delivery.attemptCount) at = index
      })
    return this.#ready.splice(at, 1)[0]!
  }

  async #fetch(): Promise<void> {
    const { clock, deliveries, logger } = this.#context
    const now = clock.now()
    if (now < this.#fetchNotBefore) return this.#wakeAt(this.#fetchNotBefore)
    this.#fetching = true
    this.#stale = false
    const limit = this.#proven ? BATCH : CAUTIOUS_BATCH
    try {
      const rows = await deliveries.due(this.webhookId, now, limit, this.#busy)
      for (const row of rows) this.#busy.add(keyOf(row))
      this.#ready.push(...rows)
      if (rows.length >= limit) this.#stale = true
      else if (this.#delayed) {
        // Cleared before asking: a result that becomes durable meanwhile sets it again.
        this.#delayed = false
        const next = await deliveries.nextDue(this.webhookId, now)
        if (next !== undefined) {
          this.#delayed = true
          this.#wakeAt(next)
        }
      }
    } catch (error) {
      logger.warn(
        { webhookId: this.webhookId, error: messageOf(error) },
        'cannot read webhook deliveries; trying again',
      )
      this.#stale = true
      this.#delayed = true
      this.#fetchNotBefore = clock.now() + STORAGE_RETRY_MS
    } finally {
      this.#fetching = false
    }
    this.pump()
  }

  async #deliver(item: DueDelivery, subscription: Subscription, slot: Slot): Promise<void> {
    const { clock, health, policy, settler, slots, stopped } = this.#context
    const { delivery } = item
    const startedAt = clock.now()
    this.#inFlight += 1
    const { generation } = this.#circuit
    const isTooOld = startedAt > delivery.createdAt + policy.maxAgeMs
    const answer = isTooOld ? undefined : await this.#attempt(item, subscription, startedAt)
    slots.release(slot)
    this.#inFlight -= 1
    if (stopped()) return

    const now = clock.now()
    const result = answer
      ? resultOf({ delivery, subscription, answer, now, notBefore: this.#learn(answer, item, generation, now) }, policy)
      : tooOld(delivery)
    if (result.state === 'success') health.delivered(this.webhookId)
    else if (answer) health.failed(this.webhookId, describeAnswer(answer, subscription))
    settler.add(result, () => {
      this.#busy.delete(keyOf(item))
      if (result.state === 'pending') this.#delayed = true
      // The chat's next row may have waited for this one.
      this.#stale = true
      this.pump()
    })
    this.pump()
  }

  async #attempt({ delivery, event }: DueDelivery, subscription: Subscription, now: number): Promise<Answer> {
    const { client, version } = this.#context
    try {
      return await client.post(
        buildRequest(subscription, event, delivery.attemptCount + 1, now, version, delivery.redelivered),
      )
    } catch (error) {
      return { kind: 'failed', latencyMs: 0, error: messageOf(error) }
    }
  }

  /** Takes what an answer says about the endpoint; answers when this delivery may be tried again if it must. */
  #learn(answer: Answer, { delivery }: DueDelivery, generation: number, now: number): number {
    const { logger, policy } = this.#context
    this.#lastLatencyMs = answer.latencyMs
    const verdict = verdictOf(answer)
    if (verdict !== 'down') {
      this.#proven = true
      if (verdict === 'delivered') this.#lastDeliveredAt = now
      if (this.#circuit.up(generation)) logger.info({ webhookId: this.webhookId }, 'webhook endpoint answers again')
      return now
    }
    const patience = answer.kind === 'answered' ? retryAfterMs(answer.retryAfter, now) : 0
    // It failed before, and others got through since: the endpoint is well and cannot take this one. The rest goes on.
    if (answer.kind === 'answered' && patience === 0 && delivery.attemptCount > 0 && !this.isOpen)
      if (this.#lastDeliveredAt > delivery.updatedAt) return now + ownDelayMs(delivery.attemptCount + 1, policy)
    const until = this.#circuit.down(generation, now, Math.min(patience, policy.maxAgeMs))
    this.#proven = false
    if (this.#circuit.failures === 1)
      logger.warn(
        {
          webhookId: this.webhookId,
          reason: answer.kind === 'failed' ? answer.error : `HTTP ${answer.status}`,
          retryInMs: until - now,
        },
        'webhook endpoint is failing; its events wait',
      )
    return until
  }

  /** Forgets what was fetched and not started: it is fetched again when it can be delivered. */
  #putBack(): void {
    if (this.#ready.length === 0) return
    for (const item of this.#ready) this.#busy.delete(keyOf(item))
    this.#ready = []
    this.#stale = true
  }

  #wakeAt(at: number): void {
    if (this.#timer && this.#timer.at <= at) return
    this.#timer?.cancel()
    const { clock } = this.#context
    const cancel = clock.after(Math.min(Math.max(1, at - clock.now()), MAX_TIMER_MS), () => {
      this.#timer = undefined
      this.#stale = true
      this.pump()
    })
    this.#timer = { at, cancel }
  }
}

/** setTimeout fires at once beyond 2^31 ms; a day is enough, the timer is set again. */
const MAX_TIMER_MS = 86_400_000

const keyOf = (item: DueDelivery): string => item.orderKey ?? ''
