import type { DatabaseUri } from '../database-uri.ts'
import type { OpenDatabase, OpenedDatabase } from '../opened-database.ts'
import { postgresBulk } from './bulk.ts'
import { settleTls } from './connection.ts'
import { PostgresDatabase } from './database.ts'
import { postgresDeliveries } from './deliveries.ts'
import { translatePostgresError } from './errors.ts'
import { alignLogPosition } from './log-position.ts'
import { migratePostgres } from './migrate.ts'
import { PostgresOwnerLock } from './owner.ts'

/** The lock comes before the migrations: a newer version must not change the schema under a running older one. */
export const openPostgres = async (
  { target, label }: DatabaseUri,
  { clock, logger, own, onOwnerLost }: OpenDatabase,
): Promise<OpenedDatabase> => {
  const uri = await settleTls(target).catch((error: unknown) => {
    throw translatePostgresError(error, label)
  })
  const lock = own ? await PostgresOwnerLock.take({ uri, label, clock, logger, onLost: onOwnerLost }) : undefined
  try {
    await migratePostgres(uri, label, clock)
  } catch (error) {
    await lock?.[Symbol.asyncDispose]()
    throw error
  }
  const database = new PostgresDatabase({ uri, label, logger })
  // Only the owner writes events.
  if (lock) await alignLogPosition(database)
  return { database, bulk: postgresBulk, deliveries: postgresDeliveries, lock }
}
