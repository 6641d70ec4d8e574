import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ftsQuery, queryTermsOf, scopeTerm, termsOf, tsQuery } from './search-terms.ts'

test('words without case, accents and punctuation', () => {
  assert.deepEqual(termsOf('Où est le Café? LE café!'), ['ou', 'est', 'le', 'cafe'])
  assert.deepEqual(termsOf('Привет, МИР'), ['привет', 'мир'])
  assert.deepEqual(termsOf('مَرْحَبًا'), ['مرحبا'])
  assert.deepEqual(termsOf('ﬁne ①'), ['fine', '1'])
})

test('scripts without spaces by characters and pairs, also beside others', () => {
  assert.deepEqual(termsOf('東京都'), ['東', '京', '都', '東京', '京都'])
  assert.deepEqual(termsOf('iPhoneを買う').slice(0, 2), ['iphone', 'を'])
  assert.deepEqual(termsOf('ab สวัสดี')[0], 'ab')
})

test('a pictograph is a word', () => {
  assert.deepEqual(termsOf('done🎉🎉 👍🏽'), ['done', '🎉', '👍'])
})

test('whatever is found holds neither quotes nor operators', () => {
  for (const { term } of queryTermsOf(`a" OR 'b' & c:* (d) NOT -e ^f {g}`)) assert.match(term, /^[\p{L}\p{N}]+$/u)
  assert.deepEqual(queryTermsOf(' "\'()&|! '), [])
})

test('a search asks for all words by their beginnings, within the conversation and its aliases', () => {
  const id = '0b1f6a52-2f0e-4c39-8f0c-4be3f1b4a5d1'
  const terms = queryTermsOf('Hel 東京')
  assert.equal(ftsQuery([id], terms), `("${scopeTerm(id)}") AND "hel" * AND "東京"`)
  assert.equal(tsQuery([id, id], terms), `('${scopeTerm(id)}' | '${scopeTerm(id)}') & 'hel':* & '東京'`)
})

test('a long word is cut the same on both sides; a huge text has bounded terms', () => {
  const long = 'x'.repeat(5_000)
  assert.equal(termsOf(long)[0], queryTermsOf(long)[0]?.term)
  assert.ok(termsOf(Array.from({ length: 20_000 }, (_, i) => `w${i}`).join(' ')).length <= 4_001)
})
