import { Ajv, type ValidateFunction } from 'ajv'
import addFormats from 'ajv-formats'
import { eventNamed } from './catalogue.ts'

// Compiled at first use: production never validates what it builds itself.
const compiled = new Map<string, ValidateFunction>()
const ajv = new Ajv({ allErrors: true, strict: true, strictTypes: false })
addFormats.default(ajv)

/**
 * What is wrong with a payload, one phrase each; empty when nothing is. Stricter than the published schema: a field that
 * is not declared counts as wrong, so that nothing is sent that the documentation does not name.
 */
export const faultsOfPayload = (type: string, payload: Readonly<Record<string, unknown>>): readonly string[] => {
  const definition = eventNamed(type)
  if (!definition) return [`${type} has no schema`]
  let validate = compiled.get(type)
  if (!validate) {
    validate = ajv.compile(definition.payload)
    compiled.set(type, validate)
  }
  const faults = Object.keys(payload)
    .filter((field) => !Object.hasOwn(definition.payload.properties, field))
    .map((field) => `${field} is not declared`)
  if (!validate(payload))
    for (const error of validate.errors ?? []) faults.push(`${error.instancePath || 'payload'} ${error.message ?? ''}`)
  return faults
}
