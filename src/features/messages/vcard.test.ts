import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ParleyError } from '../../kernel/errors.ts'
import { buildVcard } from './vcard.ts'

test('a card has the name, and the number as WhatsApp finds it', () => {
  assert.equal(
    buildVcard({ name: 'Jöhn; Doe, Jr\\', phone: '6281234567890', organization: 'Acme' }),
    [
      'BEGIN:VCARD',
      'VERSION:3.0',
      'N:;Jöhn\\; Doe\\, Jr\\\\;;;',
      'FN:Jöhn\\; Doe\\, Jr\\\\',
      'ORG:Acme',
      'TEL;type=CELL;type=VOICE;waid=6281234567890:+6281234567890',
      'END:VCARD',
    ].join('\n'),
  )
})

test('no name adds a line', () => {
  for (const bad of ['a\nTEL:+1', 'a\r\nb', 'a\u2028b', 'a\u0085b', 'a\u0000', 'a\tb'])
    assert.throws(
      () => buildVcard({ name: bad, phone: '1' }, 'contacts[2].'),
      (error) => error instanceof ParleyError && error.field === 'contacts[2].name',
    )
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (name) => {
      try {
        assert.equal(buildVcard({ name, phone: '628123456' }).split(/\r\n|[\n\r\u0085\u2028\u2029]/).length, 6)
      } catch (error) {
        assert.ok(error instanceof ParleyError)
      }
    }),
  )
})
