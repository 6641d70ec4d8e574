import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DEFAULT_CONNECTION_CONFIG } from 'baileys'
import { BUILT_IN_VERSION } from './built-in-version.ts'

test('the built-in version is the one of the pinned Baileys', () => {
  assert.deepEqual([...BUILT_IN_VERSION], DEFAULT_CONNECTION_CONFIG.version)
})
