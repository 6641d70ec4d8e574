import type { Static } from 'typebox'
import type { Clock } from '../../kernel/clock.ts'
import { ParleyError } from '../../kernel/errors.ts'
import { hashSecret, newApiKey } from '../../kernel/ids.ts'
import { Semaphore } from '../../kernel/semaphore.ts'
import type { Sessions } from '../../sessions/index.ts'
import type { ApiKeyChange, ApiKeyRow, DeviceRow, Storage } from '../../storage/index.ts'
import type { KeyChangeBody, NewKeyBody } from './schema.ts'

export interface ApiKeyServiceParts {
  readonly storage: Pick<Storage, 'apiKeys' | 'devices'>
  readonly sessions: Pick<Sessions, 'remove' | 'suspend' | 'resume'>
  readonly clock: Pick<Clock, 'now'>
}

/** Each takes a round trip to WhatsApp; more at once would look like an attack. */
const AT_ONCE = 10

const DEFAULT_MAX_DEVICES = 1
const DEFAULT_RATE_PER_HOUR = 1_000

const maskOf = (key: string): string => `${key.slice(0, 8)}...${key.slice(-4)}`

const unknownKey = (id: number): ParleyError => new ParleyError('not_found', `there is no API key ${id}`)

const onEach = async (devices: readonly DeviceRow[], act: (deviceId: string) => Promise<void>): Promise<void> => {
  const slots = new Semaphore(AT_ONCE)
  await Promise.all(devices.map(({ deviceId }) => slots.run(() => act(deviceId))))
}

export class ApiKeyService {
  readonly #parts: ApiKeyServiceParts

  constructor(parts: ApiKeyServiceParts) {
    this.#parts = parts
  }

  /** The only time the key itself is known: what is kept is its hash and its mask. */
  async create(body: Static<typeof NewKeyBody>): Promise<{ readonly row: ApiKeyRow; readonly key: string }> {
    const key = newApiKey()
    const row = await this.#parts.storage.apiKeys.create(
      {
        keyHash: hashSecret(key),
        maskedKey: maskOf(key),
        customerName: body.customer_name.trim(),
        customerEmail: body.customer_email ?? '',
        customerPhone: body.customer_phone ?? '',
        maxDevices: body.max_devices ?? DEFAULT_MAX_DEVICES,
        rateLimitPerHour: body.rate_limit_per_hour ?? DEFAULT_RATE_PER_HOUR,
      },
      this.#parts.clock.now(),
    )
    return { row, key }
  }

  /** @throws not_found */
  async get(id: number): Promise<ApiKeyRow> {
    const row = await this.#parts.storage.apiKeys.get(id)
    if (!row) throw unknownKey(id)
    return row
  }

  /** @throws not_found */
  async devicesOf(id: number) {
    await this.get(id)
    return this.#parts.storage.devices.list(id)
  }

  /** Blank texts and numbers of 0 or less keep what was there. @throws not_found */
  async change(id: number, body: Static<typeof KeyChangeBody>): Promise<void> {
    const change: ApiKeyChange = {
      ...(body.customer_name?.trim() ? { customerName: body.customer_name.trim() } : {}),
      ...(body.customer_email?.trim() ? { customerEmail: body.customer_email.trim() } : {}),
      ...(body.customer_phone?.trim() ? { customerPhone: body.customer_phone.trim() } : {}),
      ...(body.max_devices !== undefined && body.max_devices > 0 ? { maxDevices: body.max_devices } : {}),
      ...(body.rate_limit_per_hour !== undefined && body.rate_limit_per_hour > 0
        ? { rateLimitPerHour: body.rate_limit_per_hour }
        : {}),
      ...(body.is_active === undefined ? {} : { isActive: body.is_active }),
    }
    const row = await this.#parts.storage.apiKeys.update(id, change, this.#parts.clock.now())
    if (!row) throw unknownKey(id)
    if (body.is_active === undefined) return
    const { sessions, storage } = this.#parts
    const devices = await storage.devices.list(id)
    if (!body.is_active) await onEach(devices, (deviceId) => sessions.suspend(deviceId))
    // Not waited for: connecting many devices takes longer than a caller would.
    else void onEach(devices, (deviceId) => sessions.resume(deviceId))
  }

  /**
   * First the key is disabled, so that no device joins and no token works; then each device leaves WhatsApp; then all
   * of it is deleted. If the last step fails the key stays, disabled, and the call can be repeated. @throws not_found
   */
  async delete(id: number): Promise<void> {
    const { storage, sessions, clock } = this.#parts
    const row = await storage.apiKeys.update(id, { isActive: false }, clock.now())
    if (!row) throw unknownKey(id)
    await onEach(await storage.devices.list(id), (deviceId) => sessions.remove(deviceId))
    const deleted = await storage.apiKeys.delete(id)
    if (!deleted) throw unknownKey(id)
  }
}
