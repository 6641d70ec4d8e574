import { ParleyError } from '../../../src/kernel/errors.ts'
import type {
  ApiKeyRepository,
  ApiKeyRow,
  ChatRepository,
  DeliveryRepository,
  DeliveryStats,
  DescribedMessage,
  DeviceRepository,
  DeviceRow,
  EventRepository,
  MessageRepository,
  SettingRepository,
  StanzaFailureRepository,
  StanzaFailureRow,
  Storage,
  WebhookRepository,
  WebhookRow,
} from '../../../src/storage/index.ts'

/** What `features/` use of the storage, in memory. Every call counts as one statement; `away` makes them all fail. */
export class MemoryStorage implements Pick<Storage, 'apiKeys' | 'devices' | 'settings' | 'ping' | 'statementCount'> {
  away = false
  deliveryStats: DeliveryStats = {
    totalDeliveries: 0,
    successDeliveries: 0,
    failedDeliveries: 0,
    pendingDeliveries: 0,
  }
  readonly webhookRows: WebhookRow[] = []
  #statements = 0
  #nextKeyId = 1
  #nextWebhookId = 1
  readonly #keys = new Map<number, ApiKeyRow & { readonly keyHash: string }>()
  readonly #devices = new Map<string, DeviceRow & { readonly secretHash: string }>()
  readonly #settings = new Map<string, string>()

  readonly apiKeys: ApiKeyRepository = {
    create: async ({ keyHash, ...key }, now) => {
      this.#execute()
      const row = { ...key, id: this.#nextKeyId++, isActive: true, createdAt: now, updatedAt: undefined }
      this.#keys.set(row.id, { ...row, keyHash })
      return row
    },
    findByHash: async (keyHash) => {
      this.#execute()
      const found = [...this.#keys.values()].find((key) => key.keyHash === keyHash)
      return found && bareKey(found)
    },
    hashes: async () => {
      this.#execute()
      return [...this.#keys.values()].map(({ id, keyHash }) => ({ id, keyHash }))
    },
    get: async (id) => {
      this.#execute()
      const found = this.#keys.get(id)
      return found && bareKey(found)
    },
    list: async () => {
      this.#execute()
      return [...this.#keys.values()]
        .toReversed()
        .map((key) => ({ ...bareKey(key), deviceCount: this.#devicesOf(key.id).length }))
    },
    update: async (id, change, now) => {
      this.#execute()
      const found = this.#keys.get(id)
      if (!found) return undefined
      const changed = { ...found, ...change, updatedAt: now }
      this.#keys.set(id, changed)
      return bareKey(changed)
    },
    delete: async (id) => {
      this.#execute()
      if (!this.#keys.delete(id)) return undefined
      const deviceIds = this.#devicesOf(id).map(({ deviceId }) => deviceId)
      for (const deviceId of deviceIds) this.#devices.delete(deviceId)
      return deviceIds
    },
  }

  readonly devices: DeviceRepository = {
    create: async (device, now) => {
      this.#execute()
      const key = this.#keys.get(device.apiKeyId)
      if (!key?.isActive) return 'key_inactive'
      if (this.#devicesOf(key.id).length >= key.maxDevices) return 'limit_reached'
      const row: DeviceRow & { readonly secretHash: string } = {
        ...device,
        jid: undefined,
        lid: undefined,
        pushName: undefined,
        status: 'pending',
        statusReason: undefined,
        tokenVersion: 1,
        proxyUrl: undefined,
        createdAt: now,
        lastActiveAt: undefined,
      }
      this.#devices.set(device.deviceId, row)
      return bareDevice(row)
    },
    get: async (deviceId) => {
      this.#execute()
      const found = this.#devices.get(deviceId)
      return found && bareDevice(found)
    },
    secretHash: async (deviceId) => {
      this.#execute()
      return this.#devices.get(deviceId)?.secretHash
    },
    list: async (apiKeyId) => {
      this.#execute()
      return [...this.#devices.values()]
        .filter((device) => apiKeyId === undefined || device.apiKeyId === apiKeyId)
        .toReversed()
        .map((device) => {
          const key = this.#keys.get(device.apiKeyId)
          return { ...bareDevice(device), customerName: key?.customerName ?? '', keyActive: key?.isActive ?? false }
        })
    },
    update: async (deviceId, change) => {
      this.#execute()
      const found = this.#devices.get(deviceId)
      if (!found) return undefined
      const changed = { ...found, ...change, status: change.status ?? found.status }
      this.#devices.set(deviceId, changed)
      return bareDevice(changed)
    },
    raiseTokenVersion: async (deviceId, now) => {
      this.#execute()
      const found = this.#devices.get(deviceId)
      if (!found) return undefined
      this.#devices.set(deviceId, { ...found, tokenVersion: found.tokenVersion + 1, lastActiveAt: now })
      return found.tokenVersion + 1
    },
    delete: async (deviceId) => {
      this.#execute()
      return this.#devices.delete(deviceId)
    },
  }

  readonly settings: SettingRepository = {
    get: async (name) => {
      this.#execute()
      return this.#settings.get(name)
    },
    set: async (name, value) => {
      this.#execute()
      this.#settings.set(name, value)
    },
  }

  readonly webhooks: WebhookRepository = {
    create: async (webhook, maxPerDevice, now) => {
      this.#execute()
      if (this.#webhooksOf(webhook.deviceId).length >= maxPerDevice) return 'limit_reached'
      const health = { failingSince: undefined, pausedAt: undefined }
      const row: WebhookRow = { ...webhook, ...health, id: this.#nextWebhookId++, createdAt: now, updatedAt: now }
      this.webhookRows.push(row)
      return row
    },
    get: async (deviceId, id) => {
      this.#execute()
      return this.#webhooksOf(deviceId).find((row) => row.id === id)
    },
    list: async (deviceId) => {
      this.#execute()
      return this.#webhooksOf(deviceId)
    },
    listAll: async () => {
      this.#execute()
      return this.webhookRows
    },
    update: async (deviceId, id, change, now) => {
      this.#execute()
      const place = this.webhookRows.findIndex((row) => row.deviceId === deviceId && row.id === id)
      if (place < 0) return undefined
      const changed = { ...this.webhookRows[place]!, ...change, updatedAt: now }
      this.webhookRows[place] = changed
      return changed
    },
    setHealth: async (id, health) => {
      this.#execute()
      const place = this.webhookRows.findIndex((row) => row.id === id)
      if (place < 0) return undefined
      const changed = { ...this.webhookRows[place]!, ...health }
      this.webhookRows[place] = changed
      return changed
    },
    delete: async (deviceId, id) => {
      this.#execute()
      const place = this.webhookRows.findIndex((row) => row.deviceId === deviceId && row.id === id)
      if (place >= 0) this.webhookRows.splice(place, 1)
      return place >= 0
    },
  }

  /** What the API reads of the event log: it is empty here. */
  readonly events: Pick<EventRepository, 'read' | 'readAll' | 'bounds' | 'boundsOfAll'> = {
    read: async () => {
      this.#execute()
      return []
    },
    readAll: async () => {
      this.#execute()
      return []
    },
    bounds: async () => {
      this.#execute()
      return { floor: 0, newest: 0 }
    },
    boundsOfAll: async () => {
      this.#execute()
      return { floor: { position: 0, sequence: 0 }, newest: 0 }
    },
  }

  /** What the API reads of deliveries: their log is empty here. */
  readonly deliveries: Pick<DeliveryRepository, 'logs' | 'stats' | 'deadLetters' | 'redrive' | 'hasten' | 'statsOf'> = {
    deadLetters: async () => {
      this.#execute()
      return []
    },
    redrive: async () => {
      this.#execute()
      return []
    },
    hasten: async () => this.#execute(),
    statsOf: async () => {
      this.#execute()
      return { pending: 0, oldestPendingAt: undefined, deadLetters: 0, finished: [] }
    },
    logs: async () => {
      this.#execute()
      return []
    },
    stats: async () => {
      this.#execute()
      return this.deliveryStats
    },
  }

  /** Messages by id, as `describe` answers them. */
  readonly messageStates = new Map<string, DescribedMessage | 'ambiguous'>()
  /** No chat is known; the area's tests run on real databases. */
  readonly chats: ChatRepository = {
    find: async () => {
      this.#execute()
      return undefined
    },
    list: async () => {
      this.#execute()
      return []
    },
    history: async () => [],
    unread: async () => [],
    markRead: async () => undefined,
    votes: async () => [],
    setTimer: async () => undefined,
  }
  readonly messages: Pick<MessageRepository, 'describe' | 'find'> = {
    find: async (_, messageId, chat) => {
      this.#execute()
      const found = this.messageStates.get(messageId)
      return typeof found === 'object' && (chat === undefined || found.message.chat === chat)
        ? found.message
        : undefined
    },
    describe: async (_, messageId, chat) => {
      this.#execute()
      const found = this.messageStates.get(messageId)
      return found === 'ambiguous' || chat === undefined || found?.message.chat === chat ? found : undefined
    },
  }

  readonly stanzaFailureRows: StanzaFailureRow[] = []
  readonly stanzaFailures: Pick<StanzaFailureRepository, 'list'> = {
    list: async (limit) => {
      this.#execute()
      return this.stanzaFailureRows.slice(0, limit)
    },
  }

  async ping(): Promise<void> {
    this.#execute()
  }

  statementCount(): number {
    return this.#statements
  }

  #webhooksOf(deviceId: string | undefined): readonly WebhookRow[] {
    return this.webhookRows.filter((row) => row.deviceId === deviceId)
  }

  #devicesOf(apiKeyId: number): readonly DeviceRow[] {
    return [...this.#devices.values()].filter((device) => device.apiKeyId === apiKeyId)
  }

  #execute(): void {
    this.#statements += 1
    if (this.away) throw new ParleyError('storage_unavailable', 'the database is away')
  }
}

const bareKey = ({ keyHash: _, ...row }: ApiKeyRow & { readonly keyHash: string }): ApiKeyRow => row

const bareDevice = ({ secretHash: _, ...row }: DeviceRow & { readonly secretHash: string }): DeviceRow => row
