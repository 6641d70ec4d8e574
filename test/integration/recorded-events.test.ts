import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import { EVENTS } from '../../src/events/catalogue.ts'
import { webhookBodySchema } from '../../src/events/envelope.ts'
import { faultsOfPayload } from '../../src/events/validate.ts'
import { EXAMPLES } from '../support/e2e/examples.ts'

const ajv = new Ajv({ allErrors: true, strict: true, strictTypes: false })
addFormats.default(ajv)

const recorded = new Map(
  readdirSync(EXAMPLES).map((file) => [
    file.slice(0, -'.json'.length),
    JSON.parse(readFileSync(join(EXAMPLES, file), 'utf8')),
  ]),
)

for (const definition of EVENTS)
  test(`${definition.name} was recorded in a run, and is as its schema says`, () => {
    const request = recorded.get(definition.name)
    assert.ok(request, 'not recorded: run the end-to-end test that causes it with RECORD_EVENTS=1')
    const validate = ajv.compile(webhookBodySchema(definition))
    assert.ok(validate(request), JSON.stringify(validate.errors))
    assert.deepEqual(faultsOfPayload(request.event_type, request.data), [])
  })

test('nothing is recorded that is not in the catalogue', () => {
  const known = new Set(EVENTS.map(({ name }) => name))
  assert.deepEqual(
    [...recorded.keys()].filter((name) => !known.has(name)),
    [],
  )
})
