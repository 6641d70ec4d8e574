import type { Import } from './imports.ts'

/**
 * A chain of imports that comes back to where it began, first file repeated at the end; undefined when there is none.
 * Type imports do not count: they are gone when the program runs.
 */
export const findCycle = (imports: readonly Import[]): readonly string[] | undefined => {
  const next = new Map<string, string[]>()
  for (const { from, to, isPackage, isType } of imports) {
    if (!isPackage && !isType) next.set(from, [...(next.get(from) ?? []), to])
  }
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]): readonly string[] | undefined => {
    if (done.has(path)) return undefined
    const seenAt = trail.indexOf(path)
    if (seenAt >= 0) return [...trail.slice(seenAt), path]
    for (const target of next.get(path) ?? []) {
      const cycle = visit(target, [...trail, path])
      if (cycle) return cycle
    }
    done.add(path)
    return undefined
  }
  for (const path of next.keys()) {
    const cycle = visit(path, [])
    if (cycle) return cycle
  }
  return undefined
}
