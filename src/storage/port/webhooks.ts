export interface WebhookRow {
  readonly id: number
  readonly deviceId: string
  readonly url: string
  /** Catalogue names, `message.*` or `*`; empty = all. */
  readonly events: readonly string[]
  readonly active: boolean
  /** The signing secret, unsealed. Never leaves the process after creation. */
  readonly secret: string
  /** Custom request headers, unsealed. */
  readonly headers: Readonly<Record<string, string>>
  readonly createdAt: number
  readonly updatedAt: number
}

export type WebhookChange = Partial<Pick<WebhookRow, 'url' | 'events' | 'active' | 'headers' | 'secret'>>

export interface WebhookRepository {
  /** Answers `limit_reached` when the device has `maxPerDevice` already; holds under concurrency. */
  create(
    webhook: Pick<WebhookRow, 'deviceId' | 'url' | 'events' | 'active' | 'secret' | 'headers'>,
    maxPerDevice: number,
    now: number,
  ): Promise<WebhookRow | 'limit_reached'>
  get(deviceId: string, id: number): Promise<WebhookRow | undefined>
  /** Of one device, oldest first. */
  list(deviceId: string): Promise<readonly WebhookRow[]>
  /** Every webhook of every device: the dispatcher's picture at start. */
  listAll(): Promise<readonly WebhookRow[]>
  update(deviceId: string, id: number, change: WebhookChange, now: number): Promise<WebhookRow | undefined>
  /** With its deliveries. False when unknown. */
  delete(deviceId: string, id: number): Promise<boolean>
}
