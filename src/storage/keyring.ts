import { createSecretKey, hkdfSync, randomBytes } from 'node:crypto'
import type { Clock } from '../kernel/clock.ts'
import { isParleyError, ParleyError } from '../kernel/errors.ts'
import { type Database, query, sql, type Work } from './database.ts'
import { type DataKey, openBytes, rowIdentity, sealBytes, sealedWith } from './seal.ts'

/** What wraps the data keys, and the variable it comes from (for messages). */
export interface WrappingKey {
  /** 32 bytes. */
  readonly key: Uint8Array
  readonly variable: string
}

export interface StorageSecret {
  readonly key: WrappingKey
  /** Still accepted; what they wrap is re-wrapped with `key` at the start. */
  readonly previous?: readonly WrappingKey[]
}

/**
 * The wrapping keys of a configuration. `DATA_ENCRYPTION_KEY` (32 bytes as hex or base64) wraps; without it a key
 * derived from `JWT_SECRET_KEY`. Setting `DATA_ENCRYPTION_KEY` later needs no other step: what the derived key wrapped
 * is accepted. `DATA_ENCRYPTION_KEY_PREVIOUS` may also hold an earlier `JWT_SECRET_KEY`.
 * @throws bad_request naming the variable
 */
export const wrappingKeys = (config: {
  readonly jwtSecretKey: string
  readonly dataEncryptionKey?: string | undefined
  readonly dataEncryptionKeyPrevious?: string | undefined
}): StorageSecret => {
  const derived: WrappingKey = { key: deriveKey(config.jwtSecretKey), variable: 'JWT_SECRET_KEY' }
  const previous: WrappingKey[] = []
  const before = config.dataEncryptionKeyPrevious
  if (before) {
    const variable = 'DATA_ENCRYPTION_KEY_PREVIOUS'
    const bytes = parseKeyBytes(before)
    if (bytes) previous.push({ key: bytes, variable })
    previous.push({ key: deriveKey(before), variable })
  }
  if (!config.dataEncryptionKey) return { key: derived, previous }
  const key = parseKeyBytes(config.dataEncryptionKey)
  if (!key)
    throw new ParleyError(
      'bad_request',
      'DATA_ENCRYPTION_KEY must be 32 bytes, written as 64 hex digits or as base64',
      {
        field: 'DATA_ENCRYPTION_KEY',
      },
    )
  return { key: { key, variable: 'DATA_ENCRYPTION_KEY' }, previous: [...previous, derived] }
}

const deriveKey = (secret: string): Uint8Array =>
  new Uint8Array(hkdfSync('sha256', secret, '', 'parley data key wrapping', 32))

const parseKeyBytes = (text: string): Uint8Array | undefined => {
  const given = text.trim()
  if (/^[0-9a-f]{64}$/i.test(given)) return Buffer.from(given, 'hex')
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(given)) return undefined
  const bytes = Buffer.from(given, 'base64url') // takes both alphabets
  return bytes.length === 32 ? bytes : undefined
}

const listKeys = sql('data_keys_list', 'select id, wrapped from data_keys order by id')
const insertKey = sql('data_keys_insert', 'insert into data_keys (id, wrapped, created_at) values (?, ?, ?)')
const rewrapKey = sql('data_keys_rewrap', 'update data_keys set wrapped = ? where id = ?')

interface StoredKey {
  readonly id: number
  readonly wrapped: Uint8Array
}

const asDataKey = (id: number, key: Uint8Array): DataKey => ({ id, key: createSecretKey(key) })
const identityOf = (id: number) => rowIdentity('data_keys', '', '', String(id))

const unwrap = (stored: StoredKey, secret: StorageSecret, label: string): { raw: Buffer; by: WrappingKey } => {
  for (const by of [secret.key, ...(secret.previous ?? [])]) {
    try {
      sealedWith(stored.wrapped)
      return { raw: openBytes(asDataKey(0, by.key), stored.wrapped, identityOf(stored.id)), by }
    } catch (error) {
      if (!isParleyError(error, 'data_damaged')) throw error
    }
  }
  const { variable } = secret.key
  throw new ParleyError(
    'bad_request',
    `${variable} does not open the keys stored in ${label}: it was set up with another one. Restore it, or set DATA_ENCRYPTION_KEY_PREVIOUS to the old one once.`,
    { field: variable },
  )
}

const wrap = (id: number, raw: Uint8Array, by: WrappingKey): Buffer =>
  sealBytes(asDataKey(0, by.key), raw, identityOf(id))

/** The data keys of one database, unwrapped. Seals with the newest, opens with any. */
export class Keyring {
  readonly #keys: ReadonlyMap<number, DataKey>
  readonly #newest: DataKey

  private constructor(keys: readonly DataKey[]) {
    this.#keys = new Map(keys.map((key) => [key.id, key]))
    this.#newest = keys.at(-1)!
  }

  /**
   * Reads the keys, makes the first one, re-wraps what an earlier wrapping key wrapped.
   * @throws bad_request naming the variable when the wrapping key is the wrong one
   */
  static async load(database: Database, secret: StorageSecret, clock: Clock): Promise<Keyring> {
    return new Keyring(
      await database.write(function* () {
        const { keys } = yield* rewrapAll(database.label, secret)
        if (keys.length === 0) keys.push(yield* addKey(1, secret, clock))
        return keys
      }, 'data_keys'),
    )
  }

  seal(plain: Uint8Array, identity: Buffer): Buffer {
    return sealBytes(this.#newest, plain, identity)
  }

  /** @throws data_damaged when it does not open */
  open(sealed: Uint8Array, identity: Buffer): Buffer {
    const key = this.#keys.get(sealedWith(sealed))
    if (!key) throw new ParleyError('data_damaged', 'a sealed value names a data key that is not in this database')
    return openBytes(key, sealed, identity)
  }

  sealText(text: string, identity: Buffer): Buffer {
    return this.seal(Buffer.from(text, 'utf8'), identity)
  }

  openText(sealed: Uint8Array, identity: Buffer): string {
    return this.open(sealed, identity).toString('utf8')
  }
}

const lockKeys = sql('data_keys_lock', 'update owner set epoch = epoch where id = 1')

/** Two processes starting together must not both make key 1: the owner row serialises them. */
function* rewrapAll(label: string, secret: StorageSecret): Work<{ keys: DataKey[]; rewrapped: number }> {
  yield* query(lockKeys)
  const stored = yield* query<StoredKey>(listKeys)
  const keys: DataKey[] = []
  let rewrapped = 0
  for (const row of stored) {
    const { raw, by } = unwrap(row, secret, label)
    if (by !== secret.key) {
      yield* query(rewrapKey, wrap(row.id, raw, secret.key), row.id)
      rewrapped += 1
    }
    keys.push(asDataKey(row.id, raw))
  }
  return { keys, rewrapped }
}

function* addKey(id: number, secret: StorageSecret, clock: Clock): Work<DataKey> {
  const raw = randomBytes(32)
  yield* query(insertKey, id, wrap(id, raw, secret.key), clock.now())
  return asDataKey(id, raw)
}

/**
 * Re-wraps every data key with `secret.key`, accepting `secret.previous`; with `fresh` also adds a new data key, which
 * seals from the next start on (older rows stay readable). Safe beside a running gateway: it holds the keys unwrapped.
 */
export const rewrapDataKeys = (
  database: Database,
  secret: StorageSecret,
  clock: Clock,
  fresh: boolean,
): Promise<{ readonly rewrapped: number; readonly newest: number }> =>
  database.write(function* () {
    const { keys, rewrapped } = yield* rewrapAll(database.label, secret)
    const last = keys.at(-1)?.id ?? 0
    if (!fresh && last > 0) return { rewrapped, newest: last }
    return { rewrapped, newest: (yield* addKey(last + 1, secret, clock)).id }
  }, 'data_keys')
