import type { Kysely, Selectable } from 'kysely'
import { queryBuilder, run, runOne } from './build.ts'
import type { Database } from './database.ts'
import { forgetDeliveries } from './deliveries.ts'
import type { ApiKeyChange, ApiKeyRepository, ApiKeyRow, NewApiKey } from './port/accounts.ts'
import { forgetDevice } from './signal-keys.ts'
import type { ApiKeyTable, Tables } from './tables.ts'

const toRow = (row: Selectable<ApiKeyTable>): ApiKeyRow => ({
  id: row.id,
  maskedKey: row.masked_key,
  customerName: row.customer_name,
  customerEmail: row.customer_email,
  customerPhone: row.customer_phone,
  maxDevices: row.max_devices,
  rateLimitPerHour: row.rate_limit_per_hour,
  isActive: Boolean(row.is_active),
  createdAt: row.created_at,
  updatedAt: row.updated_at ?? undefined,
})

export class ApiKeyStore implements ApiKeyRepository {
  readonly #database: Database
  readonly #build: Kysely<Tables>
  readonly #forgetKeys: (deviceIds: readonly string[]) => Promise<void>

  constructor(parts: {
    readonly database: Database
    /** Deletes the devices' keys where they live in another database. */
    readonly forgetKeys: (deviceIds: readonly string[]) => Promise<void>
  }) {
    this.#database = parts.database
    this.#build = queryBuilder(parts.database.kind)
    this.#forgetKeys = parts.forgetKeys
  }

  async create(key: NewApiKey, now: number): Promise<ApiKeyRow> {
    const insert = this.#build
      .insertInto('api_keys')
      .values({
        key_hash: key.keyHash,
        masked_key: key.maskedKey,
        customer_name: key.customerName,
        customer_email: key.customerEmail,
        customer_phone: key.customerPhone,
        max_devices: key.maxDevices,
        rate_limit_per_hour: key.rateLimitPerHour,
        created_at: now,
      })
      .returningAll()
    return toRow((await this.#database.write(() => runOne(insert)))!)
  }

  async findByHash(keyHash: string): Promise<ApiKeyRow | undefined> {
    const row = await this.#database.readAll(
      runOne(this.#build.selectFrom('api_keys').selectAll().where('key_hash', '=', keyHash)),
    )
    return row && toRow(row)
  }

  async hashes(): Promise<readonly { readonly id: number; readonly keyHash: string }[]> {
    const rows = await this.#database.readAll(run(this.#build.selectFrom('api_keys').select(['id', 'key_hash'])))
    return rows.map((row) => ({ id: row.id, keyHash: row.key_hash }))
  }

  async get(id: number): Promise<ApiKeyRow | undefined> {
    const row = await this.#database.readAll(
      runOne(this.#build.selectFrom('api_keys').selectAll().where('id', '=', id)),
    )
    return row && toRow(row)
  }

  async list(): Promise<readonly (ApiKeyRow & { readonly deviceCount: number })[]> {
    const rows = await this.#database.readAll(
      run(
        this.#build
          .selectFrom('api_keys')
          .selectAll('api_keys')
          .select((of) =>
            of
              .selectFrom('devices')
              .whereRef('devices.api_key_id', '=', 'api_keys.id')
              .select((count) => count.fn.countAll<number>().as('count'))
              .as('device_count'),
          )
          .orderBy('created_at', 'desc')
          .orderBy('id', 'desc'),
      ),
    )
    return rows.map((row) => ({ ...toRow(row), deviceCount: row.device_count ?? 0 }))
  }

  async update(id: number, change: ApiKeyChange, now: number): Promise<ApiKeyRow | undefined> {
    const set = {
      ...(change.customerName !== undefined && { customer_name: change.customerName }),
      ...(change.customerEmail !== undefined && { customer_email: change.customerEmail }),
      ...(change.customerPhone !== undefined && { customer_phone: change.customerPhone }),
      ...(change.maxDevices !== undefined && { max_devices: change.maxDevices }),
      ...(change.rateLimitPerHour !== undefined && { rate_limit_per_hour: change.rateLimitPerHour }),
      ...(change.isActive !== undefined && { is_active: change.isActive }),
      updated_at: now,
    }
    const update = this.#build.updateTable('api_keys').set(set).where('id', '=', id).returningAll()
    const row = await this.#database.write(() => runOne(update))
    return row && toRow(row)
  }

  async delete(id: number): Promise<readonly string[] | undefined> {
    const build = this.#build
    const own = build.selectFrom('devices').select('device_id').where('api_key_id', '=', id).orderBy('id')
    // Keys first: a crash in between leaves devices to be deleted again, not keys that nobody owns.
    await this.#forgetKeys((await this.#database.readAll(run(own))).map((row) => row.device_id))
    return this.#database.write(function* () {
      const devices = (yield* run(own)).map((row) => row.device_id)
      for (const deviceId of devices) {
        yield* forgetDevice(deviceId)
        yield* forgetDeliveries(deviceId)
      }
      const gone = yield* runOne(build.deleteFrom('api_keys').where('id', '=', id).returning('id'))
      return gone && devices
    })
  }
}
