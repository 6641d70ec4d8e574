import { posix } from 'node:path'
import type { SourceFile } from './repository.ts'

export interface Import {
  /** The importing file. */
  readonly from: string
  /** Path from the root for a relative import, else the package's name (`@scope/name`, `node:fs`). */
  readonly to: string
  readonly isPackage: boolean
  /** Gone after type stripping: `import type`, `export type`. */
  readonly isType: boolean
}

// A statement's clause holds no quote or semicolon, so the text between the keyword and `from` is told from code.
const STATEMENT = /(?:^|[\n;])[ \t]*(import|export)\b([^'"`;]*?)\bfrom[ \t\n]*['"]([^'"\n]+)['"]/g
const BARE = /(?:^|[\n;])[ \t]*import[ \t]*['"]([^'"\n]+)['"]/g
const DYNAMIC = /\bimport[ \t\n]*\([ \t\n]*['"`]([^'"`\n]+)['"`]/g
/** Comments, and strings left standing: what looks like a comment inside a string is none. */
const COMMENT_OR_STRING = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/g

const withoutComments = (code: string): string =>
  code.replace(COMMENT_OR_STRING, (found) => (found.startsWith('/') ? ' ' : found))

/** Everything a file imports or re-exports, `import type` and `import()` included. */
export const listImports = ({ path, content }: SourceFile): readonly Import[] => {
  const code = withoutComments(content)
  const statements = [...code.matchAll(STATEMENT)].map(([, , clause, target]) => ({
    target: target!,
    isType: /^\s*type\b(?!\s*(?:,|from))/.test(clause!) || isAllTypes(clause!),
  }))
  const others = [...code.matchAll(BARE), ...code.matchAll(DYNAMIC)].map(([, target]) => ({
    target: target!,
    isType: false,
  }))
  return [...statements, ...others].map(({ target, isType }) => ({
    from: path,
    isType,
    ...resolveTarget(path, target),
  }))
}

/** `{ type A, type B }` leaves nothing at run time either. */
const isAllTypes = (clause: string): boolean => {
  const names = /^\s*\{([^}]*)\}\s*$/.exec(clause)?.[1]
  const parts = names?.split(',').filter((name) => name.trim() !== '')
  return parts !== undefined && parts.length > 0 && parts.every((name) => /^\s*type\s/.test(name))
}

const resolveTarget = (from: string, target: string): { to: string; isPackage: boolean } => {
  if (target.startsWith('.')) return { to: posix.join(posix.dirname(from), target), isPackage: false }
  const depth = target.startsWith('@') ? 2 : 1
  return { to: target.startsWith('node:') ? target : target.split('/').slice(0, depth).join('/'), isPackage: true }
}
