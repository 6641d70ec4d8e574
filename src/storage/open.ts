import type { Clock } from '../kernel/clock.ts'
import type { Logger } from '../kernel/logger.ts'
import { ApiKeyStore } from './api-keys.ts'
import { CachedSignalKeys } from './cached-signal-keys.ts'
import { ChatStore } from './chats.ts'
import { sql } from './database.ts'
import { type DatabaseUri, parseDatabaseUri } from './database-uri.ts'
import { DeliveryStore } from './deliveries.ts'
import { DeviceStore } from './devices.ts'
import { EventStore } from './events.ts'
import { IdempotencyStore } from './idempotency.ts'
import { IdentityStore } from './identities.ts'
import type { Storage } from './index.ts'
import { IntakeStore } from './intake.ts'
import { Keyring, rewrapDataKeys, type StorageSecret } from './keyring.ts'
import { MessageStore } from './messages.ts'
import type { OpenedDatabase } from './opened-database.ts'
import { NOT_OWNER, raiseEpoch } from './owner.ts'
import { openPostgres } from './postgres/open.ts'
import { createSettings } from './settings.ts'
import { SignalKeyStore } from './signal-keys.ts'
import { openSqlite } from './sqlite/open.ts'
import { StanzaFailureStore } from './stanza-failures.ts'
import { WebhookStore } from './webhooks.ts'

export interface OpenStorage {
  /** `sqlite:PATH`, `file:PATH`, a bare path, `:memory:`, or `postgres://...`. */
  readonly uri: string
  /** A second database, of either kind, for credentials, Signal keys and journal. */
  readonly keysUri?: string | undefined
  readonly secret: StorageSecret
  readonly clock: Clock
  readonly logger: Logger
  /** True: this process takes the databases for itself. False (a tool beside it): it may not write Signal keys. */
  readonly own: boolean
  /** Told once when another process took a database from us: stop, nothing of ours is safe any more. */
  readonly onOwnerLost?: (reason: Error) => void
}

/**
 * Opens, locks, migrates and unlocks what is kept.
 * @throws conflict (another process owns it; it is newer than this version), bad_request (a URI or a wrapping key is
 *   wrong), storage_unavailable
 */
export const openStorage = async (options: OpenStorage): Promise<Storage> => {
  const { secret, clock } = options
  await using stack = new AsyncDisposableStack()
  const { opened, openedKeys } = await openDatabases(options, stack)

  const epoch = await own(opened)
  const keysEpoch = openedKeys === opened ? epoch : await own(openedKeys)
  const keyring = await Keyring.load(opened.database, secret, clock)
  const keysKeyring = openedKeys === opened ? keyring : await Keyring.load(openedKeys.database, secret, clock)

  const { database, bulk } = opened
  const signalKeys = new CachedSignalKeys(
    new SignalKeyStore({ ...openedKeys, keyring: keysKeyring, clock, epoch: keysEpoch }),
  )
  const forgetKeys = async (deviceIds: readonly string[]) => {
    if (openedKeys !== opened) for (const deviceId of deviceIds) await signalKeys.forget(deviceId)
  }
  const databases = new Set([database, openedKeys.database])
  const close = stack.move()
  return {
    kind: database.kind,
    apiKeys: new ApiKeyStore({ database, forgetKeys }),
    devices: new DeviceStore({ database, keyring, forgetKeys }),
    settings: createSettings(database),
    signalKeys,
    messages: new MessageStore({ database, bulk, clock }),
    chats: new ChatStore({ database, clock }),
    identities: new IdentityStore({ database }),
    intake: new IntakeStore({ database, bulk, clock }),
    events: new EventStore({ database, bulk, clock }),
    webhooks: new WebhookStore({ database, keyring }),
    deliveries: new DeliveryStore({ database, dialect: opened.deliveries }),
    idempotency: new IdempotencyStore({ database, clock }),
    stanzaFailures: new StanzaFailureStore({ database, keyring, clock }),
    ownerEpoch: epoch,
    ping: async () => {
      for (const one of databases) await one.read(ping)
    },
    statementCount: () => [...databases].reduce((sum, one) => sum + one.statementCount(), 0),
    [Symbol.asyncDispose]: () => close.disposeAsync(),
  }
}

const ping = sql('ping', 'select 1 as pong')

/** Both databases, which may be one. `stack` closes them. */
const openDatabases = async (
  options: OpenStorage,
  stack: AsyncDisposableStack,
): Promise<{ readonly opened: OpenedDatabase; readonly openedKeys: OpenedDatabase }> => {
  const main = parseDatabaseUri(options.uri, 'WHATSAPP_DATASTORE_URI')
  const keys = options.keysUri ? parseDatabaseUri(options.keysUri, 'WHATSAPP_KEYS_DATASTORE_URI') : main
  const opened = await openOne(main, options, stack)
  return { opened, openedKeys: keys.identity === main.identity ? opened : await openOne(keys, options, stack) }
}

/**
 * The command behind key rotation: wraps the data keys of both databases with `secret.key`, accepting
 * `secret.previous`; with `fresh` new rows get a new data key from the next start on. A gateway may be running.
 */
export const rewrapStorage = async (
  options: Omit<OpenStorage, 'own' | 'onOwnerLost'> & { readonly fresh: boolean },
): Promise<readonly { readonly database: string; readonly rewrapped: number; readonly newest: number }[]> => {
  await using stack = new AsyncDisposableStack()
  const { opened, openedKeys } = await openDatabases({ ...options, own: false }, stack)
  const results = []
  for (const { database } of new Set([opened, openedKeys])) {
    const done = await rewrapDataKeys(database, options.secret, options.clock, options.fresh)
    results.push({ database: database.label, ...done })
  }
  return results
}

const openOne = async (
  uri: DatabaseUri,
  options: OpenStorage,
  stack: AsyncDisposableStack,
): Promise<OpenedDatabase> => {
  const { clock, logger, own, onOwnerLost = () => undefined } = options
  const opened = await (uri.kind === 'sqlite' ? openSqlite : openPostgres)(uri, { clock, logger, own, onOwnerLost })
  // Closed in reverse: the database first, the lock last, so that nobody starts while we still write.
  if (opened.lock) stack.use(opened.lock)
  stack.use(opened.database)
  return opened
}

const own = async ({ database, lock }: OpenedDatabase): Promise<number> => {
  if (!lock) return NOT_OWNER
  const epoch = await raiseEpoch(database)
  lock.watch(epoch)
  return epoch
}
