import { KeyedQueue } from '../kernel/keyed-queue.ts'
import type {
  ApiKeyChange,
  ApiKeyRepository,
  ApiKeyRow,
  DeviceRepository,
  DeviceRow,
  NewApiKey,
  Storage,
} from '../storage/index.ts'

/** Who may call, kept in memory: no authenticated request asks the database. */
export interface AccessRegistry {
  device(deviceId: string): DeviceRow | undefined
  apiKey(id: number): ApiKeyRow | undefined
  apiKeyByHash(keyHash: string): ApiKeyRow | undefined
}

/**
 * Keeps the rows of API keys and devices in memory and current, by standing between the rest of the gateway and the two
 * repositories: what is written through `apiKeys` and `devices` here is what the guards see, the moment the write is
 * durable. One process owns the database, so nobody else writes.
 */
export class Accounts implements AccessRegistry {
  readonly apiKeys: ApiKeyRepository
  readonly devices: DeviceRepository
  readonly #devices = new Map<string, DeviceRow>()
  readonly #keys = new Map<number, ApiKeyRow>()
  readonly #keyIds = new Map<string, number>()
  /** Writes to one row go one after another, so that memory ends where the database does. */
  readonly #turns = new KeyedQueue<string>()
  readonly #goneListeners: ((deviceId: string) => void)[] = []

  private constructor(storage: Pick<Storage, 'apiKeys' | 'devices'>) {
    this.apiKeys = this.#watchKeys(storage.apiKeys)
    this.devices = this.#watchDevices(storage.devices)
  }

  /** Loads every key and device. @throws storage_unavailable */
  static async open(storage: Pick<Storage, 'apiKeys' | 'devices'>): Promise<Accounts> {
    const accounts = new Accounts(storage)
    const [keys, hashes, devices] = await Promise.all([
      storage.apiKeys.list(),
      storage.apiKeys.hashes(),
      storage.devices.list(),
    ])
    for (const { deviceCount: _, ...row } of keys) accounts.#keys.set(row.id, row)
    for (const { id, keyHash } of hashes) accounts.#keyIds.set(keyHash, id)
    for (const { customerName: _, keyActive: __, ...row } of devices) accounts.#devices.set(row.deviceId, row)
    return accounts
  }

  /** The same storage with the two watched repositories in place: what every other part is to be given. */
  watch(storage: Storage): Storage {
    const { apiKeys, devices } = this
    return {
      kind: storage.kind,
      apiKeys,
      devices,
      settings: storage.settings,
      signalKeys: storage.signalKeys,
      messages: storage.messages,
      chats: storage.chats,
      identities: storage.identities,
      intake: storage.intake,
      events: storage.events,
      webhooks: storage.webhooks,
      deliveries: storage.deliveries,
      idempotency: storage.idempotency,
      stanzaFailures: storage.stanzaFailures,
      ownerEpoch: storage.ownerEpoch,
      ping: () => storage.ping(),
      statementCount: () => storage.statementCount(),
      [Symbol.asyncDispose]: () => storage[Symbol.asyncDispose](),
    }
  }

  /** Calls back when a device has been deleted, by itself or with its API key. */
  whenDeviceGone(listener: (deviceId: string) => void): void {
    this.#goneListeners.push(listener)
  }

  device(deviceId: string): DeviceRow | undefined {
    return this.#devices.get(deviceId)
  }

  apiKey(id: number): ApiKeyRow | undefined {
    return this.#keys.get(id)
  }

  apiKeyByHash(keyHash: string): ApiKeyRow | undefined {
    const id = this.#keyIds.get(keyHash)
    return id === undefined ? undefined : this.#keys.get(id)
  }

  #watchKeys(inner: ApiKeyRepository): ApiKeyRepository {
    return {
      findByHash: (keyHash) => inner.findByHash(keyHash),
      hashes: () => inner.hashes(),
      get: (id) => inner.get(id),
      list: () => inner.list(),
      create: async (key: NewApiKey, now: number) => {
        const row = await inner.create(key, now)
        this.#keys.set(row.id, row)
        this.#keyIds.set(key.keyHash, row.id)
        return row
      },
      update: (id: number, change: ApiKeyChange, now: number) =>
        this.#turns.run(`key ${id}`, async () => {
          const row = await inner.update(id, change, now)
          if (row) this.#keys.set(id, row)
          return row
        }),
      delete: (id: number) =>
        this.#turns.run(`key ${id}`, async () => {
          const deviceIds = await inner.delete(id)
          for (const deviceId of deviceIds ?? []) this.#forget(deviceId)
          this.#keys.delete(id)
          for (const [keyHash, owner] of this.#keyIds) if (owner === id) this.#keyIds.delete(keyHash)
          return deviceIds
        }),
    }
  }

  #forget(deviceId: string): void {
    this.#devices.delete(deviceId)
    for (const listener of this.#goneListeners) listener(deviceId)
  }

  #watchDevices(inner: DeviceRepository): DeviceRepository {
    return {
      get: (deviceId) => inner.get(deviceId),
      secretHash: (deviceId) => inner.secretHash(deviceId),
      list: (apiKeyId) => inner.list(apiKeyId),
      create: async (device, now) => {
        const row = await inner.create(device, now)
        if (typeof row !== 'string') this.#devices.set(row.deviceId, row)
        return row
      },
      update: (deviceId, change) =>
        this.#turns.run(deviceId, async () => {
          const row = await inner.update(deviceId, change)
          if (row) this.#devices.set(deviceId, row)
          return row
        }),
      raiseTokenVersion: (deviceId, now) =>
        this.#turns.run(deviceId, async () => {
          const tokenVersion = await inner.raiseTokenVersion(deviceId, now)
          const row = this.#devices.get(deviceId)
          if (tokenVersion !== undefined && row)
            this.#devices.set(deviceId, { ...row, tokenVersion, lastActiveAt: now })
          return tokenVersion
        }),
      delete: (deviceId) =>
        this.#turns.run(deviceId, async () => {
          const found = await inner.delete(deviceId)
          this.#forget(deviceId)
          return found
        }),
    }
  }
}
