import { ParleyError } from '../kernel/errors.ts'
import type { Route } from './route.ts'

interface Pattern {
  readonly matches: RegExp
  readonly methods: readonly string[]
}

/** Knows which methods a path has: for 405 with `Allow` (RFC 9110 section 15.5.6) and for preflights. */
export class PathMethods {
  readonly #patterns: readonly Pattern[]

  constructor(routes: readonly Route[], baseUrl: string) {
    const byPath = new Map<string, Set<string>>()
    for (const { path, method } of routes) {
      const methods = byPath.get(path) ?? new Set()
      methods.add(method)
      if (method === 'GET') methods.add('HEAD')
      byPath.set(path, methods)
    }
    this.#patterns = [...byPath].map(([path, methods]) => ({
      matches: new RegExp(
        `^${quote(baseUrl)}${quote(path).replace(/\\\{[^}]+\}/g, '[^/]+')}${path === '/' ? '?' : ''}$`,
      ),
      methods: [...methods].toSorted(),
    }))
  }

  /** Empty for a path that does not exist. */
  methodsOf(url: string): readonly string[] {
    const path = url.split('?', 1)[0]!
    const found = new Set(this.#patterns.filter(({ matches }) => matches.test(path)).flatMap(({ methods }) => methods))
    return [...found].toSorted()
  }

  /** What to say to a request that no route took. */
  refusal(method: string, url: string): { readonly error: ParleyError; readonly allow: readonly string[] } {
    const path = url.split('?', 1)[0]!.slice(0, 200)
    const allow = this.methodsOf(url)
    if (allow.length === 0)
      return { error: new ParleyError('not_found', `there is no ${path}; see /docs/ for what there is`), allow }
    return {
      error: new ParleyError('method_not_allowed', `${path} does not take ${method}, only ${allow.join(', ')}`),
      allow,
    }
  }
}

const quote = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
