import pg from 'pg'
import { unescapeNul } from './text.ts'

const { builtins } = pg.types
const TEXT_ARRAY = 1009

const parseInt8 = (text: string): number => {
  const value = Number(text)
  if (!Number.isSafeInteger(value)) throw new RangeError('the database holds an integer beyond 2^53')
  return value
}

/** int8 as numbers (ids, times and counts are safe integers), text with its NULs back. */
const types = {
  getTypeParser(oid: number, format?: 'text' | 'binary') {
    if (format !== 'binary') {
      if (oid === builtins.INT8) return parseInt8
      if (oid === builtins.TEXT || oid === builtins.VARCHAR) return unescapeNul
      if (oid === TEXT_ARRAY) throw new Error('no statement reads text arrays')
    }
    return pg.types.getTypeParser(oid, format)
  },
} as pg.CustomTypesConfig

/** How long a new connection may take, ms. */
const CONNECT_TIMEOUT = 5000

/** The settings that every connection shares. `sslmode` means what it means to libpq. */
export const connectionConfig = (uri: string, applicationName: string): pg.ClientConfig => {
  const url = new URL(uri)
  if (url.searchParams.get('sslmode') === 'allow') url.searchParams.set('sslmode', 'prefer')
  url.searchParams.set('uselibpqcompat', 'true')
  return {
    connectionString: url.href,
    application_name: applicationName,
    connectionTimeoutMillis: CONNECT_TIMEOUT,
    keepAlive: true,
    types,
  }
}

/**
 * The URI to use from now on: with `sslmode=prefer` the server is asked once, and TLS is left off when it has none.
 * @throws the driver's error when the server cannot be reached
 */
export const settleTls = async (uri: string): Promise<string> => {
  const client = new pg.Client(connectionConfig(uri, 'parley'))
  client.on('error', () => undefined) // comes again as the rejection of connect
  try {
    await client.connect()
    return uri
  } catch (error) {
    const url = new URL(uri)
    if (!/^(prefer|allow)$/.test(url.searchParams.get('sslmode') ?? '')) throw error
    if (!(error instanceof Error && /does not support SSL/.test(error.message))) throw error
    url.searchParams.set('sslmode', 'disable')
    return settleTls(url.href)
  } finally {
    await client.end()
  }
}
