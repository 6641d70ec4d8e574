import type { Clock } from '../../kernel/clock.ts'
import { ParleyError } from '../../kernel/errors.ts'
import { equalInConstantTime, hashSecret, newSecret, newUuid } from '../../kernel/ids.ts'
import type { Sessions } from '../../sessions/index.ts'
import type { ApiKeyRow, DeviceRow, Storage } from '../../storage/index.ts'

export interface DeviceServiceParts {
  readonly storage: Pick<Storage, 'apiKeys' | 'devices'>
  readonly sessions: Pick<Sessions, 'remove'>
  /** Signs the token of a device as it stands. */
  readonly tokens: {
    issue(device: Pick<DeviceRow, 'deviceId' | 'apiKeyId' | 'tokenVersion' | 'jid'>): string
  }
  readonly clock: Pick<Clock, 'now'>
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** Compared against when there is no such device, so that its absence takes as long as a wrong secret. */
const NO_HASH = hashSecret('')

const refused = (): ParleyError => new ParleyError('unauthorized', 'device_id and device_secret do not match')

export class DeviceService {
  readonly #parts: DeviceServiceParts

  constructor(parts: DeviceServiceParts) {
    this.#parts = parts
  }

  /** @throws bad_request when the key has all its devices, unauthorized when it was disabled meanwhile */
  async create(apiKey: ApiKeyRow, deviceName: string) {
    const { storage, tokens, clock } = this.#parts
    const secret = newSecret()
    const row = await storage.devices.create(
      { deviceId: newUuid(), apiKeyId: apiKey.id, deviceName, secretHash: hashSecret(secret) },
      clock.now(),
    )
    if (row === 'limit_reached')
      throw new ParleyError('bad_request', `the API key has all the ${apiKey.maxDevices} devices it may have`, {
        data: { max_devices: apiKey.maxDevices },
      })
    if (row === 'key_inactive') throw new ParleyError('unauthorized', 'the API key is disabled')
    return { row, secret, token: tokens.issue(row) }
  }

  /** Makes every earlier token worthless and answers a new one. @throws unauthorized */
  async renewToken(deviceId: string, deviceSecret: string): Promise<string> {
    const { storage, tokens, clock } = this.#parts
    const id = deviceId.toLowerCase()
    const known = UUID.test(id) ? await storage.devices.secretHash(id) : undefined
    const holds = equalInConstantTime(hashSecret(deviceSecret), known ?? NO_HASH)
    if (!holds || known === undefined) throw refused()
    const device = await storage.devices.get(id)
    const apiKey = device && (await storage.apiKeys.get(device.apiKeyId))
    if (!device || !apiKey) throw refused()
    if (!apiKey.isActive) throw new ParleyError('unauthorized', 'the API key of this device is disabled')
    const tokenVersion = await storage.devices.raiseTokenVersion(id, clock.now())
    if (tokenVersion === undefined) throw refused()
    return tokens.issue({ ...device, tokenVersion })
  }

  /** @throws not_found */
  async get(deviceId: string): Promise<DeviceRow> {
    const row = UUID.test(deviceId) ? await this.#parts.storage.devices.get(deviceId.toLowerCase()) : undefined
    if (!row) throw new ParleyError('not_found', 'there is no such device', { field: 'device_id' })
    return row
  }

  /** Leaves WhatsApp, then deletes the device and everything of it. @throws not_found */
  async delete(deviceId: string): Promise<void> {
    const { deviceId: id } = await this.get(deviceId)
    await this.#parts.sessions.remove(id)
    await this.#parts.storage.devices.delete(id)
  }
}
