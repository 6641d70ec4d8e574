import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NO_EFFECT } from '../../src/config/no-effect.ts'
import { type GroupName, listSettings } from '../../src/config/table.ts'
import { readCode } from './repository.ts'

const code = readCode()
  .filter(({ path }) => path.startsWith('src/') && !path.startsWith('src/config/') && !path.endsWith('.test.ts'))
  .map(({ content }) => content)
  .join('\n')

/** `config.ts` turns these into `storage.main` and `storage.keys`. */
const WORKED_UP: Readonly<Record<string, RegExp>> = {
  WHATSAPP_DATASTORE_TYPE: /config\.storage\.main\b/,
  WHATSAPP_DATASTORE_URI: /config\.storage\.main\b/,
  WHATSAPP_KEYS_DATASTORE_URI: /config\.storage\.keys\b/,
}

/** Read as `config.group.key`, or as `key` where the group is handed on whole. */
const isRead = (source: string, name: string, group: GroupName, key: string): boolean => {
  if (WORKED_UP[name]) return WORKED_UP[name].test(source)
  if (new RegExp(`\\bconfig\\.${group}\\.${key}\\b`).test(source)) return true
  return new RegExp(`\\bconfig\\.${group}\\b(?!\\.)`).test(source) && new RegExp(`[.{,\\s]${key}\\b`).test(source)
}

test('settings without effect are exactly those that the reference page says have none', () => {
  const unread = listSettings().filter(({ group, key, setting }) => !isRead(code, setting.name, group, key))
  assert.deepEqual(unread.map(({ setting }) => setting.name).sort(), Object.keys(NO_EFFECT).sort())
})

test('reading is told from not reading', () => {
  assert.equal(isRead('x(config.http.gzipLevel)', 'HTTP_GZIP_LEVEL', 'http', 'gzipLevel'), true)
  assert.equal(isRead('x(config.http)\nconst { gzipLevel } = http', 'HTTP_GZIP_LEVEL', 'http', 'gzipLevel'), true)
  assert.equal(isRead('x(config.http.baseUrl); const gzipLevel = 1', 'HTTP_GZIP_LEVEL', 'http', 'gzipLevel'), false)
})
