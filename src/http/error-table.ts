import type { ErrorCode } from '../kernel/errors.ts'

/** The one place where a code becomes an HTTP status (RFC 9110 section 15), grouped by whose doing it is. */
export const STATUS_OF: Readonly<Record<ErrorCode, number>> = {
  // The request itself
  bad_request: 400,
  method_not_allowed: 405,
  too_large: 413,
  unsupported_media_type: 415,
  unprocessable: 422,
  upgrade_required: 426,
  idempotency_mismatch: 422,

  // Who asks
  unauthorized: 401,
  forbidden: 403,
  rate_limited: 429,

  // What is asked for
  not_found: 404,
  gone: 410,
  range_not_satisfiable: 416,
  conflict: 409,
  in_flight: 409,
  not_linked: 409,
  not_connected: 409,

  // WhatsApp
  not_on_whatsapp: 422,
  whatsapp_refused: 502,
  whatsapp_timeout: 504,
  pairing_failed: 504,

  // The gateway
  not_supported: 501,
  storage_unavailable: 503,
  data_damaged: 500,
  internal: 500,
}

/** Seconds told in `Retry-After` when whoever threw did not say (RFC 9110 section 10.2.3). */
export const RETRY_AFTER_OF: Readonly<Partial<Record<ErrorCode, number>>> = {
  rate_limited: 60,
  storage_unavailable: 5,
}
