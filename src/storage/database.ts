/**
 * What the repositories stand on: one database, SQLite or PostgreSQL. The difference between the two is this interface
 * and, where one text cannot serve both, a pair of SQL texts.
 *
 * A unit of writing is a generator that yields statements and gets their rows back. The same logic is so driven
 * synchronously by SQLite, where many units share one transaction (a group commit), and by awaits over PostgreSQL.
 */
export type Row = Readonly<Record<string, unknown>>

/** A statement that is prepared once. Rows come back for `select` and `returning`. */
export interface Sql {
  /** Names the prepared statement on PostgreSQL; unique, at most 63 bytes. Undefined = not prepared there. */
  readonly name: string | undefined
  readonly sqlite: string
  readonly postgres: string
}

/** A statement with its parameters: strings, numbers, booleans, bytes, null; on PostgreSQL also arrays (for unnest). */
export interface Call {
  readonly sql: Sql
  readonly params: readonly unknown[]
}

/** A unit: all of it becomes durable, or nothing. It must not wait for anything but its statements. */
export type Work<T> = Generator<Call, T, readonly Row[]>

export interface Database extends AsyncDisposable {
  readonly kind: 'sqlite' | 'postgres'
  /** For messages: path, or host and database, never with credentials. */
  readonly label: string
  /** One statement that only reads. @throws storage_unavailable */
  read<R = Row>(sql: Sql, ...params: readonly unknown[]): Promise<readonly R[]>
  /** Several statements that only read, not in one transaction. @throws storage_unavailable */
  readAll<T>(work: Work<T>): Promise<T>
  /**
   * Runs one unit and resolves when it is durable. Units with the same `lane` (a device id) run one after another.
   * `work` may be called again when the database asks to retry (deadlock).
   * @throws whatever the unit throws (it is then undone, and it alone); storage_unavailable; conflict
   */
  write<T>(work: () => Work<T>, lane?: string): Promise<T>
  /** Statements executed so far. */
  statementCount(): number
}

/** One text for both: `?` placeholders, which become `$1`, `$2` ... on PostgreSQL. No literal `?` in the text. */
export const sql = (name: string, text: string): Sql => ({ name, sqlite: text, postgres: numberPlaceholders(text) })

/** A pair of texts, where one cannot serve both; `?` placeholders in either. */
export const sqlPair = (name: string, texts: { readonly sqlite: string; readonly postgres: string }): Sql => ({
  name,
  sqlite: texts.sqlite,
  postgres: numberPlaceholders(texts.postgres),
})

const numberPlaceholders = (text: string): string => {
  let count = 0
  return text.replace(/\?/g, () => `$${++count}`)
}

/** Inside a unit: `const rows = yield* query<{ id: number }>(statement, a, b)`. */
export function* query<R = Row>(statement: Sql, ...params: readonly unknown[]): Work<readonly R[]> {
  return (yield { sql: statement, params }) as readonly R[]
}

/** Inside a unit: the first row, if any. */
export function* queryOne<R = Row>(statement: Sql, ...params: readonly unknown[]): Work<R | undefined> {
  return ((yield { sql: statement, params }) as readonly R[])[0]
}
