import type { Clock } from '../../kernel/clock.ts'
import { isParleyError, messageOf, ParleyError } from '../../kernel/errors.ts'
import type { Logger } from '../../kernel/logger.ts'
import type { SettingRepository } from '../../storage/index.ts'

export type VersionNumber = readonly [number, number, number]

/** The WhatsApp Web version that sessions announce, and how its last refresh went. */
export interface WhatsAppVersion {
  current(): VersionNumber
  /** Of the last successful refresh, ms since the epoch. */
  readonly lastRefreshedAt: number | undefined
  /** Empty when the last attempt succeeded, or none was made. */
  readonly lastError: string
  /** Unforced, nothing happens when the last attempt is too recent. @throws whatsapp_refused, whatsapp_timeout */
  refresh(force: boolean): Promise<{ readonly refreshed: boolean }>
}

export interface WebVersionParts {
  /** What the engine was built with. */
  readonly builtIn: VersionNumber
  /** WHATSAPP_VERSION_MAJOR, _MINOR, _PATCH: each wins over what is fetched. */
  readonly pinned: {
    readonly major?: number | undefined
    readonly minor?: number | undefined
    readonly patch?: number | undefined
  }
  readonly url: string
  /** Reads a text over HTTP; rejects on any status but 2xx. */
  readonly fetchText: (url: string, signal: AbortSignal) => Promise<string>
  readonly settings: SettingRepository
  readonly clock: Clock
  readonly logger: Logger
  /** Least time between unforced attempts; 0 = no throttle. */
  readonly minIntervalMs: number
  /** Told of the version at the start and after every change. */
  readonly apply: (version: VersionNumber) => void
}

const SETTING = 'whatsapp_web_version'
const FETCH_MS = 15_000

/** WhatsApp Web's service worker names its build as `client_revision`, escaped or not; 2.3000 stands before it. */
export const readRevision = (script: string): VersionNumber | undefined => {
  const found = /\\?"client_revision\\?"\s*:\s*(\d{6,15})/.exec(script)
  return found ? [2, 3_000, Number(found[1])] : undefined
}

const isNewer = (a: VersionNumber, b: VersionNumber): boolean =>
  a[0] !== b[0] ? a[0] > b[0] : a[1] !== b[1] ? a[1] > b[1] : a[2] > b[2]

export class WebVersion implements WhatsAppVersion {
  readonly #parts: WebVersionParts
  #found: VersionNumber
  #lastAttemptAt: number | undefined
  #running: Promise<{ readonly refreshed: boolean }> | undefined
  lastRefreshedAt: number | undefined
  lastError = ''

  private constructor(parts: WebVersionParts) {
    this.#parts = parts
    this.#found = parts.builtIn
  }

  /** Starts from the newer of the built-in version and the last one fetched. */
  static async open(parts: WebVersionParts): Promise<WebVersion> {
    const version = new WebVersion(parts)
    await version.#recall()
    parts.apply(version.current())
    return version
  }

  current(): VersionNumber {
    const { major, minor, patch } = this.#parts.pinned
    return [major ?? this.#found[0], minor ?? this.#found[1], patch ?? this.#found[2]]
  }

  async refresh(force: boolean): Promise<{ readonly refreshed: boolean }> {
    const { clock, minIntervalMs } = this.#parts
    if (this.#running) return this.#running
    if (!force && this.#lastAttemptAt !== undefined && clock.now() - this.#lastAttemptAt < minIntervalMs)
      return { refreshed: false }
    this.#lastAttemptAt = clock.now()
    this.#running = this.#fetch()
    try {
      return await this.#running
    } finally {
      this.#running = undefined
    }
  }

  async #fetch(): Promise<{ readonly refreshed: boolean }> {
    const { url, fetchText, settings, clock, apply } = this.#parts
    const timeout = new AbortController()
    const cancel = clock.after(FETCH_MS, () => timeout.abort())
    try {
      const script = await fetchText(url, timeout.signal)
      const version = readRevision(script)
      if (!version) throw new ParleyError('whatsapp_refused', 'the page names no client_revision')
      this.#found = version
      this.lastRefreshedAt = clock.now()
      this.lastError = ''
      apply(this.current())
      await settings.set(SETTING, JSON.stringify({ version, at: this.lastRefreshedAt }))
      return { refreshed: true }
    } catch (error) {
      if (isParleyError(error, 'storage_unavailable')) throw error
      this.lastError = timeout.signal.aborted ? `no answer within ${FETCH_MS / 1_000} s` : messageOf(error)
      throw new ParleyError('whatsapp_refused', `the WhatsApp Web version could not be fetched: ${this.lastError}`, {
        cause: error,
      })
    } finally {
      cancel()
    }
  }

  async #recall(): Promise<void> {
    const { settings, logger, builtIn } = this.#parts
    const stored = await settings.get(SETTING)
    if (stored === undefined) return
    const parsed: unknown = JSON.parse(stored)
    const { version, at } = (parsed ?? {}) as { version?: unknown; at?: unknown }
    if (!Array.isArray(version) || version.length !== 3 || !version.every(Number.isSafeInteger)) {
      logger.warn({ stored }, 'the stored WhatsApp Web version cannot be read')
      return
    }
    const recalled = version as unknown as VersionNumber
    if (isNewer(recalled, builtIn)) this.#found = recalled
    if (typeof at === 'number') this.lastRefreshedAt = at
  }
}
