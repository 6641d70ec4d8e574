import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { diskFailure } from '../kernel/errors.ts'

/** A folder for one job; disposing it removes everything in it. */
export interface Workspace extends AsyncDisposable {
  /** A new path in it. */
  path(name: string): string
}

/** What an earlier run left behind is removed once it is so old that nobody works on it any more. */
export const ABANDONED_MS = 3600_000

/** Temporary files below one folder. */
export class TempFiles {
  readonly folder: string
  #count = 0

  constructor(folder: string) {
    this.folder = folder
  }

  /** Makes the folder and clears what a crash has left in it. */
  async prepare(now: number): Promise<void> {
    await mkdir(this.folder, { recursive: true })
    for (const name of await readdir(this.folder)) {
      const path = join(this.folder, name)
      const info = await stat(path).catch(() => undefined)
      if (info && info.mtimeMs < now - ABANDONED_MS) await rm(path, { recursive: true, force: true })
    }
  }

  /** @throws storage_unavailable */
  async workspace(): Promise<Workspace> {
    const home = await this.#makeHome()
    return {
      path: (name) => join(home, `${++this.#count}-${name}`),
      [Symbol.asyncDispose]: () => rm(home, { recursive: true, force: true }),
    }
  }

  async #makeHome(): Promise<string> {
    try {
      await mkdir(this.folder, { recursive: true })
      return await mkdtemp(join(this.folder, 'work-'))
    } catch (error) {
      throw diskFailure(error) ?? error
    }
  }
}
