import { testPing } from '../../events/catalogue/ping.ts'
import { draft } from '../../events/draft.ts'
import type { Events } from '../../events/events.ts'
import type { Clock } from '../../kernel/clock.ts'
import { ParleyError } from '../../kernel/errors.ts'
import { newSecret } from '../../kernel/ids.ts'
import type { DeliveryRow, Storage, WebhookChange, WebhookRow } from '../../storage/index.ts'
import type { AddressGuard } from '../../webhooks/address-guard.ts'
import type { Dispatcher } from '../../webhooks/dispatcher.ts'
import type { Subscriptions } from '../../webhooks/subscriptions.ts'
import { checkEvents, checkHeaders } from './input.ts'
import { LOG_LENGTH } from './schema.ts'

export interface WebhookServiceParts {
  readonly storage: Pick<Storage, 'webhooks' | 'deliveries'>
  readonly subscriptions: Pick<Subscriptions, 'set' | 'delete' | 'enabled'>
  readonly events: Pick<Events, 'append'>
  readonly dispatcher: Pick<Dispatcher, 'changed'>
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

/** A device's own webhooks. Every write is followed by the in-memory picture that events and deliveries go by. */
export class WebhookService {
  readonly #parts: WebhookServiceParts

  constructor(parts: WebhookServiceParts) {
    this.#parts = parts
  }

  list(deviceId: string): Promise<readonly WebhookRow[]> {
    return this.#parts.storage.webhooks.list(deviceId)
  }

  /** @throws not_found */
  async get(deviceId: string, id: number): Promise<WebhookRow> {
    return found(await this.#parts.storage.webhooks.get(deviceId, id), id)
  }

  /** @throws bad_request naming the field; conflict when the device has as many as it may have */
  async create(deviceId: string, input: WebhookInput & { readonly url: string }): Promise<WebhookRow> {
    const { storage, clock, maxWebhooksPerDevice, subscriptions } = this.#parts
    const given = this.#check(input)
    const row = await storage.webhooks.create(
      { deviceId, events: [], active: true, secret: newSecret(), headers: {}, ...given, url: given.url! },
      maxWebhooksPerDevice,
      clock.now(),
    )
    if (row === 'limit_reached')
      throw new ParleyError(
        'conflict',
        `this device has ${maxWebhooksPerDevice} webhooks already, as many as it may have`,
      )
    subscriptions.set(row)
    return row
  }

  /** Changes what is named and nothing else. @throws bad_request naming the field; not_found */
  async change(deviceId: string, id: number, input: WebhookInput): Promise<void> {
    const { storage, clock, dispatcher, subscriptions } = this.#parts
    const change = this.#check(input)
    const before = await this.get(deviceId, id)
    if (Object.keys(change).length === 0) return
    const row = found(await storage.webhooks.update(deviceId, id, change, clock.now()), id)
    subscriptions.set(row)
    dispatcher.changed(id, { moved: row.url !== before.url })
  }

  /** With its deliveries. @throws not_found */
  async delete(deviceId: string, id: number): Promise<void> {
    const { storage, dispatcher, subscriptions } = this.#parts
    if (!(await storage.webhooks.delete(deviceId, id))) throw notFound(id)
    subscriptions.delete(id)
    dispatcher.changed(id, { moved: false })
  }

  /** The newest attempts. @throws not_found */
  async logs(deviceId: string, id: number): Promise<readonly DeliveryRow[]> {
    await this.get(deviceId, id)
    return this.#parts.storage.deliveries.logs(id, LOG_LENGTH)
  }

  /**
   * Puts a `test.ping` into the log and into the queue of this webhook alone. Answers the event's id.
   * @throws not_found; conflict when nothing would be sent
   */
  async test(deviceId: string, id: number): Promise<string> {
    const { clock, events, subscriptions } = this.#parts
    const { active } = await this.get(deviceId, id)
    if (!subscriptions.enabled)
      throw new ParleyError('conflict', 'webhook delivery is switched off on this gateway (WEBHOOKS_ENABLED)')
    if (!active) throw new ParleyError('conflict', `webhook ${id} is not active: set "active" to true first`)
    const ping = draft(testPing, testPing.example, { occurredAt: clock.now() })
    const [row] = await events.append(deviceId, [ping], { webhookId: id })
    return row!.eventId
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

const notFound = (id: number) => new ParleyError('not_found', `this device has no webhook ${id}`)

const found = (row: WebhookRow | undefined, id: number): WebhookRow => {
  if (!row) throw notFound(id)
  return row
}
