import { readFile, rename, writeFile } from 'node:fs/promises'
import { deserialize, serialize } from 'node:v8'
import type { People, PeopleSnapshot } from './phone/people.ts'
import type { Service } from './service/service.ts'
import { type ServiceSnapshot, takeSnapshot } from './service/snapshot.ts'

/** Changes with the shape of what is saved: a file of another version is refused, not guessed at. */
const VERSION = 2

const SAVE_EVERY_MS = 2_000

/** All that a sandbox keeps across a restart. Who kills it loses at most the last two seconds. */
export interface SavedState {
  readonly version: typeof VERSION
  readonly seed: string
  readonly service: ServiceSnapshot
  readonly people: PeopleSnapshot
}

/** The state an earlier process left; undefined when there is no file. Throws when the file is not one of ours. */
export async function readState(path: string): Promise<SavedState | undefined> {
  let bytes: Buffer
  try {
    bytes = await readFile(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  let state: SavedState
  try {
    state = deserialize(bytes)
  } catch (cause) {
    throw new Error(`${path} is not the state of a sandbox`, { cause })
  }
  if (state?.version !== VERSION) throw new Error(`${path} was written by another version of the sandbox`)
  return state
}

export interface StateFileOptions {
  readonly path: string
  readonly seed: string
  readonly service: Service
  readonly people: People
  /** Called when the file cannot be written; the sandbox goes on. */
  readonly onError: (error: unknown) => void
}

/** Writes the state while the sandbox runs, and once more at its end. */
export class StateFile implements AsyncDisposable {
  readonly #options: StateFileOptions
  readonly #timer: NodeJS.Timeout
  #savedAt = ''
  #writing: Promise<void> = Promise.resolve()

  constructor(options: StateFileOptions) {
    this.#options = options
    this.#timer = setInterval(() => this.#saveIfChanged(), SAVE_EVERY_MS)
    this.#timer.unref()
  }

  /** Writes the state as it is now; never leaves half a file. */
  async save(): Promise<void> {
    const { path, seed, service, people } = this.#options
    // A phone that has read a message but not confirmed it yet would be given it again, with its key gone.
    await Promise.all(people.list().map(({ phone }) => phone.settle()))
    const state: SavedState = { version: VERSION, seed, service: takeSnapshot(service), people: people.snapshot() }
    const bytes = serialize(state)
    this.#writing = this.#writing.then(async () => {
      await writeFile(`${path}.new`, bytes, { mode: 0o600 })
      await rename(`${path}.new`, path)
    })
    await this.#writing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    await this.save()
  }

  #saveIfChanged(): void {
    const { metrics, accounts } = this.#options.service
    // Whatever changes the state comes as a stanza or is a new account.
    const mark = `${metrics.stanzasIn} ${metrics.deliveries} ${metrics.linked} ${accounts.list().length}`
    if (mark === this.#savedAt) return
    this.#savedAt = mark
    this.save().catch(this.#options.onError)
  }
}
