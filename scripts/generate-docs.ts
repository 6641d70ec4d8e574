/** Writes the generated documents: `npm run docs`. A test fails when one of them is stale. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { renderDocuments } from './documents.ts'

const root = join(import.meta.dirname, '..')

for (const [path, content] of renderDocuments()) {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), content)
  console.log(`wrote ${path}`)
}
