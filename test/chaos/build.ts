import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { copyAssets } from '../../scripts/copy-assets.ts'

const root = join(import.meta.dirname, '..', '..')

/** The gateway, built for one run. */
export interface Build extends AsyncDisposable {
  /** The module to start. */
  readonly main: string
}

/**
 * Compiles the gateway into a folder of its own: `dist` may be stale, and may be built anew between two of its lives.
 * @throws when it does not compile
 */
export const buildGateway = async (): Promise<Build> => {
  const folder = join(root, `dist.chaos-${process.pid}`)
  const build = {
    main: join(folder, 'main.js'),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
  const tsc = spawn(join(root, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.build.json', '--outDir', folder], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const output: Buffer[] = []
  tsc.stdout.on('data', (part: Buffer) => output.push(part))
  const [code] = (await once(tsc, 'close')) as [number | null]
  if (code !== 0) {
    await build[Symbol.asyncDispose]()
    throw new Error(`the gateway does not compile:\n${Buffer.concat(output).toString('utf8')}`)
  }
  copyAssets(join(root, 'src'), folder)
  return build
}
