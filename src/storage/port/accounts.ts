/** `max_devices` and `rate_limit_per_hour` as the API shows them. */
export interface ApiKeyRow {
  readonly id: number
  /** First 8 characters, `...`, last 4: all that is kept of the key besides its hash. */
  readonly maskedKey: string
  readonly customerName: string
  readonly customerEmail: string
  readonly customerPhone: string
  readonly maxDevices: number
  readonly rateLimitPerHour: number
  readonly isActive: boolean
  readonly createdAt: number
  readonly updatedAt: number | undefined
}

export interface NewApiKey {
  readonly keyHash: string
  readonly maskedKey: string
  readonly customerName: string
  readonly customerEmail: string
  readonly customerPhone: string
  readonly maxDevices: number
  readonly rateLimitPerHour: number
}

export type ApiKeyChange = Partial<
  Pick<ApiKeyRow, 'customerName' | 'customerEmail' | 'customerPhone' | 'maxDevices' | 'rateLimitPerHour' | 'isActive'>
>

export interface ApiKeyRepository {
  create(key: NewApiKey, now: number): Promise<ApiKeyRow>
  findByHash(keyHash: string): Promise<ApiKeyRow | undefined>
  /** The hash of every key, for the registry in memory: no request asks the database who is calling. */
  hashes(): Promise<readonly { readonly id: number; readonly keyHash: string }[]>
  get(id: number): Promise<ApiKeyRow | undefined>
  /** Newest first, with the number of devices of each. */
  list(): Promise<readonly (ApiKeyRow & { readonly deviceCount: number })[]>
  /** Undefined when there is no such key. */
  update(id: number, change: ApiKeyChange, now: number): Promise<ApiKeyRow | undefined>
  /** Deletes the key with everything of its devices; answers the ids of those devices, or undefined when unknown. */
  delete(id: number): Promise<readonly string[] | undefined>
}

export type DeviceStatus = 'pending' | 'active' | 'disconnected' | 'logged_out'

export interface DeviceRow {
  readonly deviceId: string
  readonly apiKeyId: number
  readonly deviceName: string
  /** Full device JID `user:device@s.whatsapp.net`, once linked. */
  readonly jid: string | undefined
  readonly lid: string | undefined
  readonly pushName: string | undefined
  readonly status: DeviceStatus
  /** Why it is not active: `logged_out`, `replaced`, `banned`, ...; undefined when there is nothing to say. */
  readonly statusReason: string | undefined
  /** Tokens carry this; raising it revokes all earlier ones. */
  readonly tokenVersion: number
  readonly proxyUrl: string | undefined
  readonly createdAt: number
  readonly lastActiveAt: number | undefined
}

export type DeviceChange = {
  readonly [K in 'jid' | 'lid' | 'pushName' | 'statusReason' | 'proxyUrl' | 'lastActiveAt']?: DeviceRow[K]
} & { readonly status?: DeviceStatus }

export interface DeviceRepository {
  /**
   * Creates a device unless the key already has `max_devices`: decided and inserted in one transaction that concurrent
   * calls wait for. Answers `limit_reached` or `key_inactive` instead of a row.
   */
  create(
    device: {
      readonly deviceId: string
      readonly apiKeyId: number
      readonly deviceName: string
      readonly secretHash: string
    },
    now: number,
  ): Promise<DeviceRow | 'limit_reached' | 'key_inactive'>
  get(deviceId: string): Promise<DeviceRow | undefined>
  /** The stored SHA-256 (hex) of the device secret, to be compared in constant time. */
  secretHash(deviceId: string): Promise<string | undefined>
  /** Newest first, of one key or of all, with the key's customer. */
  list(
    apiKeyId?: number,
  ): Promise<readonly (DeviceRow & { readonly customerName: string; readonly keyActive: boolean })[]>
  /** A key set to undefined in `change` clears the column; an absent one keeps it. */
  update(deviceId: string, change: DeviceChange): Promise<DeviceRow | undefined>
  /** Raises the token version by one and answers the new one; undefined when unknown. */
  raiseTokenVersion(deviceId: string, now: number): Promise<number | undefined>
  /** Deletes the device with keys, messages, events, webhooks, deliveries. False when unknown. */
  delete(deviceId: string): Promise<boolean>
}

/** Small named values, such as the last seen WhatsApp Web version. */
export interface SettingRepository {
  get(name: string): Promise<string | undefined>
  set(name: string, value: string): Promise<void>
}
