import { cpSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/** Copies what the compiler leaves behind (SQL, HTML, style sheets, icons) to the same place below `to`. */
export const copyAssets = (from: string, to: string): void => {
  for (const entry of readdirSync(from, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || entry.name.endsWith('.ts')) continue
    const path = join(entry.parentPath, entry.name)
    cpSync(path, join(to, path.slice(from.length)))
  }
}
