import { chmodSync } from 'node:fs'
import BetterSqlite3 from 'better-sqlite3'
import { type OwnerLock, ownedElsewhere } from '../owner.ts'
import type { SqliteDatabase } from './database.ts'
import { translateSqliteError } from './errors.ts'

/**
 * Holds an exclusive transaction on `<db>.owner`. It rests on file locks of the operating system, so it ends with the
 * process however that dies. A file of its own, because the same lock on the database would shut out tools that read.
 * @throws conflict when another process has it
 */
export const lockSqliteOwner = (database: SqliteDatabase): OwnerLock => {
  if (database.path === ':memory:') return { watch: () => undefined, [Symbol.asyncDispose]: async () => undefined }
  const path = `${database.path}.owner`
  let connection: BetterSqlite3.Database | undefined
  try {
    connection = new BetterSqlite3(path, { timeout: 0 })
    connection.pragma('journal_mode = MEMORY')
    connection.exec('begin exclusive')
    chmodSync(path, 0o600)
  } catch (error) {
    connection?.close()
    const code = String((error as { code?: unknown }).code)
    throw code.startsWith('SQLITE_BUSY') ? ownedElsewhere(database.label) : translateSqliteError(error, path)
  }
  const held = connection
  return { watch: () => undefined, [Symbol.asyncDispose]: async () => void held.close() }
}
