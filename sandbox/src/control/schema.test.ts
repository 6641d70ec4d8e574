import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findFault, type ObjectSchema } from './schema.ts'

const schema: ObjectSchema = {
  type: 'object',
  properties: {
    name: { type: 'string', minLength: 1, maxLength: 5 },
    kind: { type: 'string', enum: ['a', 'b'] },
    code: { type: 'string', pattern: '^\\d+$' },
    count: { type: 'integer', minimum: 1, maximum: 9 },
    on: { type: 'boolean' },
    list: { type: 'array', items: { type: 'string', minLength: 2 }, minItems: 1, maxItems: 2 },
    free: { type: 'object', properties: {}, additionalProperties: true },
  },
  required: ['name'],
}

test('what fits has no fault', () => {
  const value = { name: 'Ann', kind: 'b', code: '007', count: 9, on: false, list: ['ab'], free: { any: 1 } }
  assert.equal(findFault(schema, value), undefined)
})

test('a fault names its field', () => {
  const cases: readonly [unknown, string][] = [
    [null, 'body must be an object'],
    [[], 'body must be an object'],
    [{}, 'name is missing'],
    [{ name: '' }, 'name must have at least 1 characters'],
    [{ name: 'Johann' }, 'name is longer than 5 characters'],
    [{ name: 1 }, 'name must be a text'],
    [{ name: 'A', other: 1 }, 'other is not known here'],
    [{ name: 'A', kind: 'c' }, 'kind must be one of a, b'],
    [{ name: 'A', code: 'x' }, 'code must match ^\\d+$'],
    [{ name: 'A', count: 0 }, 'count must be between 1 and 9'],
    [{ name: 'A', count: 1.5 }, 'count must be a whole number'],
    [{ name: 'A', on: 'true' }, 'on must be true or false'],
    [{ name: 'A', list: 'ab' }, 'list must be a list'],
    [{ name: 'A', list: [] }, 'list has 0 entries'],
    [{ name: 'A', list: ['ab', 'c'] }, 'list[1] must have at least 2 characters'],
    [{ name: 'A', free: 'x' }, 'free must be an object'],
  ]
  for (const [value, fault] of cases) assert.equal(findFault(schema, value), fault)
})
