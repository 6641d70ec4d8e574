/**
 * Builds `dist/`: compiles, adds what is not TypeScript, and swaps the result in whole, so that a gateway that starts
 * meanwhile never finds half a build and a removed migration does not live on in the old one.
 */
import { spawnSync } from 'node:child_process'
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { copyAssets } from './copy-assets.ts'

const root = join(import.meta.dirname, '..')
const fresh = join(root, `dist.${process.pid}`)
const old = `${fresh}.old`

try {
  const tsc = join(root, 'node_modules/.bin/tsc')
  const { status } = spawnSync(tsc, ['-p', 'tsconfig.build.json', '--outDir', fresh], { cwd: root, stdio: 'inherit' })
  if (status !== 0) process.exitCode = status ?? 1
  else {
    copyAssets(join(root, 'src'), fresh)
    // bin/lib/setup.sh compares the age of the sources with this file.
    writeFileSync(join(fresh, '.built'), '')
    moveAway(join(root, 'dist'))
    renameSync(fresh, join(root, 'dist'))
  }
} finally {
  rmSync(fresh, { recursive: true, force: true })
  rmSync(old, { recursive: true, force: true })
}

function moveAway(dist: string): void {
  try {
    renameSync(dist, old)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}
