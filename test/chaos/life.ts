import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { WriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { TRAP_LINE, type TrapPlan } from './preload/trap.ts'

/** What the trap said right before it ended the process. */
export interface Sprung {
  readonly window: TrapPlan['window']
  readonly device: string
  readonly messageId: string
}

const PRELOAD = pathToFileURL(`${import.meta.dirname}/preload/preload.ts`).href
const START_LIMIT_MS = 60_000
/** Lines that explain an end nobody asked for. */
const LAST_LINES = 12

/** One process of the gateway, from its start to its end. */
export class Life {
  /** Resolves when it listens; rejects when it ends before. */
  readonly ready: Promise<void>
  /** Resolves with the signal or the code it ended by, when all it said was read. */
  readonly ended: Promise<string>
  readonly #child: ChildProcess
  readonly #lastLines: string[] = []
  #sprung: Sprung | undefined
  #over = false

  constructor(parts: {
    readonly main: string
    readonly home: string
    readonly env: Readonly<Record<string, string>>
    readonly trap: TrapPlan | undefined
    readonly log: WriteStream
  }) {
    const { main, home, env, trap, log } = parts
    this.#child = spawn(process.execPath, ['--import', PRELOAD, main], {
      cwd: home,
      env: {
        PATH: process.env.PATH ?? '',
        HOME: process.env.HOME ?? '',
        ...env,
        ...(trap ? { CHAOS_TRAP: JSON.stringify(trap) } : {}),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const ready = Promise.withResolvers<void>()
    this.ready = ready.promise
    this.ready.catch(() => undefined)
    const timer = setTimeout(() => {
      ready.reject(new Error('the gateway did not start in time'))
      void this.stop()
    }, START_LIMIT_MS)
    for (const stream of [this.#child.stdout!, this.#child.stderr!])
      createInterface({ input: stream }).on('line', (line) => {
        log.write(`${line}\n`)
        this.#lastLines.push(line)
        if (this.#lastLines.length > LAST_LINES) this.#lastLines.shift()
        if (line.startsWith(TRAP_LINE)) this.#sprung = JSON.parse(line.slice(TRAP_LINE.length)) as Sprung
        if (line.startsWith('Parley ') && line.includes(' listens on ')) {
          clearTimeout(timer)
          ready.resolve()
        }
      })
    this.ended = once(this.#child, 'close').then(([code, signal]: (string | number | null)[]) => {
      this.#over = true
      clearTimeout(timer)
      ready.reject(new Error(`the gateway ended with ${signal ?? code} before it was ready`))
      return String(signal ?? code)
    })
  }

  /** What it said last. */
  get lastWords(): string {
    return this.#lastLines.join('\n')
  }

  get isOver(): boolean {
    return this.#over
  }

  /** Set when the trap was what ended it. */
  get sprung(): Sprung | undefined {
    return this.#sprung
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** SIGKILL: as in a crash, nothing is cleaned up. */
  async kill(): Promise<void> {
    if (!this.#over) this.#child.kill('SIGKILL')
    await this.ended
  }

  /** SIGTERM; answers the exit code. */
  stop(): Promise<string> {
    if (!this.#over) this.#child.kill('SIGTERM')
    return this.ended
  }
}
