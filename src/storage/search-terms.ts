/** Words are cut here; longer ones still match by their beginning. */
const LONGEST_TERM = 48
/** Of one text: a text of 64 KB has about 10 000 words. */
const MOST_TERMS = 4_000

/** Scripts that put no spaces between words: their runs are indexed by single characters and by pairs. */
const UNSPACED =
  '\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Thai}\\p{Script=Lao}\\p{Script=Khmer}\\p{Script=Myanmar}'
const TOKENS = new RegExp(`[${UNSPACED}]+|(?:(?![${UNSPACED}])[\\p{L}\\p{N}])+|\\p{Extended_Pictographic}`, 'gu')
const IS_UNSPACED = new RegExp(`^[${UNSPACED}]`, 'u')

/** Without case, accents, vowel signs and compatibility forms, so that what looks alike is found alike. */
const fold = (text: string): string =>
  text
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .toLowerCase()
    .replace(/[łøđħıßæœ]/g, (letter) => LETTERS[letter]!)

/** Letters that Unicode does not take apart, and that people type without their strokes. */
const LETTERS: Readonly<Record<string, string>> = {
  ł: 'l',
  ø: 'o',
  đ: 'd',
  ħ: 'h',
  ı: 'i',
  ß: 'ss',
  æ: 'ae',
  œ: 'oe',
}

function* tokensOf(text: string): Generator<{ readonly token: string; readonly unspaced: boolean }> {
  for (const [token] of fold(text).matchAll(TOKENS)) yield { token, unspaced: IS_UNSPACED.test(token) }
}

const cut = (token: string): string => Array.from(token).slice(0, LONGEST_TERM).join('')

const pairsOf = (token: string): string[] => {
  const characters = Array.from(token)
  return characters.slice(1).map((character, i) => `${characters[i]}${character}`)
}

/** What a text is found by. The same in both databases, which get finished terms and split nothing themselves. */
export const termsOf = (text: string): string[] => {
  const terms = new Set<string>()
  for (const { token, unspaced } of tokensOf(text)) {
    if (terms.size >= MOST_TERMS) break
    if (!unspaced) terms.add(cut(token))
    else for (const term of [...Array.from(token), ...pairsOf(token)]) terms.add(term)
  }
  return [...terms]
}

export interface QueryTerm {
  readonly term: string
  /** True when it stands for every word that begins so. */
  readonly isPrefix: boolean
}

/** What a search asks for: all of it must be there; words may be given by their beginnings. */
export const queryTermsOf = (search: string): QueryTerm[] =>
  [...tokensOf(search)].slice(0, 32).flatMap(({ token, unspaced }): QueryTerm[] => {
    if (!unspaced) return [{ term: cut(token), isPrefix: true }]
    const pairs = pairsOf(token)
    return (pairs.length > 0 ? pairs : [token]).map((term) => ({ term, isPrefix: false }))
  })

/** The term that keeps a search within one conversation. */
export const scopeTerm = (conversationId: string): string => `c${conversationId.replaceAll('-', '')}`

const quoted = (quote: string, isAll: string, terms: readonly QueryTerm[], prefix: string): string =>
  terms.map(({ term, isPrefix }) => `${quote}${term}${quote}${isPrefix ? prefix : ''}`).join(isAll)

/** A query of SQLite's FTS5: in any of the conversations (one and its aliases), all of the terms. */
export const ftsQuery = (conversationIds: readonly string[], terms: readonly QueryTerm[]): string =>
  `(${conversationIds.map((id) => `"${scopeTerm(id)}"`).join(' OR ')}) AND ${quoted('"', ' AND ', terms, ' *')}`

/** The same as a `tsquery` of PostgreSQL. */
export const tsQuery = (conversationIds: readonly string[], terms: readonly QueryTerm[]): string =>
  `(${conversationIds.map((id) => `'${scopeTerm(id)}'`).join(' | ')}) & ${quoted("'", ' & ', terms, ':*')}`
