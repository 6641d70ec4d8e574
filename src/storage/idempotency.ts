import type { Clock } from '../kernel/clock.ts'
import { type Database, query, queryOne, sql } from './database.ts'
import { lockDevice } from './device-lock.ts'
import { deviceGone } from './events.ts'
import type { IdempotencyRepository, IdempotencyRow, IdempotencyScope, NewIdempotency } from './port/idempotency.ts'
import { pruneInSlices } from './prune.ts'

const dropExpired = sql(
  'idempotency_expire',
  'delete from idempotency where device_id = ? and route = ? and key = ? and created_at < ?',
)
const insert = sql(
  'idempotency_insert',
  `insert into idempotency (device_id, route, key, fingerprint, message_id, created_at) values (?, ?, ?, ?, ?, ?)
   on conflict (device_id, route, key) do nothing returning 1 as claimed`,
)
const read = sql(
  'idempotency_get',
  'select fingerprint, message_id, reply from idempotency where device_id = ? and route = ? and key = ?',
)
const putReply = sql(
  'idempotency_finish',
  'update idempotency set reply = ? where device_id = ? and route = ? and key = ?',
)
const drop = sql(
  'idempotency_release',
  `delete from idempotency where device_id = ? and route = ? and key = ? and reply is null and not exists (
     select 1 from messages m where m.device_id = idempotency.device_id and m.message_id = idempotency.message_id
       and m.from_me = ? and m.state <> 'failed')`,
)
const prune = sql(
  'idempotency_prune',
  `delete from idempotency where (device_id, route, key) in (
     select device_id, route, key from idempotency where created_at < ? order by created_at limit ?) returning 1 as gone`,
)

interface Stored {
  readonly fingerprint: string
  readonly message_id: string
  readonly reply: string | null
}

/** Requests by their Idempotency-Key. */
export class IdempotencyStore implements IdempotencyRepository {
  readonly #database: Database
  readonly #clock: Clock

  constructor(parts: { readonly database: Database; readonly clock: Clock }) {
    this.#database = parts.database
    this.#clock = parts.clock
  }

  claim(request: NewIdempotency, expiredBefore: number): Promise<IdempotencyRow | undefined> {
    const { deviceId, route, key, fingerprint, messageId } = request
    const now = this.#clock.now()
    return this.#database.write(function* () {
      if ((yield* lockDevice(deviceId)) === undefined) throw deviceGone()
      yield* query(dropExpired, deviceId, route, key, expiredBefore)
      if (yield* queryOne(insert, deviceId, route, key, fingerprint, messageId, now)) return undefined
      const stored = (yield* queryOne<Stored>(read, deviceId, route, key))!
      return { fingerprint: stored.fingerprint, messageId: stored.message_id, reply: stored.reply ?? undefined }
    }, deviceId)
  }

  async finish({ deviceId, route, key }: IdempotencyScope, reply: string): Promise<void> {
    await this.#database.write(() => query(putReply, reply, deviceId, route, key), deviceId)
  }

  async release({ deviceId, route, key }: IdempotencyScope): Promise<void> {
    await this.#database.write(function* () {
      // behind a send of this device that is still being committed
      yield* lockDevice(deviceId)
      yield* query(drop, deviceId, route, key, true)
    }, deviceId)
  }

  prune(before: number): Promise<number> {
    return pruneInSlices(this.#database, prune, before)
  }
}
