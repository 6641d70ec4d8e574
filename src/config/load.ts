import { randomBytes } from 'node:crypto'
import { chmodSync, linkSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { type Config, ConfigError, type Environment, isEmbedded, parseConfig } from './config.ts'

export interface LoadOptions {
  readonly env: Environment
  /** Read when it exists; variables of `env` win over its lines. */
  readonly envFile?: string
  /** Home of the embedded database and the generated secrets. */
  readonly dataDir?: string
}

export interface LoadedConfig {
  readonly config: Config
  /** One line each, for the log. */
  readonly warnings: readonly string[]
  /** Set at the first embedded start only: what to print once. */
  readonly firstStart: { readonly secretsFile: string; readonly adminSecretKey: string } | undefined
}

/**
 * Reads the environment and the `.env` file, and in embedded mode the generated secrets, which it makes when missing.
 * @throws ConfigError
 */
export const loadConfig = ({ env, envFile = '.env', dataDir = './data' }: LoadOptions): LoadedConfig => {
  const merged: Environment = { ...readEnvFile(envFile), ...withoutUndefined(env) }
  if (!isEmbedded(merged)) return { ...parseConfig(merged), firstStart: undefined }
  const secretsFile = join(dataDir, 'secrets.json')
  const sqlitePath = join(dataDir, 'parley.sqlite')
  // Everything else is judged first: secrets made by a start that then stops would never be shown to anybody.
  parseConfig(merged, { adminSecretKey: '', jwtSecretKey: '', sqlitePath })
  const { secrets, isNew } = readOrMakeSecrets(dataDir, secretsFile)
  return {
    ...parseConfig(merged, { ...secrets, sqlitePath }),
    firstStart: isNew ? { secretsFile, adminSecretKey: secrets.adminSecretKey } : undefined,
  }
}

const withoutUndefined = (env: Environment): Environment =>
  Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined))

const readEnvFile = (path: string): Environment => {
  const content = readIfThere(path)
  return content === undefined ? {} : (parseEnv(content) as Record<string, string>)
}

const readIfThere = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new ConfigError([`${path} cannot be read (${(error as NodeJS.ErrnoException).code})`])
  }
}

interface Secrets {
  readonly adminSecretKey: string
  readonly jwtSecretKey: string
}

/** Two first starts at once agree on one file: it is written aside and linked into place, which only one of them can. */
const readOrMakeSecrets = (dataDir: string, path: string): { secrets: Secrets; isNew: boolean } => {
  const found = readSecrets(path)
  if (found) return { secrets: found, isNew: false }
  const secrets: Secrets = { adminSecretKey: newSecretText(), jwtSecretKey: newSecretText() }
  const aside = `${path}.${process.pid}`
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 })
    writeFileSync(aside, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600, flag: 'wx', flush: true })
  } catch (error) {
    throw new ConfigError([`${dataDir} cannot be written (${(error as NodeJS.ErrnoException).code})`])
  }
  try {
    linkSync(aside, path)
    return { secrets, isNew: true }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return { secrets: readSecrets(path)!, isNew: false }
  } finally {
    rmSync(aside)
  }
}

const newSecretText = (): string => randomBytes(32).toString('base64url')

const readSecrets = (path: string): Secrets | undefined => {
  const content = readIfThere(path)
  if (content === undefined) return undefined
  if ((statSync(path).mode & 0o077) !== 0) chmodSync(path, 0o600)
  const secrets = parseSecrets(content)
  if (secrets) return secrets
  // Making new ones here would lock the owner out of a database that the old ones encrypt.
  throw new ConfigError([`${path} is damaged: it must hold adminSecretKey and jwtSecretKey; restore it from a backup`])
}

const parseSecrets = (content: string): Secrets | undefined => {
  let parsed: Partial<Secrets> | null
  try {
    parsed = JSON.parse(content)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
  const { adminSecretKey, jwtSecretKey } = parsed ?? {}
  if (typeof adminSecretKey !== 'string' || typeof jwtSecretKey !== 'string') return undefined
  return adminSecretKey.length >= 16 && jwtSecretKey.length >= 16 ? { adminSecretKey, jwtSecretKey } : undefined
}
