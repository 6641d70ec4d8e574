import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { buildOpenApi } from '../http/openapi.ts'
import { describedRoutes } from './all-routes.ts'

interface Row {
  readonly n: number | '*' | null
  readonly method: string
  readonly path: string
  readonly auth: string
}

const rows: readonly Row[] = JSON.parse(
  readFileSync(new URL('../../test/contract/endpoints.json', import.meta.url), 'utf8'),
)

/** Parameter names are ours to choose. */
const shapeOf = (method: string, path: string): string => `${method} ${path.replaceAll(/\{[^}]+\}/g, '{}')}`

const ADDED_FOR_WEBHOOKS = [
  'listWebhookDeadLetters',
  'redriveWebhook',
  'resumeWebhook',
  'getWebhookDeliveryStats',
  'listGlobalWebhooks',
  'createGlobalWebhook',
  'getGlobalWebhook',
  'changeGlobalWebhook',
  'deleteGlobalWebhook',
  'getGlobalWebhookLogs',
  'testGlobalWebhook',
  'listGlobalWebhookDeadLetters',
  'redriveGlobalWebhook',
  'resumeGlobalWebhook',
  'getGlobalWebhookDeliveryStats',
]

test('what is served is in the contract with the same auth, or is one of our few additions', () => {
  const contract = new Map(rows.map((row) => [shapeOf(row.method, row.path), row.auth]))
  const additions: string[] = []
  for (const { id, method, path, auth } of describedRoutes()) {
    const wanted = contract.get(shapeOf(method, path))
    if (wanted === undefined) additions.push(id)
    else assert.equal(auth, wanted, id)
  }
  assert.deepEqual(additions, [
    'listStanzaFailures',
    'getLoginState',
    'getMessage',
    'getMessageMedia',
    'listChats',
    'listEvents',
    'streamEvents',
    'followEvents',
    'listAllEvents',
    ...ADDED_FOR_WEBHOOKS,
  ])
})

test('the document needs nothing that runs, and says the same each time', () => {
  const make = () => JSON.stringify(buildOpenApi(describedRoutes(), [], { version: '1.0.0' }))
  assert.equal(make(), make())
})

test('a described route cannot be called', async () => {
  const stats = describedRoutes().find(({ id }) => id === 'getStats')!
  await assert.rejects(async () => stats.handler({} as never), /for reading only/)
})
