import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A file by its path from the root, with `/` between folders. The rules look at nothing else, so tests can make some up. */
export interface SourceFile {
  readonly path: string
  readonly content: string
}

const ROOT = join(import.meta.dirname, '../..')
const SKIPPED_FOLDERS = /^(?:node_modules|\.git|\.tools|dist(?:\..*)?|data|coverage)$/
const SKIPPED_FILES = /^(?:\.env|.*\.(?:log|sqlite(?:-\w+)?|db))$/

const walk = (folder: string): readonly string[] =>
  readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`
    if (entry.isDirectory()) return SKIPPED_FOLDERS.test(entry.name) ? [] : walk(path)
    return entry.isFile() && !SKIPPED_FILES.test(entry.name) ? [path] : []
  })

/** Every file of the repository that is or could be committed. */
export const listPaths = (): readonly string[] => walk('')

export const readFiles = (wanted: (path: string) => boolean): readonly SourceFile[] =>
  listPaths()
    .filter(wanted)
    .map((path) => ({ path, content: readFileSync(join(ROOT, path), 'utf8') }))

/** TypeScript and JavaScript written here. */
export const readCode = (): readonly SourceFile[] => readFiles((path) => /\.(?:ts|js|mjs)$/.test(path))
