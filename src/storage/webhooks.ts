import type { Kysely, Selectable } from 'kysely'
import { ParleyError } from '../kernel/errors.ts'
import { queryBuilder, run, runOne } from './build.ts'
import type { Database } from './database.ts'
import { lockDevice } from './device-lock.ts'
import type { Keyring } from './keyring.ts'
import type { WebhookChange, WebhookRepository, WebhookRow } from './port/webhooks.ts'
import { rowIdentity } from './seal.ts'
import type { Tables, WebhookTable } from './tables.ts'

const secretOf = (deviceId: string, id: number) => rowIdentity('webhooks', deviceId, 'secret', String(id))
const headersOf = (deviceId: string, id: number) => rowIdentity('webhooks', deviceId, 'headers', String(id))
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

  async create(
    webhook: Parameters<WebhookRepository['create']>[0],
    maxPerDevice: number,
    now: number,
  ): Promise<WebhookRow | 'limit_reached'> {
    const [build, { deviceId }] = [this.#build, webhook]
    const seal = (id: number) => this.#seal(deviceId, id, webhook)
    const created = await this.#database.write(function* () {
      if ((yield* lockDevice(deviceId)) === undefined)
        throw new ParleyError('not_found', 'the device does not exist (any more)')
      const owned = yield* runOne(
        build
          .selectFrom('webhooks')
          .where('device_id', '=', deviceId)
          .select((of) => of.fn.countAll<number>().as('count')),
      )
      if (owned!.count >= maxPerDevice) return 'limit_reached'
      const inserted = yield* runOne(
        build
          .insertInto('webhooks')
          .values({
            device_id: deviceId,
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
    }, deviceId)
    return created === 'limit_reached' ? created : this.#toRow(created)
  }

  async get(deviceId: string, id: number): Promise<WebhookRow | undefined> {
    const row = await this.#database.readAll(
      runOne(this.#build.selectFrom('webhooks').selectAll().where('device_id', '=', deviceId).where('id', '=', id)),
    )
    return row && this.#toRow(row)
  }

  async list(deviceId: string): Promise<readonly WebhookRow[]> {
    const rows = await this.#database.readAll(
      run(this.#build.selectFrom('webhooks').selectAll().where('device_id', '=', deviceId).orderBy('id')),
    )
    return rows.map((row) => this.#toRow(row))
  }

  async listAll(): Promise<readonly WebhookRow[]> {
    const rows = await this.#database.readAll(run(this.#build.selectFrom('webhooks').selectAll().orderBy('id')))
    return rows.map((row) => this.#toRow(row))
  }

  async update(deviceId: string, id: number, change: WebhookChange, now: number): Promise<WebhookRow | undefined> {
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
      .where('device_id', '=', deviceId)
      .where('id', '=', id)
      .returningAll()
    const row = await this.#database.write(() => runOne(update), deviceId)
    return row && this.#toRow(row)
  }

  async delete(deviceId: string, id: number): Promise<boolean> {
    const remove = this.#build
      .deleteFrom('webhooks')
      .where('device_id', '=', deviceId)
      .where('id', '=', id)
      .returning('id')
    return (await this.#database.write(() => runOne(remove), deviceId)) !== undefined
  }

  #seal(deviceId: string, id: number, given: Pick<WebhookChange, 'secret' | 'headers'>) {
    return {
      ...(given.secret !== undefined && { secret: this.#keyring.sealText(given.secret, secretOf(deviceId, id)) }),
      ...(given.headers !== undefined && {
        headers: this.#keyring.sealText(JSON.stringify(given.headers), headersOf(deviceId, id)),
      }),
    }
  }

  #toRow(row: Selectable<WebhookTable>): WebhookRow {
    return {
      id: row.id,
      deviceId: row.device_id,
      url: row.url,
      events: JSON.parse(row.events) as string[],
      active: Boolean(row.active),
      secret: this.#keyring.openText(row.secret, secretOf(row.device_id, row.id)),
      headers: JSON.parse(this.#keyring.openText(row.headers, headersOf(row.device_id, row.id))),
      createdAt: row.created_at,
      updatedAt: row.updated_at,
    }
  }
}
