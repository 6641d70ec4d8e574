import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseEnv } from 'node:util'
import { renderEnvExample } from '../src/config/documents.ts'
import { listSettings } from '../src/config/table.ts'
import { renderDocuments } from './documents.ts'

const root = join(import.meta.dirname, '..')

for (const [path, content] of renderDocuments()) {
  test(`${path} is fresh (else: npm run docs)`, () => {
    assert.equal(readFileSync(join(root, path), 'utf8'), content)
  })
}

test('a copy of .env.example changes nothing, and its lines uncommented are the defaults', () => {
  const example = renderEnvExample()
  assert.deepEqual({ ...parseEnv(example) }, {})
  const values = parseEnv(example.replace(/^#(?=[A-Z])/gm, ''))
  for (const { setting } of listSettings()) assert.equal(values[setting.name], setting.default ?? '', setting.name)
})
