import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** A program of ours that runs as a process of its own. */
export interface Running extends AsyncDisposable {
  readonly process: ChildProcess
  /** The line that told that it is ready. */
  readonly readyLine: string
  /** All lines so far, both streams, the newest 500. */
  readonly lines: readonly string[]
  /** SIGTERM; answers the exit code when it has ended. */
  stop(): Promise<number | null>
  /** SIGKILL: no clean-up, as in a crash. */
  kill(): Promise<void>
}

export interface StartProgram {
  readonly module: string
  readonly args?: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  /** True for the line that tells that it is ready. */
  readonly isReady: (line: string) => boolean
  readonly onLine?: (line: string) => void
  readonly timeoutMs?: number
}

const LINES_KEPT = 500

/** Starts a module with this Node.js and waits until it is ready. @throws with its last lines when it ends or takes too long */
export const startProgram = async (program: StartProgram): Promise<Running> => {
  const { module, args = [], cwd, env, isReady, onLine, timeoutMs = 30_000 } = program
  const child = spawn(process.execPath, [module, ...args], {
    cwd,
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const lines: string[] = []
  const ready = Promise.withResolvers<string>()
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream! }).on('line', (line) => {
      lines.push(line)
      if (lines.length > LINES_KEPT) lines.shift()
      onLine?.(line)
      if (isReady(line)) ready.resolve(line)
    })
  const tail = () => lines.slice(-15).join('\n')
  child.once('exit', (code) => ready.reject(new Error(`${module} ended with ${code} before it was ready:\n${tail()}`)))
  const timer = setTimeout(() => ready.reject(new Error(`${module} was not ready in time:\n${tail()}`)), timeoutMs)
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit')
      child.kill(signal)
      await exited
    }
    return child.exitCode
  }
  try {
    const readyLine = await ready.promise
    return {
      process: child,
      readyLine,
      lines,
      stop: () => end('SIGTERM'),
      kill: async () => void (await end('SIGKILL')),
      [Symbol.asyncDispose]: async () => void (await end('SIGTERM')),
    }
  } catch (error) {
    await end('SIGKILL')
    throw error
  } finally {
    clearTimeout(timer)
  }
}
