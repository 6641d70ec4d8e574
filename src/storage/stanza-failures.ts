import type { Clock } from '../kernel/clock.ts'
import { type Database, queryOne, sql } from './database.ts'
import { lockDevice } from './device-lock.ts'
import { deviceGone } from './events.ts'
import type { Keyring } from './keyring.ts'
import type { StanzaFailure, StanzaFailureRepository, StanzaFailureRow } from './port/stanza-failures.ts'
import { pruneInSlices } from './prune.ts'
import { rowIdentity } from './seal.ts'

const put = sql(
  'stanza_failures_note',
  `insert into stanza_failures (device_id, key, tag, attempts, error, stanza, first_at, last_at, given_up)
   values (?, ?, ?, 1, ?, ?, ?, ?, ?)
   on conflict (device_id, key) do update set attempts = stanza_failures.attempts + 1, error = excluded.error,
     last_at = excluded.last_at, given_up = stanza_failures.attempts + 1 >= ?
   returning attempts, given_up`,
)
const list = sql(
  'stanza_failures_list',
  `select device_id, tag, attempts, error, first_at, last_at, given_up from stanza_failures
   order by last_at desc, device_id, key limit ?`,
)
const read = sql('stanza_failures_get', 'select stanza from stanza_failures where device_id = ? and key = ?')
const prune = sql(
  'stanza_failures_prune',
  `delete from stanza_failures where (device_id, key) in (
     select device_id, key from stanza_failures where last_at < ? order by last_at limit ?) returning 1 as gone`,
)

interface Stored {
  readonly device_id: string
  readonly tag: string
  readonly attempts: number
  readonly error: string
  readonly first_at: number
  readonly last_at: number
  readonly given_up: unknown
}

/** Longest words that are kept of an error, in characters. */
const MOST_WORDS = 500

const identityOf = (deviceId: string, key: string) => rowIdentity('stanza_failures', deviceId, '', key)

export class StanzaFailureStore implements StanzaFailureRepository {
  readonly #database: Database
  readonly #keyring: Keyring
  readonly #clock: Clock

  constructor(parts: { readonly database: Database; readonly keyring: Keyring; readonly clock: Clock }) {
    this.#database = parts.database
    this.#keyring = parts.keyring
    this.#clock = parts.clock
  }

  note(
    deviceId: string,
    { key, tag, error, stanza }: StanzaFailure,
    giveUpAt: number,
  ): Promise<{ readonly attempts: number; readonly givenUp: boolean }> {
    const sealed = this.#keyring.seal(stanza, identityOf(deviceId, key))
    const words = error.slice(0, MOST_WORDS)
    const now = this.#clock.now()
    return this.#database.write(function* () {
      if ((yield* lockDevice(deviceId)) === undefined) throw deviceGone()
      const row = yield* queryOne<Pick<Stored, 'attempts' | 'given_up'>>(
        put,
        deviceId,
        key,
        tag,
        words,
        sealed,
        now,
        now,
        giveUpAt <= 1,
        giveUpAt,
      )
      return { attempts: row!.attempts, givenUp: Boolean(row!.given_up) }
    }, deviceId)
  }

  async list(limit: number): Promise<readonly StanzaFailureRow[]> {
    const rows = await this.#database.read<Stored>(list, limit)
    return rows.map((row) => ({
      deviceId: row.device_id,
      tag: row.tag,
      attempts: row.attempts,
      error: row.error,
      firstAt: row.first_at,
      lastAt: row.last_at,
      givenUp: Boolean(row.given_up),
    }))
  }

  async stanza(deviceId: string, key: string): Promise<Uint8Array | undefined> {
    const [row] = await this.#database.read<{ stanza: Uint8Array }>(read, deviceId, key)
    return row && this.#keyring.open(row.stanza, identityOf(deviceId, key))
  }

  prune(before: number): Promise<number> {
    return pruneInSlices(this.#database, prune, before)
  }
}
