/**
 * The one error class of the gateway. A code says what happened; `http/error-table.ts` alone says which HTTP status
 * it becomes. Whoever throws never thinks in HTTP.
 */
export type ErrorCode =
  | 'bad_request' // malformed or invalid input; `field` names the culprit
  | 'unauthorized' // no credential, or one that does not hold
  | 'forbidden' // known, but not allowed (also: WhatsApp says so)
  | 'not_found'
  | 'method_not_allowed'
  | 'conflict' // the state does not permit it
  | 'not_linked' // the device has no WhatsApp account
  | 'not_connected' // linked, but no live connection right now
  | 'in_flight' // the same request is still being carried out
  | 'too_large'
  | 'unsupported_media_type'
  | 'unprocessable'
  | 'not_on_whatsapp' // the number has no WhatsApp account
  | 'idempotency_mismatch' // an idempotency key used with another request
  | 'rate_limited' // `retryAfterSeconds` says when again
  | 'gone'
  | 'range_not_satisfiable' // the part of a file that was asked for does not exist
  | 'upgrade_required' // only over a WebSocket
  | 'not_supported' // the engine cannot do this
  | 'whatsapp_refused' // WhatsApp answered with an error; `data.whatsapp_code`
  | 'whatsapp_timeout' // WhatsApp did not answer
  | 'pairing_failed' // linking ended without a device; `data.reason`
  | 'storage_unavailable' // the database is away
  | 'data_damaged' // what is stored does not open: altered, moved, or sealed with another key
  | 'internal'

export interface ErrorDetails {
  /** The input field at fault, in the caller's notation: `text`, `events[2]`, `path.chat_jid`. */
  readonly field?: string
  readonly retryAfterSeconds?: number
  /** Shown to the caller in `data`; snake_case. */
  readonly data?: Readonly<Record<string, unknown>>
  readonly cause?: unknown
}

export class ParleyError extends Error {
  override readonly name = 'ParleyError'
  readonly code: ErrorCode
  readonly field: string | undefined
  readonly retryAfterSeconds: number | undefined
  readonly data: Readonly<Record<string, unknown>> | undefined

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.field = details.field
    this.retryAfterSeconds = details.retryAfterSeconds
    this.data = details.data
  }
}

/** True for a ParleyError, of the given code when one is given. */
export const isParleyError = (error: unknown, code?: ErrorCode): error is ParleyError =>
  error instanceof ParleyError && (code === undefined || error.code === code)

const DISK_CODES = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES', 'EPERM', 'EIO', 'EMFILE', 'ENFILE', 'ENOTDIR'])

/** What a full or forbidden disk throws, as what it is: neither the caller's fault nor WhatsApp's. */
export const diskFailure = (thrown: unknown): ParleyError | undefined => {
  const { code = '', syscall } = (thrown ?? {}) as { readonly code?: string; readonly syscall?: string }
  if (!DISK_CODES.has(code) || syscall === undefined || syscall === 'connect') return undefined
  return new ParleyError('storage_unavailable', `files cannot be written down (${code})`, { cause: thrown })
}

/** The error's words, whatever was thrown (whatsapp-rust-bridge throws strings). */
export const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown))
