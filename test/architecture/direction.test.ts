import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { findCycle } from './cycles.ts'
import { type Import, listImports } from './imports.ts'
import { readCode } from './repository.ts'
import { judgeImport } from './zones.ts'

const imports = readCode()
  .filter(({ path }) => /^(?:src|sandbox)\//.test(path))
  .flatMap(listImports)

test('imports in src and sandbox keep the directions', () => {
  assert.ok(imports.length > 100, 'the reader of imports found next to nothing')
  assert.deepEqual(
    imports.map(judgeImport).filter((complaint) => complaint !== undefined),
    [],
  )
})

test('every relative import names a file that exists, with its suffix', () => {
  const root = join(import.meta.dirname, '../..')
  const missing = imports.filter(({ to, isPackage }) => !isPackage && !existsSync(join(root, to)))
  assert.deepEqual(missing, [])
})

test('no file needs itself at run time, however far round', () => {
  assert.equal(findCycle(imports), undefined)
})

const file = (from: string, to: string): Import => ({ from, to, isPackage: false, isType: false })
const pack = (from: string, to: string): Import => ({ from, to, isPackage: true, isType: false })

const forbidden: readonly Import[] = [
  file('src/kernel/backoff.ts', 'src/config/config.ts'),
  pack('src/kernel/backoff.ts', 'node:fs'),
  file('src/engine/index.ts', 'src/storage/index.ts'),
  file('src/storage/port/events.ts', 'src/storage/sqlite/events.ts'),
  file('src/storage/sqlite/open.ts', 'src/storage/postgres/open.ts'),
  file('src/engine/baileys/session.ts', 'src/sessions/index.ts'),
  file('src/engine/baileys/session.ts', 'src/storage/sqlite/open.ts'),
  file('src/sessions/registry.ts', 'src/engine/baileys/engine.ts'),
  file('src/sessions/registry.ts', 'src/storage/open.ts'),
  file('src/webhooks/dispatcher.ts', 'src/storage/postgres/deliveries.ts'),
  file('src/features/devices/routes.ts', 'src/engine/baileys/engine.ts'),
  file('src/features/devices/routes.ts', 'src/features/linking/service.ts'),
  file('src/features/devices/routes.ts', 'src/sessions/registry.ts'),
  file('src/features/devices/routes.ts', 'src/http/server.ts'),
  file('src/features/common.ts', 'src/features/devices/service.ts'),
  file('src/http/server.ts', 'src/features/all-routes.ts'),
  file('src/http/server.ts', 'src/sessions/index.ts'),
  file('src/main.ts', 'src/engine/baileys/engine.ts'),
  file('src/features/devices/routes.ts', 'src/compose.ts'),
  file('src/somewhere/new.ts', 'src/kernel/errors.ts'),
  file('src/features/devices/routes.ts', 'test/support/fake-clock.ts'),
  file('src/engine/baileys/session.ts', 'sandbox/src/wire/codec.ts'),
  file('src/engine/baileys/session.test.ts', 'sandbox/src/wire/codec.ts'),
  file('sandbox/src/wire/codec.ts', 'src/kernel/errors.ts'),
  pack('src/sessions/registry.ts', 'baileys'),
  pack('src/webhooks/client.ts', 'pg'),
]
for (const one of forbidden) {
  test(`${one.from} may not import ${one.to}`, () => assert.notEqual(judgeImport(one), undefined))
}

const allowed: readonly Import[] = [
  file('src/compose.ts', 'src/engine/baileys/engine.ts'),
  file('src/features/devices/routes.ts', 'src/features/devices/service.ts'),
  file('src/features/devices/routes.ts', 'src/features/common.ts'),
  file('src/sessions/registry.test.ts', 'test/support/fake-clock.ts'),
  pack('src/engine/baileys/session.ts', 'baileys'),
  pack('sandbox/test/client.ts', 'baileys'),
  pack('src/kernel/ids.ts', 'node:crypto'),
]
for (const one of allowed) {
  test(`${one.from} may import ${one.to}`, () => assert.equal(judgeImport(one), undefined))
}

test('the reader of imports sees every form, and nothing in comments and strings', () => {
  const content = `
import a, { type B } from './a.ts'
import type { C } from "../c.ts"
import {
  d,
  e,
} from 'baileys/lib/Utils'
import { type F, type G } from './f.ts'
import './bare.ts'
export * from './star.ts'
export type { H } from './h.ts'
const later = await import('./later.ts')
type I = import('./i.ts').I
// import x from './comment.ts'
/* import y from './block.ts' */
const text = "see // import z from './text.ts'"
const from = 'value'
`
  const found = listImports({ path: 'src/x/y.ts', content }).map(({ to, isType }) => [to, isType])
  assert.deepEqual(found, [
    ['src/x/a.ts', false],
    ['src/c.ts', true],
    ['baileys', false],
    ['src/x/f.ts', true],
    ['src/x/star.ts', false],
    ['src/x/h.ts', true],
    ['src/x/bare.ts', false],
    ['src/x/later.ts', false],
    ['src/x/i.ts', false],
  ])
})

test('a cycle is found, one of types alone is none', () => {
  const ring = [file('a', 'b'), file('b', 'c'), file('c', 'b')]
  assert.deepEqual(findCycle(ring), ['b', 'c', 'b'])
  assert.equal(findCycle(ring.map((one) => (one.from === 'c' ? { ...one, isType: true } : one))), undefined)
})
