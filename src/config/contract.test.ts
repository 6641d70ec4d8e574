import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parseConfig } from './config.ts'
import type { Setting } from './setting.ts'
import { listSettings } from './table.ts'

interface ContractRow {
  readonly name: string
  readonly type: string
  readonly default: string | number | boolean | null
  readonly range_or_enum: string | readonly string[] | null
  readonly required?: boolean
}

const rows: readonly ContractRow[] = JSON.parse(
  readFileSync(new URL('../../test/contract/config.json', import.meta.url), 'utf8'),
)
const table = new Map(listSettings().map(({ setting }) => [setting.name, setting]))

/** Where we say more than the contract on purpose, and why. */
const OTHER_DEFAULT: Readonly<Record<string, string>> = {
  WHATSAPP_DATASTORE_TYPE: 'unset, because the scheme of the URI decides; postgres:// gives the documented postgres',
}
const OTHER_KIND: Readonly<Record<string, Setting<unknown>['kind']>> = {
  HTTP_CORS_ORIGIN: 'list',
  TRUST_PROXY: 'list',
  WEBHOOK_ALLOWED_NETWORKS: 'list',
}

test('the table has exactly the settings of the contract', () => {
  assert.deepEqual([...table.keys()].sort(), rows.map(({ name }) => name).sort())
})

for (const row of rows) {
  test(`${row.name}: kind and default as in the contract`, () => {
    const setting = table.get(row.name)!
    assert.equal(setting.kind, OTHER_KIND[row.name] ?? row.type)
    if (row.name in OTHER_DEFAULT) assert.equal(setting.default, undefined)
    else assert.equal(setting.default ?? null, row.default === null ? null : String(row.default))
  })

  const range = typeof row.range_or_enum === 'string' && /^(\w+)-(\w+)$/.exec(row.range_or_enum)
  if (range) {
    test(`${row.name}: the range is ${row.range_or_enum}, ends included`, () => {
      const [, lowest = '', highest = ''] = range
      assert.doesNotThrow(() => parseOne(row.name, lowest))
      assert.doesNotThrow(() => parseOne(row.name, highest))
      assert.throws(() =>
        parseOne(
          row.name,
          highest.replace(/^\d+/, (n) => String(Number(n) + 1)),
        ),
      )
      // Below the range the contract forgives some; the others stop the start.
      if (!table.get(row.name)!.fallback) {
        const below = row.type === 'duration' ? '1ms' : String(Number(lowest) - 1)
        if (!(row.name === 'SERVER_PORT' && below === '0')) assert.throws(() => parseOne(row.name, below))
      }
    })
  }

  if (Array.isArray(row.range_or_enum)) {
    test(`${row.name}: takes its words and no other`, () => {
      for (const word of row.range_or_enum as readonly string[]) {
        assert.equal(table.get(row.name)!.parse(word, assert.fail), word)
      }
      assert.throws(() => parseOne(row.name, 'something-else'))
    })
  }
}

const parseOne = (name: string, value: string) =>
  parseConfig({ [name]: value }, { adminSecretKey: '', jwtSecretKey: '', sqlitePath: 'x' })

test('only the three that the seed requires are required', () => {
  const needed = rows.filter(({ required }) => required).map(({ name }) => name)
  assert.deepEqual(needed, ['ADMIN_SECRET_KEY', 'JWT_SECRET_KEY', 'WHATSAPP_DATASTORE_URI'])
})
