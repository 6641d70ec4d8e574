/**
 * PostgreSQL's text refuses U+0000, which WhatsApp texts may hold. Every string parameter goes through `escapeNul`,
 * every text value that is read through `unescapeNul`: SUB (U+001A) is the escape character, NUL is SUB `0`, SUB itself
 * is SUB `1`. Both are so rare that nothing is longer in practice, and equality in SQL still holds.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters it is about
const NEEDS_ESCAPE = /[\u0000\u001a]/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: as above
const ESCAPED = /\u001a([01])/g

export const escapeNul = (text: string): string =>
  text.search(NEEDS_ESCAPE) === -1
    ? text
    : text.replace(NEEDS_ESCAPE, (found) => (found === '\u0000' ? '\u001a0' : '\u001a1'))

export const unescapeNul = (text: string): string =>
  text.includes('\u001a') ? text.replace(ESCAPED, (_, which) => (which === '0' ? '\u0000' : '\u001a')) : text
