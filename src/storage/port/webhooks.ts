export interface WebhookRow {
  readonly id: number
  /** Whose events it gets; undefined = those of every device. */
  readonly deviceId: string | undefined
  readonly url: string
  /** Catalogue names, `message.*` or `*`; empty = all. */
  readonly events: readonly string[]
  readonly active: boolean
  /** The signing secret, unsealed. Never leaves the process after creation. */
  readonly secret: string
  /** Custom request headers, unsealed. */
  readonly headers: Readonly<Record<string, string>>
  /** Since when nothing could be delivered, once that has lasted a while; undefined = it works. */
  readonly failingSince: number | undefined
  /** Since when nothing is sent because it failed for too long. */
  readonly pausedAt: number | undefined
  readonly createdAt: number
  readonly updatedAt: number
}

export type NewWebhook = Pick<WebhookRow, 'deviceId' | 'url' | 'events' | 'active' | 'secret' | 'headers'>

export type WebhookHealth = Pick<WebhookRow, 'failingSince' | 'pausedAt'>

export type WebhookChange = Partial<Pick<WebhookRow, 'url' | 'events' | 'active' | 'headers' | 'secret'>>

/** `deviceId` undefined everywhere: the webhooks that get the events of every device. */
export interface WebhookRepository {
  /** Answers `limit_reached` when the device has `maxPerDevice` already; holds under concurrency. */
  create(webhook: NewWebhook, maxPerDevice: number, now: number): Promise<WebhookRow | 'limit_reached'>
  get(deviceId: string | undefined, id: number): Promise<WebhookRow | undefined>
  /** Of one device, oldest first. */
  list(deviceId: string | undefined): Promise<readonly WebhookRow[]>
  /** Every webhook of every device: the dispatcher's picture at start. */
  listAll(): Promise<readonly WebhookRow[]>
  update(deviceId: string | undefined, id: number, change: WebhookChange, now: number): Promise<WebhookRow | undefined>
  /** Both fields, whatever they were. */
  setHealth(id: number, health: WebhookHealth): Promise<WebhookRow | undefined>
  /** With its deliveries. False when unknown. */
  delete(deviceId: string | undefined, id: number): Promise<boolean>
}
