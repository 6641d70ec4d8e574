import { newUuid } from '../kernel/ids.ts'

const ACCEPTABLE = /^[A-Za-z0-9._:-]{1,128}$/

/** The caller's own `X-Request-ID` when it is safe to log and to echo, else a new UUID. */
export const requestIdFrom = (header: string | string[] | undefined): string =>
  typeof header === 'string' && ACCEPTABLE.test(header) ? header : newUuid()
