import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { EVENT_NAMES, EVENTS, eventNamed, isSubscribable, matches } from './catalogue.ts'
import { webhookBodyExample, webhookBodySchema } from './envelope.ts'
import { faultsOfPayload } from './validate.ts'

interface ContractEvent {
  readonly name: string
  readonly category: string
  readonly data: readonly { readonly name: string; readonly type: string }[]
}
const contract = JSON.parse(
  readFileSync(new URL('../../test/contract/webhook-events.json', import.meta.url), 'utf8'),
) as { readonly events: readonly ContractEvent[] }

describe('the catalogue', () => {
  test('knows every name of the contract, once, and four of its own', () => {
    const ours = EVENT_NAMES.filter((name) => !contract.events.some((event) => event.name === name))
    assert.deepEqual(ours, ['contact.merged', 'message.status', 'webhook.paused', 'webhook.resumed'])
    assert.equal(EVENT_NAMES.length, contract.events.length + ours.length)
    assert.equal(new Set(EVENT_NAMES).size, EVENT_NAMES.length)
  })

  test('has every field of the contract in every event with a schema, required where the contract does not say optional', () => {
    for (const { name, category, data } of contract.events) {
      const definition = eventNamed(name)
      if (!definition) continue
      assert.equal(definition.category, category, name)
      for (const field of data) {
        assert.ok(Object.hasOwn(definition.payload.properties, field.name), `${name} lacks ${field.name}`)
        const optional = field.type.includes('optional')
        assert.equal((definition.payload.required ?? []).includes(field.name), !optional, `${name}.${field.name}`)
      }
    }
  })

  test('names every chat and every person both ways, with what does not change', () => {
    const lacking = EVENTS.flatMap(({ name, payload }) => {
      const fields = Object.keys(payload.properties)
      const needed = [
        ...(fields.includes('chat') ? ['chat_pn', 'chat_lid', 'conversation_id', 'contact_id'] : []),
        ...(fields.includes('from') ? ['from_pn', 'from_lid', 'conversation_id', 'contact_id'] : []),
        // where there is `from`, it is the same person
        ...(fields.includes('sender') && !fields.includes('from') ? ['sender_pn', 'sender_lid', 'contact_id'] : []),
      ]
      return needed.filter((field) => !(payload.required ?? []).includes(field)).map((field) => `${name}.${field}`)
    })
    assert.deepEqual(lacking, [])
  })

  test('gives each event an example that fits its schema', () => {
    assert.ok(EVENTS.length >= 23)
    for (const definition of EVENTS) {
      assert.deepEqual(faultsOfPayload(definition.name, definition.example as Record<string, unknown>), [])
      assert.equal(webhookBodyExample(definition).event_type, definition.name)
      assert.deepEqual(webhookBodySchema(definition).required, [
        'id',
        'sequence',
        'event_type',
        'device_id',
        'timestamp',
        'attempt',
        'data',
      ])
    }
  })

  test('finds wrong, missing and undeclared fields', () => {
    const { example } = eventNamed('message.received')!
    const faults = faultsOfPayload('message.received', { ...example, timestamp: '1', secret: 'x', chat: undefined })
    assert.deepEqual(faults.toSorted(), [
      '/timestamp must be integer',
      "payload must have required property 'chat'",
      'secret is not declared',
    ])
    assert.deepEqual(faultsOfPayload('call.offer', {}), ['call.offer has no schema'])
  })
})

describe('subscriptions', () => {
  test('may name an event, an area or everything', () => {
    for (const pattern of ['message.received', 'call.offer', 'message.*', 'label.*', '*'])
      assert.ok(isSubscribable(pattern), pattern)
    for (const pattern of ['', 'message', 'message.', 'message.recieved', 'messages.*', '*.received', 'message.**'])
      assert.ok(!isSubscribable(pattern), pattern)
  })

  test('want what they name; an empty list wants everything', () => {
    assert.ok(matches([], 'message.read'))
    assert.ok(matches(['*'], 'message.read'))
    assert.ok(matches(['call.offer', 'message.read'], 'message.read'))
    assert.ok(matches(['message.*'], 'message.read'))
    assert.ok(!matches(['message.*'], 'messages.read'))
    assert.ok(!matches(['message.received'], 'message.read'))
  })
})
