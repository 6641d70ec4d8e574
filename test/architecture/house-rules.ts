import type { SourceFile } from './repository.ts'

/** Files over this many lines are split by meaning, or stand in `LONG_FILES` with the reason why not. */
export const MAX_LINES = 400
/** A test file is a list; it may be longer. */
const MAX_TEST_LINES = 500

/** Path -> why it stays in one piece. */
export const LONG_FILES: Readonly<Record<string, string>> = {}

export const findLongFiles = (files: readonly SourceFile[], excused = LONG_FILES): readonly string[] =>
  files
    .map(({ path, content }) => ({ path, lines: content.trimEnd().split('\n').length }))
    .filter(({ path, lines }) => lines > (path.endsWith('.test.ts') ? MAX_TEST_LINES : MAX_LINES) && !(path in excused))
    .map(({ path, lines }) => `${path} has ${lines} lines`)

/**
 * An error that is caught and dropped without a word: `catch {}`, or one that holds nothing but comments.
 * `promise.catch(() => undefined)` is allowed: it says that a promise which others wait for may fail unheard here.
 */
export const findEmptyCatches = (files: readonly SourceFile[]): readonly string[] =>
  files.flatMap(({ path, content }) => {
    const code = content.replace(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/[^\n]*/g, ' ')
    return [...code.matchAll(/\bcatch\s*(?:\([^)]*\)\s*)?\{\s*\}|\.catch\(\s*\(\)\s*=>\s*\{\s*\}\s*\)/g)].map(
      ([found]) => `${path}: ${found.replace(/\s+/g, ' ')}`,
    )
  })

/** What must never be committed, and how it looks. */
const GIVEAWAYS: readonly { readonly what: string; readonly pattern: RegExp }[] = [
  { what: 'a path of one machine', pattern: /(?<![\w.~-])\/(?:work|root|Users|home\/[a-z][\w-]*)\/[\w.-]+/ },
  {
    what: 'the host of a package registry',
    pattern: /https?:\/\/(?!registry\.npmjs\.org)[^\s/"'`)]*(?:registry|artifactory|nexus|verdaccio)[^\s/"'`)]*/i,
  },
  { what: 'a private key', pattern: /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s*\n?[A-Za-z0-9+/]{20}/ },
  { what: 'a token', pattern: /\beyJ[\w-]{20,}\.eyJ[\w-]{20,}\.[\w-]{20,}/ },
]

export const findGiveaways = (files: readonly SourceFile[]): readonly string[] =>
  files.flatMap(({ path, content }) =>
    GIVEAWAYS.flatMap(({ what, pattern }) => {
      const found = pattern.exec(content)
      return found ? [`${path} holds ${what}: ${found[0].slice(0, 60)}`] : []
    }),
  )
