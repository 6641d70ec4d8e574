import type { Account, Engine, EngineSession, MediaFacts, OpenSession } from './index.ts'

/**
 * An engine that is loaded when it is first needed: the protocol library is a quarter of the time that the process takes
 * to its first answer, and nobody needs it for that.
 */
export class LazyEngine implements Engine {
  readonly #load: () => Promise<Engine>
  #engine: Promise<Engine> | undefined
  #loaded: Engine | undefined
  #version: readonly [number, number, number]

  constructor({ load, version }: { load: () => Promise<Engine>; version: readonly [number, number, number] }) {
    this.#load = load
    this.#version = version
  }

  get version(): readonly [number, number, number] {
    return this.#version
  }

  set version(version: readonly [number, number, number]) {
    this.#version = version
    if (this.#engine) void this.#engine.then((engine) => Object.assign(engine, { version }))
  }

  get refusals(): Readonly<Record<string, number>> {
    return this.#loaded?.refusals ?? {}
  }

  /** Loads it now, or answers the loaded one. A failed load is tried again by the next call. */
  ready(): Promise<Engine> {
    this.#engine ??= this.#load().then(
      (engine) => {
        this.#loaded = engine
        return Object.assign(engine, { version: this.#version })
      },
      (error: unknown) => {
        this.#engine = undefined
        throw error
      },
    )
    return this.#engine
  }

  async open(options: OpenSession): Promise<EngineSession> {
    return (await this.ready()).open(options)
  }

  async storedAccount(deviceId: string): Promise<Account | undefined> {
    return (await this.ready()).storedAccount(deviceId)
  }

  async describeMedia(content: Uint8Array): Promise<MediaFacts | undefined> {
    return (await this.ready()).describeMedia(content)
  }

  async relocateMedia(content: Uint8Array, directPath: string): Promise<Uint8Array> {
    return (await this.ready()).relocateMedia(content, directPath)
  }

  async forget(deviceId: string): Promise<void> {
    return (await this.ready()).forget(deviceId)
  }
}
