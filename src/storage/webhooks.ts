import type { Kysely, Selectable, SelectQueryBuilder } from 'kysely'
import { isParleyError, ParleyError } from '../kernel/errors.ts'
import { queryBuilder, run, runOne } from './build.ts'
import type { Database } from './database.ts'
import { lockDevice } from './device-lock.ts'
import type { Keyring } from './keyring.ts'
import type { NewWebhook, WebhookChange, WebhookHealth, WebhookRepository, WebhookRow } from './port/webhooks.ts'
import { rowIdentity } from './seal.ts'
import type { Tables, WebhookTable } from './tables.ts'

type DeviceId = string | undefined

const secretOf = (deviceId: DeviceId, id: number) => rowIdentity('webhooks', deviceId ?? '', 'secret', String(id))
const headersOf = (deviceId: DeviceId, id: number) => rowIdentity('webhooks', deviceId ?? '', 'headers', String(id))

/** Units that count the webhooks of all devices wait for each other here. */
const GLOBAL_LANE = 'webhooks of every device'
const EMPTY = new Uint8Array()

export class WebhookStore implements WebhookRepository {
  readonly #database: Database
  readonly #keyring: Keyring
  readonly #build: Kysely<Tables>

  constructor(parts: { readonly database: Database; readonly keyring: Keyring }) {
    this.#database = parts.database
    this.#keyring = parts.keyring
    this.#build = queryBuilder(parts.database.kind)
  }

  async create(webhook: NewWebhook, maxPerDevice: number, now: number): Promise<WebhookRow | 'limit_reached'> {
    const [build, { deviceId }] = [this.#build, webhook]
    const seal = (id: number) => this.#seal(deviceId, id, webhook)
    const count = this.#of(build.selectFrom('webhooks'), deviceId).select((of) => of.fn.countAll<number>().as('count'))
    const created = await this.#database.write(function* () {
      if (deviceId !== undefined && (yield* lockDevice(deviceId)) === undefined)
        throw new ParleyError('not_found', 'the device does not exist (any more)')
      const owned = yield* runOne(count)
      if (owned!.count >= maxPerDevice) return 'limit_reached'
      const inserted = yield* runOne(
        build
          .insertInto('webhooks')
          .values({
            device_id: deviceId ?? null,
            url: webhook.url,
            events: JSON.stringify(webhook.events),
            active: webhook.active,
            secret: EMPTY,
            headers: EMPTY,
            created_at: now,
            updated_at: now,
          })
          .returning('id'),
      )
      // The id is part of what the sealed values are bound to, so they follow once it is known.
      return (yield* runOne(
        build.updateTable('webhooks').set(seal(inserted!.id)).where('id', '=', inserted!.id).returningAll(),
      ))!
    }, deviceId ?? GLOBAL_LANE)
    return created === 'limit_reached' ? created : this.#toRow(created)
  }

  async get(deviceId: DeviceId, id: number): Promise<WebhookRow | undefined> {
    const row = await this.#database.readAll(
      runOne(this.#of(this.#build.selectFrom('webhooks'), deviceId).selectAll().where('id', '=', id)),
    )
    return row && this.#toRow(row)
  }

  async list(deviceId: DeviceId): Promise<readonly WebhookRow[]> {
    const rows = await this.#database.readAll(
      run(this.#of(this.#build.selectFrom('webhooks'), deviceId).selectAll().orderBy('id')),
    )
    return rows.map((row) => this.#toRow(row))
  }

  async listAll(): Promise<readonly WebhookRow[]> {
    const rows = await this.#database.readAll(run(this.#build.selectFrom('webhooks').selectAll().orderBy('id')))
    return rows.map((row) => this.#toRow(row))
  }

  async update(deviceId: DeviceId, id: number, change: WebhookChange, now: number): Promise<WebhookRow | undefined> {
    const set = {
      ...(change.url !== undefined && { url: change.url }),
      ...(change.events !== undefined && { events: JSON.stringify(change.events) }),
      ...(change.active !== undefined && { active: change.active }),
      ...this.#seal(deviceId, id, change),
      updated_at: now,
    }
    const update = this.#build
      .updateTable('webhooks')
      .set(set)
      .where('device_id', deviceId === undefined ? 'is' : '=', deviceId ?? null)
      .where('id', '=', id)
      .returningAll()
    const row = await this.#database.write(() => runOne(update), deviceId)
    return row && this.#toRow(row)
  }

  async setHealth(id: number, { failingSince, pausedAt }: WebhookHealth): Promise<WebhookRow | undefined> {
    const update = this.#build
      .updateTable('webhooks')
      .set({ failing_since: failingSince ?? null, paused_at: pausedAt ?? null })
      .where('id', '=', id)
      .returningAll()
    const row = await this.#database.write(() => runOne(update))
    return row && this.#toRow(row)
  }

  async delete(deviceId: DeviceId, id: number): Promise<boolean> {
    const remove = this.#build
      .deleteFrom('webhooks')
      .where('device_id', deviceId === undefined ? 'is' : '=', deviceId ?? null)
      .where('id', '=', id)
      .returning('id')
    return (await this.#database.write(() => runOne(remove), deviceId)) !== undefined
  }

  #of<O>(select: SelectQueryBuilder<Tables, 'webhooks', O>, deviceId: DeviceId) {
    return select.where('device_id', deviceId === undefined ? 'is' : '=', deviceId ?? null)
  }

  #seal(deviceId: DeviceId, id: number, given: Pick<WebhookChange, 'secret' | 'headers'>) {
    return {
      ...(given.secret !== undefined && { secret: this.#keyring.sealText(given.secret, secretOf(deviceId, id)) }),
      ...(given.headers !== undefined && {
        headers: this.#keyring.sealText(JSON.stringify(given.headers), headersOf(deviceId, id)),
      }),
    }
  }

  /** What does not open makes this webhook inactive: nothing may go out unsigned, and the others are not concerned. */
  #open(row: Selectable<WebhookTable>): Pick<WebhookRow, 'secret' | 'headers'> & { readonly active?: false } {
    const deviceId = row.device_id ?? undefined
    try {
      return {
        secret: this.#keyring.openText(row.secret, secretOf(deviceId, row.id)),
        headers: JSON.parse(this.#keyring.openText(row.headers, headersOf(deviceId, row.id))),
      }
    } catch (error) {
      if (!isParleyError(error, 'data_damaged')) throw error
      return { secret: '', headers: {}, active: false }
    }
  }

  #toRow(row: Selectable<WebhookTable>): WebhookRow {
    const deviceId = row.device_id ?? undefined
    return {
      id: row.id,
      deviceId,
      url: row.url,
      events: JSON.parse(row.events) as string[],
      active: Boolean(row.active),
      ...this.#open(row),
      failingSince: row.failing_since ?? undefined,
      pausedAt: row.paused_at ?? undefined,
      createdAt: row.created_at,
      updatedAt: row.updated_at,
    }
  }
}
