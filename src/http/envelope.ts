import type { ParleyError } from '../kernel/errors.ts'

/**
 * The envelope around every JSON reply: `{status: true, code, message, data?}` or
 * `{status: false, code, message, error, data?}` with `error == message`; `code` is the HTTP status.
 */
export interface FailureEnvelope {
  readonly status: false
  readonly code: number
  readonly message: string
  readonly error: string
  /** `error_code` always; `field`, `whatsapp_code`, `reason`, ... where they apply. */
  readonly data: Readonly<Record<string, unknown>>
}

/** The JSON text of a success. Written by hand around `data`: half the work of stringifying a wrapping object. */
export const writeSuccess = (status: number, message: string, data: unknown, repeatAtTop: boolean): string => {
  const head = `{"status":true,"code":${status},"message":${JSON.stringify(message)}`
  if (data === undefined) return `${head}}`
  const body = JSON.stringify(data)
  if (!repeatAtTop) return `${head},"data":${body}}`
  const { message: _same, ...fields } = data as Record<string, unknown>
  const repeated = JSON.stringify(fields).slice(1, -1)
  return repeated === '' ? `${head},"data":${body}}` : `${head},${repeated},"data":${body}}`
}

export const failureOf = (status: number, error: ParleyError): FailureEnvelope => ({
  status: false,
  code: status,
  message: error.message,
  error: error.message,
  data: {
    ...error.data,
    ...(error.field === undefined ? {} : { field: error.field }),
    error_code: error.code,
  },
})
