import type { DatabaseUri } from '../database-uri.ts'
import type { OpenDatabase, OpenedDatabase } from '../opened-database.ts'
import { sqliteBulk } from './bulk.ts'
import { SqliteDatabase } from './database.ts'
import { sqliteDeliveries } from './deliveries.ts'
import { migrateSqlite } from './migrate.ts'
import { lockSqliteOwner } from './owner.ts'

/** The lock comes before the migrations: a newer version must not change the schema under a running older one. */
export const openSqlite = async ({ target }: DatabaseUri, { clock, own }: OpenDatabase): Promise<OpenedDatabase> => {
  const database = new SqliteDatabase(target)
  let lock: OpenedDatabase['lock']
  try {
    lock = own ? lockSqliteOwner(database) : undefined
    await migrateSqlite(database, clock)
  } catch (error) {
    await database[Symbol.asyncDispose]()
    await lock?.[Symbol.asyncDispose]()
    throw error
  }
  return { database, bulk: sqliteBulk, deliveries: sqliteDeliveries, lock }
}
