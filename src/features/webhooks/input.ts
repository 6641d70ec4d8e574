import { isSubscribable } from '../../events/catalogue.ts'
import { ParleyError } from '../../kernel/errors.ts'
import { isReservedHeader } from '../../webhooks/request.ts'
import { MAX_HEADER_VALUE, MAX_HEADERS } from './schema.ts'

const refuse = (field: string, why: string) => new ParleyError('bad_request', `${field}: ${why}`, { field })

/** The subscription's patterns, each once. @throws bad_request naming `events[i]` */
export const checkEvents = (events: readonly string[]): readonly string[] => {
  for (const [index, pattern] of events.entries())
    if (!isSubscribable(pattern)) throw refuse(`events[${index}]`, `"${pattern}" is no event, \`area.*\` or \`*\``)
  return [...new Set(events)]
}

/** RFC 9110, 5.6.2 (token) and 5.5 (field values; here without obsolete forms and anything beyond ASCII). */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}$/
const VALUE = /^[\x20-\x7e\t]*$/

/** Custom request headers. @throws bad_request naming `headers` or `headers.NAME` */
export const checkHeaders = (headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> => {
  const entries = Object.entries(headers)
  if (entries.length > MAX_HEADERS) throw refuse('headers', `must not be more than ${MAX_HEADERS}`)
  const seen = new Set<string>()
  for (const [name, value] of entries) {
    const field = `headers.${name.slice(0, 100)}`
    if (!TOKEN.test(name)) throw refuse(field, 'is not the name of a header')
    if (isReservedHeader(name)) throw refuse(field, 'is set by the gateway')
    if (seen.has(name.toLowerCase())) throw refuse(field, 'is given twice')
    if (value.length > MAX_HEADER_VALUE) throw refuse(field, `must not be longer than ${MAX_HEADER_VALUE} characters`)
    if (!VALUE.test(value)) throw refuse(field, 'must be printable ASCII')
    seen.add(name.toLowerCase())
  }
  return Object.fromEntries(entries.map(([name, value]) => [name, value.trim()]))
}
