import { resolve } from 'node:path'
import { ParleyError } from '../kernel/errors.ts'

/** Where a database is, of which kind. */
export interface DatabaseUri {
  readonly kind: 'sqlite' | 'postgres'
  /** SQLite: the path or `:memory:`. PostgreSQL: the URI as given. */
  readonly target: string
  /** Equal for two URIs that mean the same database. */
  readonly identity: string
  /** For messages: never with credentials. */
  readonly label: string
}

/**
 * `sqlite:PATH`, `sqlite://PATH`, `sqlite3:PATH`, `file:PATH` (a `?query` is ignored), a bare path, `:memory:`,
 * `postgres://...`, `postgresql://...`.
 * @throws bad_request naming `variable`
 */
export const parseDatabaseUri = (uri: string, variable: string): DatabaseUri => {
  const given = uri.trim()
  const refuse = (why: string) =>
    new ParleyError(
      'bad_request',
      `${variable} ${why}: write sqlite:./data/parley.sqlite or postgres://user:password@host:5432/database`,
      { field: variable },
    )
  if (given === '') throw refuse('is empty')
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(given)?.[1]?.toLowerCase()
  if (scheme === 'postgres' || scheme === 'postgresql') {
    if (!URL.canParse(given)) throw refuse('is not a valid URL')
    const { hostname, port, pathname, searchParams } = new URL(given)
    const host = searchParams.get('host') ?? decodeURIComponent(hostname)
    const label = `${host || 'localhost'}:${port || '5432'}${pathname}`
    return { kind: 'postgres', target: given, identity: `postgres ${label}`, label }
  }
  if (/^(host|user|dbname|port)=/.test(given)) throw refuse('is a key=value string, not a URI')
  if (scheme && scheme !== 'sqlite' && scheme !== 'sqlite3' && scheme !== 'file')
    throw refuse(`has the unknown scheme "${scheme}"`)
  const path = sqlitePath(given, scheme)
  if (path === undefined) throw refuse('names no file')
  // Each ":memory:" is a database of its own.
  if (path === ':memory:') return { kind: 'sqlite', target: path, identity: 'sqlite :memory:', label: path }
  const absolute = resolve(path)
  return { kind: 'sqlite', target: absolute, identity: `sqlite ${absolute}`, label: absolute }
}

const sqlitePath = (given: string, scheme: string | undefined): string | undefined => {
  if (scheme === undefined || given === ':memory:') return given
  const rest = given.slice(scheme.length + 1).replace(/\?.*$/, '')
  if (rest === '' || rest === '//') return undefined
  const path = rest.replace(/^\/\//, '')
  // Only file: is a URL with percent escapes; a malformed one is taken as it stands.
  if (scheme !== 'file' || /%(?![0-9a-f]{2})/i.test(path)) return path
  return decodeURIComponent(path)
}
