import { testPing } from '../../events/catalogue/ping.ts'
import { draft } from '../../events/draft.ts'
import type { Events } from '../../events/events.ts'
import type { Clock } from '../../kernel/clock.ts'
import { ParleyError } from '../../kernel/errors.ts'
import { newSecret } from '../../kernel/ids.ts'
import type { DeadLetter, DeliveryRow, Storage, WebhookChange, WebhookRow, WebhookStats } from '../../storage/index.ts'
import type { AddressGuard } from '../../webhooks/address-guard.ts'
import type { Dispatcher } from '../../webhooks/dispatcher.ts'
import type { EndpointHealth } from '../../webhooks/health.ts'
import type { Probe, ProbeResult } from '../../webhooks/probe.ts'
import type { Subscriptions } from '../../webhooks/subscriptions.ts'
import { checkEvents, checkHeaders } from './input.ts'
import { LOG_LENGTH, STATS_WINDOW } from './schema.ts'

export interface WebhookServiceParts {
  readonly storage: Pick<Storage, 'webhooks' | 'deliveries'>
  readonly subscriptions: Pick<Subscriptions, 'set' | 'get' | 'delete' | 'enabled'>
  readonly events: Pick<Events, 'append'>
  readonly dispatcher: Pick<Dispatcher, 'changed'>
  readonly health: Pick<EndpointHealth, 'resume'>
  readonly probe: Probe
  readonly guard: Pick<AddressGuard, 'checkUrl'>
  readonly clock: Pick<Clock, 'now'>
  readonly maxWebhooksPerDevice: number
}

/** What a caller may say about a webhook; absent = unchanged, or the default at creation. */
export interface WebhookInput {
  readonly url?: string
  readonly events?: readonly string[]
  readonly secret?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly active?: boolean
}

/** As many webhooks of every device there may be. */
const MAX_GLOBAL = 20
/** Dead letters that are put in line in one transaction. */
const REDRIVE_SLICE = 1_000

/** A device's id; undefined = of every device. */
type Owner = string | undefined

/** Webhooks of one owner. Every write is followed by the in-memory picture that events and deliveries go by. */
export class WebhookService {
  readonly #parts: WebhookServiceParts

  constructor(parts: WebhookServiceParts) {
    this.#parts = parts
  }

  list(deviceId: Owner): Promise<readonly WebhookRow[]> {
    return this.#parts.storage.webhooks.list(deviceId)
  }

  /** @throws not_found */
  async get(deviceId: Owner, id: number): Promise<WebhookRow> {
    return found(await this.#parts.storage.webhooks.get(deviceId, id), id)
  }

  /** @throws bad_request naming the field; conflict when the device has as many as it may have */
  async create(deviceId: Owner, input: WebhookInput & { readonly url: string }): Promise<WebhookRow> {
    const { storage, clock, maxWebhooksPerDevice, subscriptions } = this.#parts
    const given = this.#check(input)
    const limit = deviceId === undefined ? MAX_GLOBAL : maxWebhooksPerDevice
    const row = await storage.webhooks.create(
      { deviceId, events: [], active: true, secret: newSecret(), headers: {}, ...given, url: given.url! },
      limit,
      clock.now(),
    )
    if (row === 'limit_reached')
      throw new ParleyError('conflict', `there are ${limit} webhooks already, as many as there may be`, {
        data: { limit },
      })
    subscriptions.set(row)
    return row
  }

  /** Changes what is named and nothing else. @throws bad_request naming the field; not_found */
  async change(deviceId: Owner, id: number, input: WebhookInput): Promise<void> {
    const { storage, clock, dispatcher, subscriptions } = this.#parts
    const change = this.#check(input)
    const before = await this.get(deviceId, id)
    if (Object.keys(change).length === 0) return
    const row = found(await storage.webhooks.update(deviceId, id, change, clock.now()), id)
    subscriptions.set(row)
    const moved = row.url !== before.url
    if (moved) {
      await this.#unpause(id)
      await storage.deliveries.hasten(id, clock.now())
    }
    dispatcher.changed(id, { moved })
  }

  /** With its deliveries. @throws not_found */
  async delete(deviceId: Owner, id: number): Promise<void> {
    const { storage, dispatcher, subscriptions } = this.#parts
    if (!(await storage.webhooks.delete(deviceId, id))) throw notFound(id)
    subscriptions.delete(id)
    dispatcher.changed(id, { moved: false })
  }

  /** The newest attempts. @throws not_found */
  async logs(deviceId: Owner, id: number): Promise<readonly DeliveryRow[]> {
    await this.get(deviceId, id)
    return this.#parts.storage.deliveries.logs(id, LOG_LENGTH)
  }

  /**
   * Puts a `test.ping` into the log and into the queue of this webhook alone. Answers the event's id.
   * @throws not_found; conflict when nothing would be sent
   */
  async test(deviceId: string, id: number): Promise<string> {
    const { clock, events } = this.#parts
    const { active, pausedAt } = await this.get(deviceId, id)
    this.#mustBeEnabled()
    if (!active) throw new ParleyError('conflict', `webhook ${id} is not active: set "active" to true first`)
    if (pausedAt !== undefined) throw new ParleyError('conflict', `webhook ${id} is paused: resume it first`)
    const ping = draft(testPing, testPing.example, { occurredAt: clock.now() })
    const [row] = await events.append(deviceId, [ping], { webhookId: id })
    return row!.eventId
  }

  /** Sends a `test.ping` to a webhook of every device, outside every log, and says how it went. @throws not_found */
  async probe(id: number): Promise<ProbeResult> {
    return this.#parts.probe(await this.get(undefined, id))
  }

  /** @throws not_found */
  async deadLetters(
    deviceId: Owner,
    id: number,
    before: number | undefined,
    limit: number,
  ): Promise<readonly DeadLetter[]> {
    await this.get(deviceId, id)
    return this.#parts.storage.deliveries.deadLetters(id, before, limit)
  }

  /** Puts dead letters in line again. @throws bad_request, not_found; conflict when nothing would be sent */
  async redrive(
    deviceId: Owner,
    id: number,
    { ids, all }: { readonly ids: readonly number[] | undefined; readonly all: boolean | undefined },
  ): Promise<{ readonly requeued: number; readonly skipped: readonly number[] }> {
    if ((ids === undefined) === (all !== true))
      throw new ParleyError('bad_request', 'delivery_ids: name them, or say "all": true, but not both', {
        field: 'delivery_ids',
      })
    const { active, pausedAt } = await this.get(deviceId, id)
    this.#mustBeEnabled()
    if (!active) throw new ParleyError('conflict', `webhook ${id} is not active: set "active" to true first`)
    if (pausedAt !== undefined) throw new ParleyError('conflict', `webhook ${id} is paused: resume it first`)
    const { clock, dispatcher, storage } = this.#parts
    if (ids) {
      const wanted = [...new Set(ids)]
      const done = new Set(await storage.deliveries.redrive(id, wanted, clock.now(), wanted.length))
      dispatcher.changed(id, { moved: false })
      return { requeued: done.size, skipped: wanted.filter((one) => !done.has(one)) }
    }
    // What is given up from now on is not meant.
    const newest = (await storage.deliveries.deadLetters(id, undefined, 1))[0]?.delivery.id ?? 0
    let requeued = 0
    for (;;) {
      const done = await storage.deliveries.redrive(id, undefined, clock.now(), REDRIVE_SLICE)
      requeued += done.length
      dispatcher.changed(id, { moved: false })
      if (done.length < REDRIVE_SLICE || Math.max(...done) >= newest) return { requeued, skipped: [] }
    }
  }

  /** False when it was not paused. @throws not_found */
  async resume(deviceId: Owner, id: number): Promise<boolean> {
    await this.get(deviceId, id)
    const resumed = await this.#unpause(id)
    await this.#parts.storage.deliveries.hasten(id, this.#parts.clock.now())
    this.#parts.dispatcher.changed(id, { moved: true })
    return resumed
  }

  /** @throws not_found */
  async stats(deviceId: Owner, id: number): Promise<{ readonly row: WebhookRow; readonly stats: WebhookStats }> {
    const row = await this.get(deviceId, id)
    return { row, stats: await this.#parts.storage.deliveries.statsOf(id, STATS_WINDOW) }
  }

  async #unpause(id: number): Promise<boolean> {
    const { health, subscriptions } = this.#parts
    const subscription = subscriptions.get(id)
    return subscription ? health.resume(subscription) : false
  }

  #mustBeEnabled(): void {
    if (!this.#parts.subscriptions.enabled)
      throw new ParleyError('conflict', 'webhook delivery is switched off on this gateway (WEBHOOKS_ENABLED)')
  }

  #check(input: WebhookInput): WebhookChange {
    if (input.url !== undefined) this.#parts.guard.checkUrl(input.url, 'url')
    return {
      ...(input.url !== undefined && { url: input.url.trim() }),
      ...(input.events !== undefined && { events: checkEvents(input.events) }),
      ...(input.secret !== undefined && { secret: input.secret }),
      ...(input.headers !== undefined && { headers: checkHeaders(input.headers) }),
      ...(input.active !== undefined && { active: input.active }),
    }
  }
}

const notFound = (id: number) => new ParleyError('not_found', `there is no webhook ${id} here`)

const found = (row: WebhookRow | undefined, id: number): WebhookRow => {
  if (!row) throw notFound(id)
  return row
}
