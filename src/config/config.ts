import { Unacceptable } from './setting.ts'
import { listSettings, type Values } from './table.ts'

/** Where rows live: a file, or a PostgreSQL server. */
export type DatastoreAddress =
  | { readonly kind: 'sqlite'; readonly path: string }
  | { readonly kind: 'postgres'; readonly uri: string }

/** The settings as parsed, with everything that depends on more than one of them worked out. Times are milliseconds. */
export interface Config extends Omit<Values, 'auth' | 'storage'> {
  /** `embedded`: nothing was configured, so SQLite and generated secrets. */
  readonly mode: 'embedded' | 'configured'
  readonly auth: Omit<Values['auth'], 'adminSecretKey' | 'jwtSecretKey'> & {
    readonly adminSecretKey: string
    readonly jwtSecretKey: string
  }
  readonly storage: {
    readonly main: DatastoreAddress
    /** Set when credentials and Signal keys live in a database of their own. */
    readonly keys: DatastoreAddress | undefined
    readonly eventRetentionMs: number
    /** 0 = for ever. */
    readonly messageRetentionMs: number
  }
}

/** Names every variable at fault, on one line. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(problems.join('; '))
    this.problems = problems
  }
}

export type Environment = Readonly<Record<string, string | undefined>>

/** What the embedded mode supplies in place of the three required settings. */
export interface EmbeddedDefaults {
  readonly adminSecretKey: string
  readonly jwtSecretKey: string
  readonly sqlitePath: string
}

export const REQUIRED = ['ADMIN_SECRET_KEY', 'JWT_SECRET_KEY', 'WHATSAPP_DATASTORE_URI'] as const

/**
 * Embedded only when none of the three required settings is there and this is not the image. A variable that is there
 * but empty counts as there: a secret that failed to arrive must stop the start, not silently open an empty database.
 */
export const isEmbedded = (env: Environment): boolean =>
  env.PARLEY_IMAGE !== '1' && REQUIRED.every((name) => env[name] === undefined)

/**
 * Reads the whole configuration from variables.
 * @param embedded supplied exactly when `isEmbedded(env)`
 * @throws ConfigError with every problem found
 */
export const parseConfig = (
  env: Environment,
  embedded?: EmbeddedDefaults,
): { readonly config: Config; readonly warnings: readonly string[] } => {
  const problems: string[] = []
  const warnings: string[] = []
  const values = readValues(env, problems, warnings)
  const { auth, storage } = values
  const adminSecretKey =
    embedded?.adminSecretKey ?? checkSecret('ADMIN_SECRET_KEY', auth.adminSecretKey, problems, warnings)
  const jwtSecretKey = embedded?.jwtSecretKey ?? checkSecret('JWT_SECRET_KEY', auth.jwtSecretKey, problems, warnings)
  const { main, keys } = readDatastores(storage, embedded, problems)
  checkTls(values, problems)
  if (problems.length > 0) throw new ConfigError(problems)

  const { behaviour, rateLimit } = values
  const config: Config = {
    ...values,
    mode: embedded ? 'embedded' : 'configured',
    auth: { ...auth, adminSecretKey, jwtSecretKey },
    storage: {
      main: main!,
      keys,
      eventRetentionMs: storage.eventRetentionMs,
      messageRetentionMs: storage.messageRetentionMs,
    },
    behaviour: {
      ...behaviour,
      typingDelayMaxMs: Math.max(behaviour.typingDelayMinMs, behaviour.typingDelayMaxMs),
      readReceiptDelayMaxMs: Math.max(behaviour.readReceiptDelayMinMs, behaviour.readReceiptDelayMaxMs),
    },
    rateLimit: { ...rateLimit, burst: Math.min(rateLimit.burst, rateLimit.perMinute) },
  }
  return { config, warnings }
}

const readValues = (env: Environment, problems: string[], warnings: string[]): Values => {
  const values: Record<string, Record<string, unknown>> = {}
  for (const { group, key, setting } of listSettings()) {
    const given = env[setting.name]?.trim() ?? ''
    values[group] ??= {}
    try {
      values[group][key] = given === '' ? setting.unset : setting.parse(given, (line) => warnings.push(line))
    } catch (error) {
      if (!(error instanceof Unacceptable)) throw error
      problems.push(`${setting.name} ${error.message}${setting.secret ? '' : ` (it is "${given.slice(0, 100)}")`}`)
    }
  }
  return values as unknown as Values
}

const checkSecret = (name: string, secret: string | undefined, problems: string[], warnings: string[]): string => {
  if (secret === undefined) problems.push(`${name} is required`)
  else if (secret.length < 16) problems.push(`${name} must have at least 16 characters (it has ${secret.length})`)
  else if (secret.length < 32) warnings.push(`${name} has ${secret.length} characters; 32 or more are recommended`)
  return secret ?? ''
}

const readDatastores = (storage: Values['storage'], embedded: EmbeddedDefaults | undefined, problems: string[]) => {
  const name = 'WHATSAPP_DATASTORE_URI'
  const uri = embedded ? `sqlite:${embedded.sqlitePath}` : storage.uri
  if (uri === undefined) {
    problems.push(`${name} is required`)
    return { main: undefined, keys: undefined }
  }
  const main = readDatastore(name, uri, embedded ? undefined : storage.type, problems)
  const kind = main?.kind === 'postgres' ? 'postgres' : 'sqlite3'
  const keys =
    storage.keysUri === '' ? undefined : readDatastore('WHATSAPP_KEYS_DATASTORE_URI', storage.keysUri, kind, problems)
  return { main, keys }
}

/**
 * `postgres://`, `postgresql://` -> PostgreSQL; `sqlite:`, `sqlite3:`, `file:` (with or without `//`) -> SQLite;
 * a bare path only when `type` says sqlite3.
 */
const readDatastore = (
  name: string,
  uri: string,
  type: 'postgres' | 'sqlite3' | undefined,
  problems: string[],
): DatastoreAddress | undefined => {
  const scheme = /^([a-z][a-z0-9+]+):/i.exec(uri)?.[1]?.toLowerCase()
  const kinds = {
    postgres: 'postgres',
    postgresql: 'postgres',
    sqlite: 'sqlite3',
    sqlite3: 'sqlite3',
    file: 'sqlite3',
  } as const
  const kind = scheme === undefined ? (type === 'sqlite3' ? type : undefined) : kinds[scheme as keyof typeof kinds]
  if (kind === undefined) {
    problems.push(`${name} must begin with postgres://, sqlite: or file:`)
    return undefined
  }
  if (type !== undefined && type !== kind) {
    const other = name === 'WHATSAPP_DATASTORE_URI' ? 'WHATSAPP_DATASTORE_TYPE' : 'the kind of WHATSAPP_DATASTORE_URI'
    problems.push(`${name} names a ${kind} database, which contradicts ${other} (${type})`)
    return undefined
  }
  if (kind === 'postgres') {
    if (URL.canParse(uri)) return { kind: 'postgres', uri }
    problems.push(`${name} is not a readable URI; special characters in the password must be percent-encoded`)
    return undefined
  }
  const path = uri.replace(/^(?:sqlite3?|file):(?:\/\/)?/i, '').replace(/\?.*$/, '')
  if (path !== '') return { kind: 'sqlite', path }
  problems.push(`${name} names no file`)
  return undefined
}

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/

const checkTls = (values: Values, problems: string[]): void => {
  if (!values.whatsapp?.tlsInsecure) return
  const { webUrl, mediaOrigin } = values.whatsapp
  for (const [name, url] of [
    ['WHATSAPP_WEB_URL', webUrl],
    ['WHATSAPP_MEDIA_ORIGIN', mediaOrigin],
  ] as const) {
    if (url === undefined || LOOPBACK.test(new URL(url).hostname)) continue
    problems.push(`WHATSAPP_TLS_INSECURE is allowed only with loopback hosts, and ${name} is not one`)
  }
}
