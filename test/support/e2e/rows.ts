import BetterSqlite3 from 'better-sqlite3'
import pg from 'pg'

/** Plain SQL behind the gateway's back. */
const query = async (uri: string, ...texts: readonly string[]): Promise<readonly Record<string, unknown>[]> => {
  if (uri.startsWith('sqlite:')) {
    const connection = new BetterSqlite3(uri.slice('sqlite:'.length), { readonly: true, timeout: 2000 })
    try {
      return texts.flatMap((text) => connection.prepare(text).all() as Record<string, unknown>[])
    } finally {
      connection.close()
    }
  }
  const client = new pg.Client(uri)
  await client.connect()
  try {
    const rows: Record<string, unknown>[] = []
    for (const text of texts) rows.push(...(await client.query(text)).rows)
    return rows
  } finally {
    await client.end()
  }
}

const TABLES = {
  sqlite: `select name from sqlite_master where type = 'table' and name not like 'sqlite_%' and name not like 'message_search%'`,
  postgres: `select table_name as name from information_schema.tables where table_schema = 'public'`,
}

/** How many rows each table of the database has. */
export const countRows = async (uri: string): Promise<Readonly<Record<string, number>>> => {
  const tables = await query(uri, uri.startsWith('sqlite:') ? TABLES.sqlite : TABLES.postgres)
  const counts = await query(uri, ...tables.map(({ name }) => `select '${name}' as name, count(*) as n from ${name}`))
  return Object.fromEntries(counts.map(({ name, n }) => [name, Number(n)]))
}
