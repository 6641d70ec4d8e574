import { existsSync, readdirSync, statSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'

const HOMES = ['src', 'sandbox', 'test', 'packages', 'scripts', 'bench']
const IGNORED = /(?:^|[\\/])(?:node_modules|dist|data|fixtures)(?:[\\/]|$)/

/**
 * Absolute paths of the test files at `paths` (relative to `root`), or of all when there are none, sorted.
 * @throws when a path does not exist or has no tests, so that a typing mistake is not a green run
 */
export const findTestFiles = (root: string, paths: readonly string[]): readonly string[] => {
  if (paths.length === 0) return HOMES.map((home) => join(root, home)).flatMap(listTests)
  return paths
    .map((path) => (isAbsolute(path) ? path : join(root, path)))
    .flatMap((path) => {
      if (!existsSync(path)) throw new Error(`there is no ${path}`)
      const found = listTests(path)
      if (found.length === 0) throw new Error(`there are no tests in ${path}`)
      return found
    })
}

const listTests = (path: string): readonly string[] => {
  if (!existsSync(path)) return []
  if (statSync(path).isFile()) return [path]
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.test.ts'))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !IGNORED.test(file.slice(path.length)))
    .sort()
}
