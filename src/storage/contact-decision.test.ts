import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decideContact, type KnownContact } from './contact-decision.ts'

interface Contact extends KnownContact {
  readonly id: number
  pn: string | null
  lid: string | null
  aliasOf: number | undefined
}

/** What `contacts.ts` does with a decision, on a list. */
const apply = (contacts: Contact[], pn: string | undefined, lid: string | undefined): Contact => {
  const byPn = pn === undefined ? undefined : contacts.find((one) => one.pn === pn)
  const byLid = lid === undefined ? undefined : contacts.find((one) => one.lid === lid)
  const decision = decideContact(pn, lid, byPn, byLid)
  if (decision.release) decision.release.pn = null
  if (decision.keep === undefined) {
    const made = { id: contacts.length, pn: pn ?? null, lid: lid ?? null, aliasOf: undefined }
    contacts.push(made)
    return made
  }
  if (decision.merge) Object.assign(decision.merge, { pn: null, lid: null, aliasOf: decision.keep.id })
  Object.assign(decision.keep, decision.names)
  return decision.keep
}

const name = (of: string) => fc.option(fc.constantFrom(`${of}1`, `${of}2`, `${of}3`), { nil: undefined })
const stanza = fc
  .record({ pn: name('pn'), lid: name('lid') })
  .filter(({ pn, lid }) => pn !== undefined || lid !== undefined)

test('whatever the order of stanzas: a name leads to one living contact, merges go to the older, LIDs never change', () => {
  fc.assert(
    fc.property(fc.array(stanza, { maxLength: 30 }), (stanzas) => {
      const contacts: Contact[] = []
      for (const { pn, lid } of stanzas) {
        const before = contacts.map((one) => ({ ...one }))
        const found = apply(contacts, pn, lid)
        assert.equal(found.aliasOf, undefined)
        if (pn !== undefined) assert.equal(found.pn, pn)
        if (lid !== undefined) assert.equal(found.lid, lid)
        for (const which of ['pn', 'lid'] as const) {
          const names = contacts.flatMap((one) => one[which] ?? [])
          assert.equal(new Set(names).size, names.length, `one contact per ${which}`)
        }
        for (const one of contacts) {
          const old = before[one.id]
          if (one.aliasOf !== undefined) {
            assert.ok(one.aliasOf < one.id, 'the older one stays')
            assert.deepEqual([one.pn, one.lid], [null, null])
          } else if (old?.lid) assert.equal(one.lid, old.lid)
          if (old?.aliasOf !== undefined) assert.equal(one.aliasOf, old.aliasOf)
        }
        // The same stanza again changes nothing.
        const settled = structuredClone(contacts)
        assert.equal(apply(contacts, pn, lid).id, found.id)
        assert.deepEqual(contacts, settled)
      }
    }),
  )
})

test('two people with a LID each are never merged', () => {
  const a: KnownContact = { id: 1, pn: 'p', lid: 'a' }
  const b: KnownContact = { id: 2, pn: null, lid: 'b' }
  assert.deepEqual(decideContact('p', 'b', a, b), { release: a, keep: b, names: { pn: 'p', lid: 'b' } })
  assert.deepEqual(decideContact('p', 'new', a, undefined), { release: a, keep: undefined })
})
