import { matches } from '../events/catalogue.ts'
import type { WebhookRepository, WebhookRow } from '../storage/index.ts'

/** What delivering needs to know of a webhook. */
export type Subscription = Pick<
  WebhookRow,
  'id' | 'deviceId' | 'url' | 'events' | 'active' | 'secret' | 'headers' | 'failingSince' | 'pausedAt'
>

/** Whether something is sent to it. One that is not gets its deliveries entered all the same while it is active. */
export const isServed = (subscription: Subscription | undefined): subscription is Subscription =>
  subscription?.active === true && subscription.pausedAt === undefined

/**
 * Every webhook of every device, in memory: asked for each event and each delivery. Loaded once at the start; whoever
 * writes a webhook tells it. One process owns the database, so nobody else writes any.
 */
export class Subscriptions {
  readonly #byId = new Map<number, Subscription>()
  /** By device; those of every device under undefined. */
  readonly #byDevice = new Map<string | undefined, Map<number, Subscription>>()
  /** WEBHOOKS_ENABLED */
  readonly enabled: boolean

  /** `enabled` false (WEBHOOKS_ENABLED): events are logged and nobody wants them. */
  constructor({ enabled }: { readonly enabled: boolean }) {
    this.enabled = enabled
  }

  async load(repository: Pick<WebhookRepository, 'listAll'>): Promise<void> {
    for (const row of await repository.listAll()) this.set(row)
  }

  get size(): number {
    return this.#byId.size
  }

  get(id: number): Subscription | undefined {
    return this.#byId.get(id)
  }

  /** Active webhooks of the device, and of every device, that want this event. */
  webhookIdsFor(deviceId: string, type: string): readonly number[] {
    if (!this.enabled) return NONE
    const [own, general] = [this.#byDevice.get(deviceId), this.#byDevice.get(undefined)]
    if (!own && !general) return NONE
    const ids: number[] = []
    for (const webhooks of [own, general])
      for (const webhook of webhooks?.values() ?? NONE)
        if (webhook.active && matches(webhook.events, type)) ids.push(webhook.id)
    return ids
  }

  /** A webhook was created or changed. */
  set(row: WebhookRow): void {
    const { id, deviceId, url, events, active, secret, headers, failingSince, pausedAt } = row
    const subscription: Subscription = {
      id,
      deviceId,
      url,
      events,
      active,
      secret,
      headers,
      failingSince,
      pausedAt,
    }
    this.#byId.set(id, subscription)
    const own = this.#byDevice.get(deviceId)
    if (own) own.set(id, subscription)
    else this.#byDevice.set(deviceId, new Map([[id, subscription]]))
  }

  delete(id: number): void {
    const gone = this.#byId.get(id)
    if (!gone) return
    this.#byId.delete(id)
    const own = this.#byDevice.get(gone.deviceId)
    own?.delete(id)
    if (own?.size === 0) this.#byDevice.delete(gone.deviceId)
  }

  /** A device was deleted, and its webhooks with it. Answers their ids. */
  deleteDevice(deviceId: string): readonly number[] {
    const ids = [...(this.#byDevice.get(deviceId)?.keys() ?? NONE)]
    for (const id of ids) this.#byId.delete(id)
    this.#byDevice.delete(deviceId)
    return ids
  }
}

const NONE: readonly never[] = []
