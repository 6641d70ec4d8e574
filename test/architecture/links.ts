import { posix } from 'node:path'
import type { SourceFile } from './repository.ts'

const FENCED = /^(`{3,}|~{3,})[^\n]*\n[\s\S]*?^\1[ \t]*$/gm
const LINK = /\[(?:[^[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g

const withoutCode = (markdown: string): string => markdown.replace(FENCED, '').replace(/`[^`\n]*`/g, 'code')

/** The anchors of a page's headings, as GitHub makes them: lower case, no punctuation, spaces as hyphens. */
const anchorsOf = (markdown: string): ReadonlySet<string> => {
  const anchors = new Set<string>()
  for (const [, heading] of markdown.replace(FENCED, '').matchAll(/^#{1,6}[ \t]+(.+?)[ \t]*#*$/gm)) {
    const plain = heading!.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase()
    const base = plain.replace(/[^\p{L}\p{N}\s_-]/gu, '').replace(/\s/g, '-')
    let anchor = base
    for (let n = 1; anchors.has(anchor); n += 1) anchor = `${base}-${n}`
    anchors.add(anchor)
  }
  return anchors
}

/** Links inside the repository that lead nowhere: to a missing file, or to a heading that a page does not have. */
export const findDeadLinks = (pages: readonly SourceFile[], paths: readonly string[]): readonly string[] => {
  const known = new Set(paths.flatMap((path) => [path, ...foldersOf(path)]))
  const byPath = new Map(pages.map((page) => [page.path, page]))
  return pages.flatMap(({ path, content }) =>
    [...withoutCode(content).matchAll(LINK)].flatMap(([, target]) => {
      if (/^[a-z][a-z+.-]*:/i.test(target!)) return []
      const [file = '', anchor] = decodeURIComponent(target!).split('#')
      const to = file === '' ? path : posix.normalize(posix.join(posix.dirname(path), file)).replace(/\/$/, '')
      if (!known.has(to)) return [`${path}: ${target} does not exist`]
      const page = byPath.get(to)
      if (anchor === undefined || page === undefined || anchorsOf(page.content).has(anchor)) return []
      return [`${path}: ${target} names no heading`]
    }),
  )
}

const foldersOf = (path: string): readonly string[] => {
  const parts = path.split('/').slice(0, -1)
  return parts.map((_, i) => parts.slice(0, i + 1).join('/'))
}
