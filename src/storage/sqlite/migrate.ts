import type { Clock } from '../../kernel/clock.ts'
import { loadMigrations, pendingMigrations } from '../migrations.ts'
import type { SqliteDatabase } from './database.ts'
import { translateSqliteError } from './errors.ts'

/** How long a start waits for another process that is migrating the same file, ms. */
const LOCK_TIMEOUT = 30_000

/** Applies what is missing, all in one transaction that other processes wait for. @throws conflict, storage_unavailable */
export const migrateSqlite = async (database: SqliteDatabase, clock: Clock): Promise<void> => {
  const migrations = await loadMigrations('sqlite')
  const { connection, label } = database
  const applied = (): number => {
    const table = connection.prepare("select 1 from sqlite_master where type = 'table' and name = 'schema_migrations'")
    if (!table.get()) return 0
    return connection.prepare<[], { version: number }>('select max(version) as version from schema_migrations').get()!
      .version
  }
  const before = connection.pragma('busy_timeout', { simple: true })
  connection.pragma(`busy_timeout = ${LOCK_TIMEOUT}`)
  try {
    if (pendingMigrations(migrations, applied(), label).length === 0) return
    connection
      .transaction(() => {
        connection.exec(
          'create table if not exists schema_migrations (version integer primary key, name text not null, applied_at integer not null) strict',
        )
        const note = connection.prepare('insert into schema_migrations (version, name, applied_at) values (?, ?, ?)')
        for (const migration of pendingMigrations(migrations, applied() ?? 0, label)) {
          connection.exec(migration.text)
          note.run(migration.version, migration.name, clock.now())
        }
      })
      .immediate()
  } catch (error) {
    throw translateSqliteError(error, label)
  } finally {
    connection.pragma(`busy_timeout = ${before}`)
  }
}
