import pg from 'pg'
import type { Clock } from '../../kernel/clock.ts'
import { ParleyError } from '../../kernel/errors.ts'
import { loadMigrations, pendingMigrations } from '../migrations.ts'
import { LOCK_CLASS, MIGRATION_LOCK } from '../owner.ts'
import { connectionConfig } from './connection.ts'
import { translatePostgresError } from './errors.ts'

/** Applies what is missing, all in one transaction that other processes wait for. @throws conflict, bad_request, storage_unavailable */
export const migratePostgres = async (uri: string, label: string, clock: Clock): Promise<void> => {
  const migrations = await loadMigrations('postgres')
  const client = new pg.Client(connectionConfig(uri, 'parley migration'))
  client.on('error', () => undefined) // comes again as the rejection of the statement under way
  const applied = async (): Promise<number> => {
    const table = await client.query("select to_regclass('schema_migrations') is not null as there")
    if (!table.rows[0].there) return 0
    return (await client.query('select max(version) as version from schema_migrations')).rows[0].version ?? 0
  }
  try {
    await client.connect()
    const { rows } = await client.query('show server_encoding')
    if (rows[0].server_encoding !== 'UTF8')
      throw new ParleyError(
        'bad_request',
        `the database ${label} has the encoding ${rows[0].server_encoding}, which cannot hold every text: create it with encoding UTF8`,
      )
    if (pendingMigrations(migrations, await applied(), label).length === 0) return
    await client.query('begin')
    await client.query(`select pg_advisory_xact_lock(${LOCK_CLASS}, ${MIGRATION_LOCK})`)
    await client.query(
      'create table if not exists schema_migrations (version integer primary key, name text not null, applied_at bigint not null)',
    )
    for (const migration of pendingMigrations(migrations, await applied(), label)) {
      await client.query(migration.text)
      await client.query('insert into schema_migrations (version, name, applied_at) values ($1, $2, $3)', [
        migration.version,
        migration.name,
        clock.now(),
      ])
    }
    await client.query('commit')
  } catch (error) {
    throw translatePostgresError(error, label)
  } finally {
    await client.end()
  }
}
