import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { LinkedAccount } from '../world/questions.ts'
import { type ServerChild, startChild } from './child.ts'
import type { World } from './world.ts'

const FOLDER = join(import.meta.dirname, '..', 'stock')

/** Unmodified Baileys in a process of its own. */
export interface Stock extends AsyncDisposable {
  readonly child: ServerChild
  open(accounts: readonly LinkedAccount[], concurrency?: number): Promise<void>
  send(request: StockSend): Promise<void>
  /** Messages that its sockets have emitted. */
  received(): Promise<number>
}

export interface StockSend {
  readonly jids: readonly string[]
  readonly count: number
  readonly inFlight: number
  readonly sessions?: number
  readonly text: string
}

export const startStock = async (world: World): Promise<Stock> => {
  install()
  const child = await startChild(new URL('../stock/stock.ts', import.meta.url))
  const { ws: url, noiseRoot } = world
  return {
    child,
    open: (accounts, concurrency = 10) => child.ask('open', { url, noiseRoot, accounts, concurrency }),
    send: (request) => child.ask('send', request),
    received: () => child.ask('received'),
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  }
}

/** Its packages, as its own lockfile has them: nothing of our overrides. */
const install = (): void => {
  if (existsSync(join(FOLDER, 'node_modules', 'libsignal'))) return
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: FOLDER, stdio: 'inherit' })
  if (status !== 0) throw new Error('stock Baileys could not be installed: npm ci in bench/stock')
}
