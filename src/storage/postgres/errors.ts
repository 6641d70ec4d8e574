import { messageOf, ParleyError } from '../../kernel/errors.ts'

/**
 * SQLSTATEs that say the server cannot serve now: https://www.postgresql.org/docs/current/errcodes-appendix.html
 * 08 connection, 28 who may log in, 3D no such database, 53 resources, 57 operator intervention (shutdown, timeout),
 * 58 system error, 25006 read-only (a standby), 40 rolled back (deadlock) after the retries, 55P03 lock timeout.
 */
const AWAY_STATE = /^(08|28|3D|53|57|58|40)|^(25006|55P03)$/
const AWAY_CODE =
  /^(ECONN|ETIMEDOUT|EPIPE|EHOST|ENET|ENOTFOUND|EAI_|EADDR|ENOENT$|ERR_TLS|ERR_SSL|CERT_|SELF_SIGNED|DEPTH_|UNABLE_TO)/
/** Errors of pg and pg-pool, which carry no code. */
const AWAY_WORDS =
  /Connection terminated|timeout exceeded when trying to connect|Query read timeout|not queryable|Client was closed|after calling end|timeout expired|does not support SSL|Connection ended/i

export const isAway = (error: unknown): boolean => {
  if (!(error instanceof Error)) return false
  if (error instanceof AggregateError) return error.errors.some(isAway)
  const code = (error as { code?: unknown }).code
  if (typeof code === 'string' && (AWAY_STATE.test(code) || AWAY_CODE.test(code))) return true
  return AWAY_WORDS.test(error.message)
}

/** Deadlock or serialisation failure: the same unit again may well succeed. */
export const isRetryable = (error: unknown): boolean =>
  error instanceof Error && ['40P01', '40001'].includes((error as { code?: string }).code ?? '')

/** Driver errors become ours; anything else passes. */
export const translatePostgresError = (error: unknown, label: string): unknown => {
  if (!(error instanceof Error) || error instanceof ParleyError) return error
  if (isAway(error))
    return new ParleyError('storage_unavailable', `the database ${label} cannot be used now (${wordsOf(error)})`, {
      retryAfterSeconds: 5,
      cause: error,
    })
  const code = (error as { code?: unknown }).code
  if (typeof code !== 'string' || !/^[0-9A-Z]{5}$/.test(code)) return error
  if (code === '23503')
    return new ParleyError('conflict', 'something this refers to does not exist (any more)', { cause: error })
  if (code.startsWith('23'))
    return new ParleyError('conflict', 'this conflicts with what is stored already', { cause: error })
  return new ParleyError('internal', 'the database refused a statement', { cause: error })
}

/** An AggregateError (both address families refused) has no words of its own. */
const wordsOf = (error: Error): string =>
  error.message || (error instanceof AggregateError ? messageOf(error.errors[0]) : error.name)
