import type { Kysely, Selectable, Updateable } from 'kysely'
import { isParleyError } from '../kernel/errors.ts'
import { queryBuilder, run, runOne } from './build.ts'
import { type Database, queryOne, sqlPair } from './database.ts'
import { forgetDeliveries } from './deliveries.ts'
import type { Keyring } from './keyring.ts'
import type { DeviceChange, DeviceRepository, DeviceRow, DeviceStatus } from './port/accounts.ts'
import { rowIdentity } from './seal.ts'
import { forgetDevice } from './signal-keys.ts'
import type { DeviceTable, Tables } from './tables.ts'

/** The key's row stays locked until the device is in, so that concurrent creations count one after another. */
const lockApiKey = sqlPair('api_keys_lock', {
  sqlite: 'select max_devices, is_active from api_keys where id = ?',
  postgres: 'select max_devices, is_active from api_keys where id = ? for no key update',
})

/** No proxy has this scheme, so nothing connects through it. */
const DAMAGED_PROXY = 'damaged:'

const proxyOf = (deviceId: string) => rowIdentity('devices', deviceId, 'proxy_url', '')

export class DeviceStore implements DeviceRepository {
  readonly #database: Database
  readonly #keyring: Keyring
  readonly #build: Kysely<Tables>
  readonly #forgetKeys: (deviceIds: readonly string[]) => Promise<void>

  constructor(parts: {
    readonly database: Database
    readonly keyring: Keyring
    /** Deletes the devices' keys where they live in another database. */
    readonly forgetKeys: (deviceIds: readonly string[]) => Promise<void>
  }) {
    this.#database = parts.database
    this.#keyring = parts.keyring
    this.#build = queryBuilder(parts.database.kind)
    this.#forgetKeys = parts.forgetKeys
  }

  async create(
    device: Parameters<DeviceRepository['create']>[0],
    now: number,
  ): Promise<DeviceRow | 'limit_reached' | 'key_inactive'> {
    const build = this.#build
    const created = await this.#database.write(function* () {
      const key = yield* queryOne<{ max_devices: number; is_active: unknown }>(lockApiKey, device.apiKeyId)
      if (!key?.is_active) return 'key_inactive'
      const owned = yield* runOne(
        build
          .selectFrom('devices')
          .where('api_key_id', '=', device.apiKeyId)
          .select((of) => of.fn.countAll<number>().as('count')),
      )
      if (owned!.count >= key.max_devices) return 'limit_reached'
      return (yield* runOne(
        build
          .insertInto('devices')
          .values({
            device_id: device.deviceId,
            api_key_id: device.apiKeyId,
            device_name: device.deviceName,
            secret_hash: device.secretHash,
            created_at: now,
          })
          .returningAll(),
      ))!
    })
    return typeof created === 'string' ? created : this.#toRow(created)
  }

  async get(deviceId: string): Promise<DeviceRow | undefined> {
    const row = await this.#database.readAll(
      runOne(this.#build.selectFrom('devices').selectAll().where('device_id', '=', deviceId)),
    )
    return row && this.#toRow(row)
  }

  async secretHash(deviceId: string): Promise<string | undefined> {
    const row = await this.#database.readAll(
      runOne(this.#build.selectFrom('devices').select('secret_hash').where('device_id', '=', deviceId)),
    )
    return row?.secret_hash
  }

  async list(
    apiKeyId?: number,
  ): Promise<readonly (DeviceRow & { readonly customerName: string; readonly keyActive: boolean })[]> {
    let select = this.#build
      .selectFrom('devices')
      .innerJoin('api_keys', 'api_keys.id', 'devices.api_key_id')
      .selectAll('devices')
      .select(['api_keys.customer_name as customer_name', 'api_keys.is_active as key_active'])
      .orderBy('devices.created_at', 'desc')
      .orderBy('devices.id', 'desc')
    if (apiKeyId !== undefined) select = select.where('devices.api_key_id', '=', apiKeyId)
    const rows = await this.#database.readAll(run(select))
    return rows.map((row) => ({
      ...this.#toRow(row),
      customerName: row.customer_name,
      keyActive: Boolean(row.key_active),
    }))
  }

  async update(deviceId: string, change: DeviceChange): Promise<DeviceRow | undefined> {
    const set: Updateable<DeviceTable> = {
      ...('jid' in change && { jid: change.jid ?? null }),
      ...('lid' in change && { lid: change.lid ?? null }),
      ...('pushName' in change && { push_name: change.pushName ?? null }),
      ...('statusReason' in change && { status_reason: change.statusReason ?? null }),
      ...('lastActiveAt' in change && { last_active_at: change.lastActiveAt ?? null }),
      ...('proxyUrl' in change && {
        proxy_url: change.proxyUrl === undefined ? null : this.#keyring.sealText(change.proxyUrl, proxyOf(deviceId)),
      }),
      ...(change.status !== undefined && { status: change.status }),
    }
    if (Object.keys(set).length === 0) return this.get(deviceId)
    const update = this.#build.updateTable('devices').set(set).where('device_id', '=', deviceId).returningAll()
    const row = await this.#database.write(() => runOne(update), deviceId)
    return row && this.#toRow(row)
  }

  async raiseTokenVersion(deviceId: string, now: number): Promise<number | undefined> {
    const update = this.#build
      .updateTable('devices')
      .set((of) => ({ token_version: of('token_version', '+', 1), last_active_at: now }))
      .where('device_id', '=', deviceId)
      .returning('token_version')
    return (await this.#database.write(() => runOne(update), deviceId))?.token_version
  }

  async delete(deviceId: string): Promise<boolean> {
    const remove = this.#build.deleteFrom('devices').where('device_id', '=', deviceId).returning('device_id')
    // Keys first: a crash in between leaves a device to be deleted again, not keys that nobody owns.
    await this.#forgetKeys([deviceId])
    return this.#database.write(function* () {
      yield* forgetDevice(deviceId)
      yield* forgetDeliveries(deviceId)
      return (yield* runOne(remove)) !== undefined
    }, deviceId)
  }

  /** One that does not open must cost this device its connection, and not send it out without a proxy. */
  #openProxy(deviceId: string, sealed: Uint8Array): string {
    try {
      return this.#keyring.openText(sealed, proxyOf(deviceId))
    } catch (error) {
      if (!isParleyError(error, 'data_damaged')) throw error
      return DAMAGED_PROXY
    }
  }

  #toRow(row: Selectable<DeviceTable>): DeviceRow {
    return {
      deviceId: row.device_id,
      apiKeyId: row.api_key_id,
      deviceName: row.device_name,
      jid: row.jid ?? undefined,
      lid: row.lid ?? undefined,
      pushName: row.push_name ?? undefined,
      status: row.status as DeviceStatus,
      statusReason: row.status_reason ?? undefined,
      tokenVersion: row.token_version,
      proxyUrl: row.proxy_url ? this.#openProxy(row.device_id, row.proxy_url) : undefined,
      createdAt: row.created_at,
      lastActiveAt: row.last_active_at ?? undefined,
    }
  }
}
