import { isIP } from 'node:net'
import { CronPattern } from 'croner'
import { parseDuration } from '../kernel/durations.ts'
import { parseSize } from '../kernel/sizes.ts'

export type SettingKind = 'string' | 'int' | 'bool' | 'enum' | 'duration' | 'size' | 'cron' | 'list'

/** One environment variable: how it is read, and everything the reference page says about it. */
export interface Setting<T> {
  readonly name: string
  readonly kind: SettingKind
  /** As it would stand in a `.env` file; undefined = unset. */
  readonly default: string | undefined
  /** What may be written, in words. */
  readonly allowed: string
  readonly meaning: string
  /** What happens to a value outside `allowed` when that does not stop the start. */
  readonly fallback: string | undefined
  /** The value never appears in an error, a log line or a document. */
  readonly secret: boolean
  /** @throws Unacceptable; `warn` takes one line about a value that was replaced. */
  readonly parse: (text: string, warn: (line: string) => void) => T
  /** The value when the variable is unset. */
  readonly unset: T
}

/** A value that stops the start; the message completes "NAME ...". */
export class Unacceptable extends Error {
  override readonly name = 'Unacceptable'
}

interface Common {
  readonly means: string
  readonly secret?: boolean
}

const describe = (options: Common) => ({
  meaning: options.means,
  secret: options.secret ?? false,
})

interface TextOptions<T> extends Common {
  readonly allowed: string
  /** Turns the trimmed text into the value. @throws Unacceptable */
  readonly read: (text: string) => T
}

/** Free text with its own reader. `fallback` is the text used when unset. */
export const text = <T, D extends string | undefined>(
  name: string,
  fallback: D,
  options: TextOptions<T>,
): Setting<D extends string ? T : T | undefined> => ({
  name,
  kind: 'string',
  default: fallback,
  allowed: options.allowed,
  fallback: undefined,
  ...describe(options),
  parse: (given) => options.read(given),
  unset: (fallback === undefined ? undefined : options.read(fallback)) as D extends string ? T : T | undefined,
})

/** Comma-separated items, each checked by `item`. */
export const list = (
  name: string,
  fallback: string,
  options: Common & { readonly allowed: string; readonly item: (text: string) => string },
): Setting<readonly string[]> => {
  const read = (given: string) =>
    given
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '')
      .map(options.item)
  return {
    name,
    kind: 'list',
    default: fallback,
    allowed: options.allowed,
    fallback: undefined,
    ...describe(options),
    parse: read,
    unset: read(fallback),
  }
}

interface IntOptions extends Common {
  readonly min: number
  readonly max: number
  /** One value outside the range that is allowed as well, and what it means. */
  readonly also?: readonly [number, string]
  /** A value below the range takes the default, as the contract wants, instead of stopping the start. */
  readonly belowIsDefault?: boolean
}

export const int = <D extends number | undefined>(
  name: string,
  fallback: D,
  options: IntOptions,
): Setting<number | D> => {
  const range = rangeText(options.min, options.max)
  const allowed = options.also ? `${range}, or ${options.also[0]} (${options.also[1]})` : range
  return {
    name,
    kind: 'int',
    default: fallback === undefined ? undefined : String(fallback),
    allowed,
    fallback: options.belowIsDefault ? `below ${options.min} the default is used` : undefined,
    ...describe(options),
    parse: (given, warn) => {
      const value = /^[+-]?\d+$/.test(given) ? Number(given) : Number.NaN
      if (Number.isNaN(value)) throw new Unacceptable(`must be a whole number, ${allowed}`)
      if (value === options.also?.[0] || (value >= options.min && value <= options.max)) return value
      if (options.belowIsDefault && value < options.min) {
        warn(`${name}=${given} is below ${options.min}; using ${fallback}`)
        return fallback
      }
      throw new Unacceptable(`must be ${allowed}`)
    },
    unset: fallback,
  }
}

const rangeText = (min: number, max: number): string => {
  if (min === max) return String(min)
  if (min === Number.MIN_SAFE_INTEGER) return `up to ${max}`
  return max === Number.MAX_SAFE_INTEGER ? `${min} or more` : `${min}-${max}`
}

const TRUE = new Set(['true', '1', 't', 'yes', 'on'])
const FALSE = new Set(['false', '0', 'f', 'no', 'off'])

export const bool = (name: string, fallback: boolean, options: Common): Setting<boolean> => ({
  name,
  kind: 'bool',
  default: String(fallback),
  allowed: 'true, false',
  fallback: undefined,
  ...describe(options),
  parse: (given) => {
    const word = given.toLowerCase()
    if (TRUE.has(word)) return true
    if (FALSE.has(word)) return false
    throw new Unacceptable('must be true or false')
  },
  unset: fallback,
})

/** One of some words, in either case; `aliases` maps other spellings onto them. */
export const oneOf = <const V extends string, D extends V | undefined>(
  name: string,
  fallback: D,
  options: Common & { readonly values: readonly V[]; readonly aliases?: Readonly<Record<string, V>> },
): Setting<V | D> => ({
  name,
  kind: 'enum',
  default: fallback,
  allowed: options.values.join(', '),
  fallback: undefined,
  ...describe(options),
  parse: (given) => {
    const word = given.toLowerCase()
    const found = options.values.find((value) => value.toLowerCase() === word) ?? options.aliases?.[word]
    if (found === undefined) throw new Unacceptable(`must be one of ${options.values.join(', ')}`)
    return found
  },
  unset: fallback,
})

interface SpanOptions extends Common {
  /** As a person writes it: `1m`. */
  readonly min?: string
  readonly max?: string
  /** What 0 stands for, when 0 is allowed. */
  readonly zero?: string
}

/** A length of time; the value is in milliseconds. */
export const duration = (name: string, fallback: string, options: SpanOptions): Setting<number> => {
  const min = parseDuration(options.min ?? '1ms')!
  const max = options.max === undefined ? Number.MAX_SAFE_INTEGER : parseDuration(options.max)!
  const span = options.max === undefined ? 'such as 500ms, 1s, 10m, 24h, 7d' : `${options.min}-${options.max}`
  const allowed = options.zero === undefined ? span : `${span}; 0 = ${options.zero}`
  return {
    name,
    kind: 'duration',
    default: fallback,
    allowed,
    fallback: undefined,
    ...describe(options),
    parse: (given) => {
      const value = parseDuration(given)
      if (value === undefined) throw new Unacceptable(`must be a duration, ${allowed}`)
      if (value === 0 && options.zero !== undefined) return value
      if (value < min || value > max) throw new Unacceptable(`must be a duration, ${allowed}`)
      return value
    },
    unset: parseDuration(fallback)!,
  }
}

/** A number of bytes. */
export const size = (
  name: string,
  fallback: string,
  options: Common & { readonly zero?: string; readonly invalidIsDefault?: boolean },
): Setting<number> => {
  const allowed = `bytes, or with K, M or G (1024 based)${options.zero === undefined ? '' : `; 0 = ${options.zero}`}`
  return {
    name,
    kind: 'size',
    default: fallback,
    allowed,
    fallback: options.invalidIsDefault ? 'an unreadable value, or 0, takes the default' : undefined,
    ...describe(options),
    parse: (given, warn) => {
      const value = parseSize(given)
      if (value !== undefined && (value > 0 || options.zero !== undefined)) return value
      if (!options.invalidIsDefault) throw new Unacceptable(`must be a size: ${allowed}`)
      warn(`${name}=${given} is not a size; using ${fallback}`)
      return parseSize(fallback)!
    },
    unset: parseSize(fallback)!,
  }
}

/** A schedule of six fields, seconds first. */
export const cron = (name: string, fallback: string, options: Common): Setting<string> => ({
  name,
  kind: 'cron',
  default: fallback,
  allowed: '6 fields, seconds first',
  fallback: undefined,
  ...describe(options),
  parse: (given) => {
    try {
      new CronPattern(given, undefined, { mode: '6-part' })
    } catch (error) {
      throw new Unacceptable(`must be a cron expression of 6 fields, seconds first (${(error as Error).message})`)
    }
    return given
  },
  unset: fallback,
})

/** Reads an address or a CIDR block. */
export const readNetwork = (given: string): string => {
  const [address = '', prefix, ...rest] = given.split('/')
  const family = isIP(address)
  const longest = family === 4 ? 32 : 128
  const fits = prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= longest)
  if (family === 0 || !fits || rest.length > 0)
    throw new Unacceptable(`has "${given}", which is no address or CIDR block`)
  return given
}

/** Reads an address, a CIDR block or a host name (`*.example.org` stands for the names below it). */
export const readNetworkOrHost = (given: string): string => {
  if (/[:/]/.test(given) || isIP(given) !== 0) return readNetwork(given)
  if (/^(?:\*\.)?[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/i.test(given))
    return given.toLowerCase()
  throw new Unacceptable(`has "${given}", which is no address, CIDR block or host name`)
}

/** A reader for URLs of the given schemes; hands back the text as given. */
export const readUrl =
  (...schemes: readonly string[]) =>
  (given: string): string => {
    const scheme = URL.canParse(given) ? new URL(given).protocol.slice(0, -1) : undefined
    if (scheme === undefined || !schemes.includes(scheme)) {
      throw new Unacceptable(`must be a URL that begins with ${schemes.map((name) => `${name}://`).join(', ')}`)
    }
    return given
  }

/** A reader for 32 bytes written as 64 hex digits. */
export const readHex32 = (given: string): Uint8Array => {
  if (!/^[0-9a-f]{64}$/i.test(given)) throw new Unacceptable('must be 32 bytes as 64 hex digits')
  return Buffer.from(given, 'hex')
}

/** A reader for 32 bytes written as hex or base64. */
export const readKey32 = (given: string): Uint8Array => {
  if (/^[0-9a-f]{64}$/i.test(given)) return Buffer.from(given, 'hex')
  const bytes = /^[A-Za-z0-9+/_-]{43}=?$/.test(given) ? Buffer.from(given, 'base64') : undefined
  if (bytes?.length !== 32) throw new Unacceptable('must be 32 bytes as base64 (44 characters) or hex (64 digits)')
  return bytes
}
