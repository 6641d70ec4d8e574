import { messageOf, ParleyError } from '../../kernel/errors.ts'

/** Result codes that say the file cannot be used now: https://www.sqlite.org/rescode.html */
const AWAY = /^SQLITE_(BUSY|LOCKED|FULL|IOERR|CANTOPEN|READONLY|NOMEM|PROTOCOL|INTERRUPT|CORRUPT|NOTADB|PERM|AUTH)(_|$)/

/** Driver errors become ours; anything else passes. */
export const translateSqliteError = (error: unknown, label: string): unknown => {
  if (!(error instanceof Error) || error instanceof ParleyError) return error
  const code = (error as { code?: unknown }).code
  if (typeof code !== 'string' || !code.startsWith('SQLITE_')) {
    if (error instanceof TypeError && /connection is not open/.test(error.message))
      return unavailable(label, 'is closed', error)
    return error
  }
  if (AWAY.test(code)) return unavailable(label, `cannot be used now (${code}: ${messageOf(error)})`, error)
  if (code === 'SQLITE_CONSTRAINT_FOREIGNKEY')
    return new ParleyError('conflict', 'something this refers to does not exist (any more)', { cause: error })
  if (code.startsWith('SQLITE_CONSTRAINT'))
    return new ParleyError('conflict', 'this conflicts with what is stored already', { cause: error })
  return new ParleyError('internal', 'the database refused a statement', { cause: error })
}

const unavailable = (label: string, what: string, cause: unknown) =>
  new ParleyError('storage_unavailable', `the database ${label} ${what}`, { retryAfterSeconds: 5, cause })
