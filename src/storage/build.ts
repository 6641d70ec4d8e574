import {
  type Compilable,
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import type { Row, Work } from './database.ts'
import type { Tables } from './tables.ts'

/**
 * Kysely as a builder of typed SQL only: what it compiles runs through our own database, so that administration shares
 * transactions, counting and error handling with the rest.
 */
export const queryBuilder = (kind: 'sqlite' | 'postgres'): Kysely<Tables> =>
  new Kysely<Tables>({
    dialect:
      kind === 'sqlite'
        ? {
            createDriver: () => new DummyDriver(),
            createAdapter: () => new SqliteAdapter(),
            createIntrospector: (db) => new SqliteIntrospector(db),
            createQueryCompiler: () => new SqliteQueryCompiler(),
          }
        : {
            createDriver: () => new DummyDriver(),
            createAdapter: () => new PostgresAdapter(),
            createIntrospector: (db) => new PostgresIntrospector(db),
            createQueryCompiler: () => new PostgresQueryCompiler(),
          },
  })

/** Inside a unit: runs a built query. */
export function* run<R>(built: Compilable<R>): Work<readonly R[]> {
  const { sql: text, parameters } = built.compile()
  const rows: readonly Row[] = yield { sql: { name: undefined, sqlite: text, postgres: text }, params: parameters }
  return rows as readonly R[]
}

/** Inside a unit: the first row of a built query, if any. */
export function* runOne<R>(built: Compilable<R>): Work<R | undefined> {
  return (yield* run(built))[0]
}
