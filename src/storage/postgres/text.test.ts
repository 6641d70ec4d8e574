import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { escapeNul, unescapeNul } from './text.ts'

test('every text comes back, never holds a NUL, and equal stays equal', () => {
  const tricky = fc.string({ unit: fc.constantFrom('\u0000', '\u001a', '0', '1', 'a', 'é', '👍') })
  fc.assert(
    fc.property(tricky, tricky, (a, b) => {
      assert.equal(unescapeNul(escapeNul(a)), a)
      assert.equal(escapeNul(a).includes('\u0000'), false)
      assert.equal(escapeNul(a) === escapeNul(b), a === b)
    }),
  )
})
