// The part of JSON Schema that the control API needs, once for checking and once for its OpenAPI document.

export type Schema = {
  readonly description?: string
  readonly nullable?: boolean
} & (
  | {
      readonly type: 'string'
      readonly enum?: readonly string[]
      readonly pattern?: string
      readonly minLength?: number
      readonly maxLength?: number
      readonly examples?: readonly string[]
    }
  | { readonly type: 'integer'; readonly minimum?: number; readonly maximum?: number; readonly default?: number }
  | { readonly type: 'boolean' }
  | { readonly type: 'array'; readonly items: Schema; readonly minItems?: number; readonly maxItems?: number }
  | ObjectSchema
)

export interface ObjectSchema {
  readonly type: 'object'
  readonly description?: string
  readonly nullable?: boolean
  readonly properties: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  /** Unlisted properties are refused unless this is true. */
  readonly additionalProperties?: boolean
}

export type Fields = Readonly<Record<string, unknown>>

/** @returns what is wrong, with the field named, or undefined */
export function findFault(schema: Schema, value: unknown, name = 'body'): string | undefined {
  switch (schema.type) {
    case 'string':
      return findTextFault(schema, value, name)
    case 'integer': {
      const { minimum = Number.MIN_SAFE_INTEGER, maximum = Number.MAX_SAFE_INTEGER } = schema
      if (typeof value !== 'number' || !Number.isInteger(value)) return `${name} must be a whole number`
      return value < minimum || value > maximum ? `${name} must be between ${minimum} and ${maximum}` : undefined
    }
    case 'boolean':
      return typeof value === 'boolean' ? undefined : `${name} must be true or false`
    case 'array': {
      if (!Array.isArray(value)) return `${name} must be a list`
      const { minItems = 0, maxItems = Number.POSITIVE_INFINITY, items } = schema
      if (value.length < minItems || value.length > maxItems) return `${name} has ${value.length} entries`
      return firstFault(value.map((item, index) => () => findFault(items, item, `${name}[${index}]`)))
    }
    case 'object':
      return findObjectFault(schema, value, name)
  }
}

function findTextFault(schema: Extract<Schema, { type: 'string' }>, value: unknown, name: string): string | undefined {
  if (typeof value !== 'string') return `${name} must be a text`
  const { minLength = 0, maxLength = 65_536, pattern } = schema
  if (value.length < minLength) return `${name} must have at least ${minLength} characters`
  if (value.length > maxLength) return `${name} is longer than ${maxLength} characters`
  if (schema.enum !== undefined && !schema.enum.includes(value))
    return `${name} must be one of ${schema.enum.join(', ')}`
  if (pattern !== undefined && !new RegExp(pattern).test(value)) return `${name} must match ${pattern}`
  return undefined
}

function findObjectFault(schema: ObjectSchema, value: unknown, name: string): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return `${name} must be an object`
  const fields = value as Fields
  const missing = schema.required?.find((field) => fields[field] === undefined)
  if (missing !== undefined) return `${missing} is missing`
  const unknown = Object.keys(fields).find((field) => !(field in schema.properties))
  if (unknown !== undefined && schema.additionalProperties !== true) return `${unknown} is not known here`
  return firstFault(
    Object.entries(schema.properties).map(
      ([field, part]) =>
        () =>
          fields[field] === undefined ? undefined : findFault(part, fields[field], field),
    ),
  )
}

function firstFault(checks: readonly (() => string | undefined)[]): string | undefined {
  for (const check of checks) {
    const fault = check()
    if (fault !== undefined) return fault
  }
  return undefined
}
