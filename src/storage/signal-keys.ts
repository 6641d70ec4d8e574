import type { Clock } from '../kernel/clock.ts'
import { boundId } from '../kernel/ids.ts'
import type { Bulk, SealedKey } from './bulk.ts'
import { type Database, query, sql } from './database.ts'
import type { Keyring } from './keyring.ts'
import { checkEpoch } from './owner.ts'
import type { KeyCommit, SignalKeyRepository } from './port/signal-keys.ts'
import { pruneInSlices } from './prune.ts'
import { rowIdentity } from './seal.ts'

const readCredentials = sql('credentials_get', 'select value from credentials where device_id = ?')
const putCredentials = sql(
  'credentials_put',
  'insert into credentials (device_id, value, updated_at) values (?, ?, ?) on conflict (device_id) do update set value = excluded.value, updated_at = excluded.updated_at',
)
const listCredentials = sql('credentials_list', 'select device_id from credentials order by device_id')
const readJournal = sql('journal_get', 'select plaintext from journal where device_id = ? and hash = ?')
const putJournal = sql(
  'journal_put',
  'insert into journal (device_id, hash, plaintext, created_at) values (?, ?, ?, ?) on conflict (device_id, hash) do nothing',
)
const pruneJournal = sql(
  'journal_prune',
  'delete from journal where (device_id, hash) in (select device_id, hash from journal where created_at < ? order by created_at limit ?) returning 1 as gone',
)
const forgetKeys = sql('signal_keys_forget', 'delete from signal_keys where device_id = ?')
const forgetJournal = sql('journal_forget', 'delete from journal where device_id = ?')
const forgetCredentials = sql('credentials_forget', 'delete from credentials where device_id = ?')

const credentialsOf = (deviceId: string) => rowIdentity('credentials', deviceId, '', '')
const keyOf = (deviceId: string, type: string, id: string) => rowIdentity('signal_keys', deviceId, type, id)
const journalOf = (deviceId: string, hash: string) => rowIdentity('journal', deviceId, '', hash)

/** Credentials, Signal keys and journal, in the keys database. */
export class SignalKeyStore implements SignalKeyRepository {
  readonly #database: Database
  readonly #bulk: Bulk
  readonly #keyring: Keyring
  readonly #clock: Clock
  readonly #epoch: number

  constructor(parts: {
    readonly database: Database
    readonly bulk: Bulk
    readonly keyring: Keyring
    readonly clock: Clock
    readonly epoch: number
  }) {
    this.#database = parts.database
    this.#bulk = parts.bulk
    this.#keyring = parts.keyring
    this.#clock = parts.clock
    this.#epoch = parts.epoch
  }

  async credentials(deviceId: string): Promise<Uint8Array | undefined> {
    const [row] = await this.#database.read<{ value: Uint8Array }>(readCredentials, deviceId)
    return row && this.#keyring.open(row.value, credentialsOf(deviceId))
  }

  async get(deviceId: string, type: string, ids: readonly string[]): Promise<Map<string, Uint8Array>> {
    if (ids.length === 0) return new Map()
    // ids hold names from the wire, which may have any length
    const asked = new Map(ids.map((id) => [boundId(id), id]))
    const rows = await this.#database.readAll(this.#bulk.getSignalKeys(deviceId, type, [...asked.keys()]))
    return new Map(rows.map(({ id, value }) => [asked.get(id)!, this.#keyring.open(value, keyOf(deviceId, type, id))]))
  }

  async commit(deviceId: string, commit: KeyCommit): Promise<void> {
    const { puts, deletes } = this.#prepare(deviceId, commit)
    const credentials = commit.credentials && this.#keyring.seal(commit.credentials, credentialsOf(deviceId))
    const journal = commit.journal && {
      hash: commit.journal.hash,
      plaintext: this.#keyring.seal(commit.journal.plaintext, journalOf(deviceId, commit.journal.hash)),
    }
    const [database, bulk, epoch, now] = [this.#database, this.#bulk, this.#epoch, this.#clock.now()]
    await database.write(function* () {
      yield* checkEpoch(database, epoch)
      if (deletes.length > 0) yield* bulk.deleteSignalKeys(deviceId, deletes)
      if (puts.length > 0) yield* bulk.putSignalKeys(deviceId, puts)
      if (credentials) yield* query(putCredentials, deviceId, credentials, now)
      if (journal) yield* query(putJournal, deviceId, journal.hash, journal.plaintext, now)
    }, deviceId)
  }

  async journal(deviceId: string, hash: string): Promise<Uint8Array | undefined> {
    const [row] = await this.#database.read<{ plaintext: Uint8Array }>(readJournal, deviceId, hash)
    return row && this.#keyring.open(row.plaintext, journalOf(deviceId, hash))
  }

  pruneJournal(before: number): Promise<number> {
    return pruneInSlices(this.#database, pruneJournal, before)
  }

  async devicesWithCredentials(): Promise<readonly string[]> {
    const rows = await this.#database.read<{ device_id: string }>(listCredentials)
    return rows.map((row) => row.device_id)
  }

  async forget(deviceId: string): Promise<void> {
    await this.#database.write(() => forgetDevice(deviceId), deviceId)
  }

  /** Seals outside the transaction. The last write of a key wins; PostgreSQL refuses two rows of one key in one upsert. */
  #prepare(deviceId: string, commit: KeyCommit) {
    const last = new Map(commit.writes.map((write) => [`${write.type}|${write.id}`, write]))
    const puts: SealedKey[] = []
    const deletes: { type: string; id: string }[] = []
    for (const { type, id: given, value } of last.values()) {
      const id = boundId(given)
      if (value === undefined) deletes.push({ type, id })
      else puts.push({ type, id, value: this.#keyring.seal(value, keyOf(deviceId, type, id)) })
    }
    return { puts, deletes }
  }
}

/** Inside a unit: everything of a device in the keys tables. */
export function* forgetDevice(deviceId: string) {
  yield* query(forgetKeys, deviceId)
  yield* query(forgetJournal, deviceId)
  yield* query(forgetCredentials, deviceId)
}
