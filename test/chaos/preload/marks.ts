/** What a statement of the gateway means to a trap. */
export interface Mark {
  readonly kind: 'accepted' | 'stored' | 'journal' | 'settled'
  readonly device: string
  /** WhatsApp's id of the message, where the statement names it. */
  readonly messageId: string
}

/** Positions of the parameters in the insert of a message: src/storage/messages.ts. */
const MESSAGE_ID = 3
const FROM_ME = 6
const STATE = 12

/** Reads the SQL as it goes to the driver, so that nothing in `src/` has to know that it is watched. */
export const markOf = (sql: string, params: readonly unknown[]): Mark | undefined => {
  if (sql.startsWith('insert into messages ')) {
    const state = params[STATE]
    const accepted = Boolean(params[FROM_ME]) && state === 'accepted'
    return { kind: accepted ? 'accepted' : 'stored', device: String(params[0]), messageId: String(params[MESSAGE_ID]) }
  }
  if (sql.startsWith('insert into journal ')) return { kind: 'journal', device: String(params[0]), messageId: '' }
  if (sql.startsWith('update deliveries') && params.some(saysSuccess))
    return { kind: 'settled', device: '', messageId: '' }
  return undefined
}

/** One result on SQLite, a list of them on PostgreSQL. */
const saysSuccess = (value: unknown): boolean =>
  value === 'success' || (Array.isArray(value) && value.includes('success'))
