import { isParleyError, messageOf, ParleyError } from '../../kernel/errors.ts'

interface BoomLike {
  readonly isBoom?: boolean
  readonly output?: { readonly statusCode?: number }
  readonly data?: unknown
}

/**
 * What Baileys throws, in the gateway's words: the only place that translates. Error nodes of the service come as a Boom
 * whose `data` is the numeric code; a closed socket as 428; a timeout as 408.
 */
export const toEngineError = (thrown: unknown, doing: string): ParleyError => {
  if (isParleyError(thrown)) return thrown
  // who waits for an answer when the socket closes gets the WebSocket's close code, bare
  if (typeof thrown === 'number')
    return new ParleyError('not_connected', `the connection to WhatsApp closed (${thrown}) while ${doing}`)
  const boom = thrown as BoomLike
  const status = boom?.output?.statusCode
  const message = messageOf(thrown)
  if (message.includes('parley:storage') && thrown instanceof Error && isParleyError(thrown.cause)) return thrown.cause
  const serviceCode = typeof boom?.data === 'number' ? boom.data : undefined
  if (serviceCode !== undefined) {
    const data = { whatsapp_code: serviceCode }
    if (serviceCode === 403 || serviceCode === 401)
      return new ParleyError('forbidden', `WhatsApp does not allow it: ${message}`, { data, cause: thrown })
    if (serviceCode === 404 || serviceCode === 410)
      return new ParleyError('not_found', `WhatsApp does not know it: ${message}`, { data, cause: thrown })
    return new ParleyError('whatsapp_refused', `WhatsApp refused: ${message}`, { data, cause: thrown })
  }
  if (status === 428 || /Connection Closed|Connection Terminated/i.test(message))
    return new ParleyError('not_connected', `the connection to WhatsApp closed while ${doing}`, { cause: thrown })
  // a group's query that was not answered: Baileys takes its own undefined for an answer without a group
  const isUnanswered = message.includes('missing <group> node') && (boom.data ?? null) === null
  if (status === 408 || isUnanswered || /timed? ?out/i.test(message))
    return new ParleyError('whatsapp_timeout', `WhatsApp did not answer while ${doing}`, { cause: thrown })
  if (message.includes('All encryptions failed'))
    return new ParleyError('whatsapp_refused', 'no device of the recipient could be encrypted to', { cause: thrown })
  return new ParleyError('whatsapp_refused', `failed while ${doing}: ${message}`, { cause: thrown })
}

/** Baileys answers a query's timeout with undefined; here it is an error. */
export const orTimeout = <T>(answer: T | undefined, doing: string): T => {
  if (answer === undefined) throw new ParleyError('whatsapp_timeout', `WhatsApp did not answer while ${doing}`)
  return answer
}
