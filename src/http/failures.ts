import { isParleyError, ParleyError } from '../kernel/errors.ts'
import { formatSize } from '../kernel/sizes.ts'
import { RETRY_AFTER_OF, STATUS_OF } from './error-table.ts'
import type { Route } from './route.ts'

const INTERNAL = 'something went wrong inside the gateway; its log has the details under this X-Request-ID'

/** What a refusal says the limit is. */
export type BodyLimitName = 'HTTP_BODY_LIMIT_SIZE' | 'a file in JSON: larger ones come by multipart/form-data or url'

/** Codes that Fastify and its plugins throw for what a caller did; anything else of theirs is our fault. */
const callerFaults = (bodyLimit: number, limit: BodyLimitName): Readonly<Record<string, () => ParleyError>> => {
  const tooLarge = () =>
    new ParleyError('too_large', `the body is larger than ${formatSize(bodyLimit)} (${bodyLimit} bytes, ${limit})`, {
      data: { limit_bytes: bodyLimit, limit },
    })
  const badForm = (why: string) => () => new ParleyError('bad_request', why)
  return {
    FST_ERR_CTP_BODY_TOO_LARGE: tooLarge,
    FST_ERR_CTP_INVALID_MEDIA_TYPE: () =>
      new ParleyError('unsupported_media_type', 'the Content-Type is not supported'),
    FST_ERR_CTP_INVALID_CONTENT_LENGTH: badForm('the body is not as long as Content-Length says'),
    FST_ERR_BAD_URL: badForm('the URL is not well-formed: check its percent-encoding'),
    FST_ERR_MAX_PARAM_LENGTH: badForm('a part of the path is too long'),
    FST_ERR_ASYNC_CONSTRAINT: badForm('the request cannot be routed'),
    FST_REQ_FILE_TOO_LARGE: tooLarge,
    FST_FIELDS_LIMIT: badForm('the form has too many fields'),
    FST_PARTS_LIMIT: badForm('the form has too many parts'),
    FST_FILES_LIMIT: badForm('this form takes no file'),
    FST_PROTO_VIOLATION: badForm('the form has a field with a forbidden name'),
    FST_INVALID_MULTIPART_CONTENT_TYPE: () =>
      new ParleyError('unsupported_media_type', 'the Content-Type says multipart/form-data without a boundary'),
  }
}

/** Turns whatever was thrown into the one error class. What nobody foresaw becomes `internal`, its words kept inside. */
export const failureReader = (
  bodyLimit: number,
  limit: BodyLimitName = 'HTTP_BODY_LIMIT_SIZE',
): ((thrown: unknown) => ParleyError) => {
  const faults = callerFaults(bodyLimit, limit)
  return (thrown) => {
    if (isParleyError(thrown)) {
      return thrown.code === 'internal' ? new ParleyError('internal', INTERNAL, { cause: thrown }) : thrown
    }
    const code = (thrown as { code?: unknown } | null | undefined)?.code
    const known = typeof code === 'string' ? faults[code] : undefined
    return known?.() ?? new ParleyError('internal', INTERNAL, { cause: thrown })
  }
}

/** The HTTP status of a failure, with what the route says otherwise. */
export const statusOf = (error: ParleyError, route: Pick<Route, 'errors'> | undefined): number => {
  const special = route?.errors.find(({ code, status }) => code === error.code && status !== undefined)
  return special?.status ?? STATUS_OF[error.code]
}

export const retryAfterOf = (error: ParleyError): number | undefined =>
  error.retryAfterSeconds ?? RETRY_AFTER_OF[error.code]
