import { spawn } from 'node:child_process'
import { access, chmod, constants } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Clock } from '../kernel/clock.ts'
import { ParleyError } from '../kernel/errors.ts'

export type ToolName = 'ffmpeg' | 'ffprobe'

/** How a tool ended. */
export interface ToolResult {
  readonly ok: boolean
  readonly stdout: Buffer
  /** The end of what it complained about. */
  readonly complaint: string
}

export interface ToolRun {
  readonly timeoutMs?: number
  /** Called with each piece of stdout, which then is not kept. */
  readonly onData?: (chunk: Buffer) => void
}

/** Address space of one run: far above what honest files need, far below what kills the machine. */
const MEMORY_KIB = 2 * 1024 * 1024
/** CPU seconds, should the clock not be enough. */
const CPU_SECONDS = 300
const TIMEOUT_MS = 120_000
const MOST_STDOUT = 1024 * 1024
const MOST_STDERR = 4096
/** The limits are the shell's, so that they hold before the tool has read its first byte. */
const LIMITED = `ulimit -v ${MEMORY_KIB}; ulimit -t ${CPU_SECONDS}; ulimit -c 0; exec "$0" "$@"`

/**
 * ffmpeg and ffprobe: `FFMPEG_PATH` (ffprobe beside it), else the system's, else the ones that npm installed for
 * development. Each run is a process of its own with bounds on time and memory, that may open local files only.
 */
export class Tools {
  readonly #ffmpegPath: string | undefined
  readonly #clock: Clock
  readonly #found = new Map<ToolName, Promise<string | undefined>>()

  constructor({ ffmpegPath, clock }: { readonly ffmpegPath: string | undefined; readonly clock: Clock }) {
    this.#ffmpegPath = ffmpegPath || undefined
    this.#clock = clock
  }

  async has(tool: ToolName): Promise<boolean> {
    return (await this.#find(tool)) !== undefined
  }

  /** @throws not_supported when the tool is not installed, bad_request when it takes too long */
  async run(
    tool: ToolName,
    args: readonly string[],
    { timeoutMs = TIMEOUT_MS, onData }: ToolRun = {},
  ): Promise<ToolResult> {
    const program = await this.#find(tool)
    if (program === undefined)
      throw new ParleyError('not_supported', `this needs ${tool}, which is not installed here (see FFMPEG_PATH)`)
    const child = spawn('/bin/sh', ['-c', LIMITED, program, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH ?? '', LC_ALL: 'C' },
      // a group of its own, so that whatever it starts ends with it
      detached: true,
    })
    const stdout: Buffer[] = []
    let kept = 0
    let complaint = ''
    let late = false
    const kill = () => {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL')
    }
    const cancel = this.#clock.after(timeoutMs, () => {
      late = true
      kill()
    })
    child.stdout.on('data', (chunk: Buffer) => {
      if (onData) return onData(chunk)
      kept += chunk.length
      if (kept > MOST_STDOUT) kill()
      else stdout.push(chunk)
    })
    child.stderr.on('data', (chunk: Buffer) => {
      complaint = (complaint + chunk.toString('utf8')).slice(-MOST_STDERR)
    })
    try {
      const code = await new Promise<number | null>((resolve, reject) => {
        child.once('error', reject)
        child.once('close', resolve)
      })
      if (late) throw new ParleyError('bad_request', 'file: takes too long to work on', { field: 'file' })
      return { ok: code === 0, stdout: Buffer.concat(stdout), complaint: complaint.trim() }
    } finally {
      cancel()
    }
  }

  #find(tool: ToolName): Promise<string | undefined> {
    let path = this.#found.get(tool)
    if (!path) {
      path = this.#search(tool)
      this.#found.set(tool, path)
    }
    return path
  }

  async #search(tool: ToolName): Promise<string | undefined> {
    if (this.#ffmpegPath !== undefined) {
      const path = tool === 'ffmpeg' ? this.#ffmpegPath : join(dirname(this.#ffmpegPath), 'ffprobe')
      return (await isProgram(path)) ? path : undefined
    }
    for (const folder of (process.env.PATH ?? '').split(delimiter)) {
      const path = join(folder, tool)
      if (folder !== '' && (await isProgram(path))) return path
    }
    return installedByNpm(tool)
  }
}

/** Development and tests only: an old build, which the image does not have. */
const installedByNpm = async (tool: ToolName): Promise<string | undefined> => {
  const module = `@${tool}-installer/${process.platform}-${process.arch}/package.json`
  try {
    const path = join(dirname(fileURLToPath(import.meta.resolve(module))), tool)
    // the package sets the mode in an install script, which npm may be told not to run
    if (!(await isProgram(path))) await chmod(path, 0o755)
    return path
  } catch (error) {
    if ((error as { code?: string }).code === 'ERR_MODULE_NOT_FOUND') return undefined
    throw error
  }
}

const isProgram = (path: string): Promise<boolean> =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
