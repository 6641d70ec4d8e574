import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Bench, busyness, median, round } from './lib/bench.ts'
import { freePort } from './lib/ports.ts'
import { START_FLAGS } from './lib/start-flags.ts'

const RUNS = 7
const MAIN = join(import.meta.dirname, '..', 'dist', 'main.js')
const LIMIT_MS = 30_000

/** From the start of the process to its first HTTP answer: built, with an empty embedded database, no sessions. */
export const bench: Bench = {
  budget: { ms: { atMost: 1_000 } },
  async run(say) {
    if (!existsSync(MAIN)) throw new Error('there is no build: npm run build')
    say(`${RUNS} starts after one to warm up, each on a fresh embedded database; ${busyness()}`)
    await start()
    const times: number[] = []
    for (let i = 1; i <= RUNS; i++) {
      times.push(await start())
      say(`start ${i}: ${times.at(-1)!.toFixed(0)} ms`)
    }
    return { ms: round(median(times)), ms_fastest: round(Math.min(...times)) }
  },
}

const start = async (): Promise<number> => {
  const folder = await mkdtemp(join(tmpdir(), 'parley-boot-'))
  const port = await freePort()
  const env = { PATH: process.env.PATH, SERVER_PORT: String(port), SERVER_ADDRESS: '127.0.0.1' }
  const started = performance.now()
  const child = spawn(process.execPath, [...START_FLAGS, MAIN], {
    cwd: folder,
    env,
    stdio: 'ignore',
  })
  try {
    while (!(await answers(port))) {
      if (child.exitCode !== null || performance.now() - started > LIMIT_MS) throw new Error('it did not start')
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    return performance.now() - started
  } finally {
    child.kill('SIGTERM')
    if (child.exitCode === null) await once(child, 'exit')
    await rm(folder, { recursive: true, force: true })
  }
}

const answers = async (port: number): Promise<boolean> => {
  try {
    return (await fetch(`http://127.0.0.1:${port}/`)).ok
  } catch {
    return false // refused: it does not listen yet
  }
}
