import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import addFormats from 'ajv-formats'
import type { TSchema } from 'typebox'
import { ParleyError } from '../kernel/errors.ts'
import { NOT_BLANK } from './route.ts'

/** Where the value came from; strings become numbers and booleans everywhere but in JSON. */
export type InputPlace = 'params' | 'query' | 'json' | 'form'

const make = (coerceTypes: boolean): Ajv => {
  const ajv = new Ajv({ coerceTypes, useDefaults: true, allErrors: false, strict: true, allowUnionTypes: true })
  addFormats.default(ajv)
  return ajv
}

const once = <T>(makeIt: () => T): (() => T) => {
  let made: T | undefined
  return () => {
    made ??= makeIt()
    return made
  }
}

const strict = once(() => make(false))
const lenient = once(() => make(true))

/** Compiling all validators would cost most of the start; each one is compiled when its first input arrives. */
const lazily = (schema: TSchema, place: InputPlace | 'reply'): (() => ValidateFunction) =>
  once(() => (place === 'json' || place === 'reply' ? strict() : lenient()).compile(schema))

/** A check that throws `bad_request` naming the field; it fills in defaults and coerces in place. */
export const inputCheck = (schema: TSchema, place: InputPlace): ((value: unknown) => void) => {
  const validator = lazily(schema, place)
  return (value) => {
    const validate = validator()
    if (!validate(value)) throw refusalOf(validate.errors![0]!, place)
  }
}

/** A check for tests: throws a plain Error (500) when a reply misses its documented schema. */
export const replyCheck = (schema: TSchema, routeId: string): ((value: unknown) => void) => {
  const validator = lazily(schema, 'reply')
  return (value) => {
    const validate = validator()
    if (validate(value)) return
    const { instancePath, message } = validate.errors![0]!
    throw new Error(`reply of ${routeId} misses its schema: data${instancePath} ${message}`)
  }
}

/** `/events/2/name` -> `events[2].name`. */
const dotted = (pointer: string): string =>
  pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce((path, part) => (/^\d+$/.test(part) ? `${path}[${part}]` : path === '' ? part : `${path}.${part}`), '')

const join = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`)

const TYPE_WORDS: Readonly<Record<string, string>> = {
  string: 'a string',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  null: 'null',
}

const FORMAT_WORDS: Readonly<Record<string, string>> = {
  uuid: 'a UUID',
  uri: 'a URL',
  email: 'an e-mail address',
  'date-time': 'a date and time in RFC 3339',
}

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`

const complaintOf = ({ keyword, params, message = 'is not acceptable' }: ErrorObject): string => {
  switch (keyword) {
    case 'type':
      return `must be ${[params.type]
        .flat()
        .map((type: string) => TYPE_WORDS[type] ?? type)
        .join(' or ')}`
    case 'minLength':
      return params.limit === 1 ? 'must not be blank' : `must have at least ${plural(params.limit, 'character')}`
    case 'maxLength':
      return `must have at most ${plural(params.limit, 'character')}`
    case 'pattern':
      return params.pattern === NOT_BLANK ? 'must not be blank' : `must match ${params.pattern}`
    case 'format':
      return `must be ${FORMAT_WORDS[params.format] ?? params.format}`
    case 'enum':
      return `must be one of ${params.allowedValues.join(', ')}`
    case 'const':
      return `must be ${JSON.stringify(params.allowedValue)}`
    case 'minimum':
    case 'exclusiveMinimum':
    case 'maximum':
    case 'exclusiveMaximum':
      return `must be ${params.comparison} ${params.limit}`
    case 'minItems':
      return `must have at least ${plural(params.limit, 'entry').replace('entrys', 'entries')}`
    case 'maxItems':
      return `must have at most ${plural(params.limit, 'entry').replace('entrys', 'entries')}`
    default:
      return message
  }
}

const refusalOf = (error: ErrorObject, place: InputPlace): ParleyError => {
  const path = dotted(error.instancePath)
  if (error.keyword === 'required') {
    const field = join(path, error.params.missingProperty)
    return new ParleyError('bad_request', `${field}: is required`, { field })
  }
  if (error.keyword === 'additionalProperties') {
    const field = join(path, error.params.additionalProperty)
    return new ParleyError('bad_request', `${field}: is not known here`, { field })
  }
  const complaint = complaintOf(error)
  if (path === '') return new ParleyError('bad_request', `the ${place === 'query' ? 'query' : 'body'} ${complaint}`)
  return new ParleyError('bad_request', `${path}: ${complaint}`, { field: path })
}
