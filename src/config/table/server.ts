import { isIP } from 'node:net'
import { duration, int, list, oneOf, readKey32, readNetwork, size, text, Unacceptable } from '../setting.ts'

const anyText = (given: string): string => given

/** `api/v1/` -> `/api/v1`; `/` and the empty text -> no prefix. */
const readBaseUrl = (given: string): string => {
  const path = given.replace(/^\/+|\/+$/g, '')
  if (path === '') return ''
  if (!/^[A-Za-z0-9._~-]+(?:\/[A-Za-z0-9._~-]+)*$/.test(path)) throw new Unacceptable('must be a path such as /api/v1')
  return `/${path}`
}

const readAddress = (given: string): string => {
  if (isIP(given) === 0 && given !== 'localhost') throw new Unacceptable('must be an IP address')
  return given
}

const readOrigin = (given: string): string => {
  const url = URL.canParse(given) ? new URL(given) : undefined
  if (given === '*' || (url !== undefined && /^https?:$/.test(url.protocol) && url.origin === given.toLowerCase())) {
    return given.toLowerCase()
  }
  throw new Unacceptable(`has "${given}", which is neither * nor an origin such as https://example.com`)
}

export const authSettings = {
  adminSecretKey: text('ADMIN_SECRET_KEY', undefined, {
    allowed: '16 characters or more, 32 recommended',
    means: 'Secret expected in `X-Admin-Secret`.',
    secret: true,
    read: anyText,
  }),
  jwtSecretKey: text('JWT_SECRET_KEY', undefined, {
    allowed: '16 characters or more, 32 recommended',
    means: 'HMAC key that signs device tokens.',
    secret: true,
    read: anyText,
  }),
  dataEncryptionKey: text('DATA_ENCRYPTION_KEY', undefined, {
    allowed: '32 bytes as base64 or hex',
    means:
      'Wraps the data keys that encrypt credentials and secrets at rest. Without it the wrapping key is derived from `JWT_SECRET_KEY`.',
    secret: true,
    read: readKey32,
  }),
  dataEncryptionKeyPrevious: text('DATA_ENCRYPTION_KEY_PREVIOUS', undefined, {
    allowed: '32 bytes as base64 or hex, or an earlier JWT_SECRET_KEY',
    means: 'What wrapped the data keys before. Needed for one start after the change, which wraps them anew.',
    secret: true,
    read: (given) => {
      if (given.length < 16) throw new Unacceptable('must be 32 bytes as base64 or hex, or an earlier JWT_SECRET_KEY')
      return given
    },
  }),
}

export const serverSettings = {
  address: text('SERVER_ADDRESS', '0.0.0.0', {
    allowed: 'an IP address',
    means: 'Address to listen on; `127.0.0.1` for this machine only.',
    read: readAddress,
  }),
  port: int('SERVER_PORT', 7001, {
    min: 1024,
    max: 65535,
    also: [0, 'a free one, named in the log'],
    means: 'Port to listen on.',
  }),
  trustProxy: list('TRUST_PROXY', '', {
    allowed: 'addresses or CIDR blocks, comma-separated',
    means: 'Proxies whose `X-Forwarded-*` headers are believed.',
    item: readNetwork,
  }),
}

export const httpSettings = {
  baseUrl: text('HTTP_BASE_URL', '', {
    allowed: 'a path such as /api/v1',
    means: 'Prefix of every route.',
    read: readBaseUrl,
  }),
  corsOrigins: list('HTTP_CORS_ORIGIN', '*', {
    allowed: '*, or origins, comma-separated',
    means: 'Origins whose pages may call the API.',
    item: readOrigin,
  }),
  bodyLimitBytes: size('HTTP_BODY_LIMIT_SIZE', '8M', {
    invalidIsDefault: true,
    means: 'Largest accepted request body.',
  }),
  gzipLevel: int('HTTP_GZIP_LEVEL', 1, { min: 1, max: 9, means: 'Compression of replies: 1 is fastest, 9 smallest.' }),
  cacheCapacity: int('HTTP_CACHE_CAPACITY', 100, {
    min: 50,
    max: 10_000,
    means: 'Most entries of the reply cache.',
  }),
  cacheTtlSeconds: int('HTTP_CACHE_TTL_SECONDS', 5, {
    min: 1,
    max: 3_600,
    belowIsDefault: true,
    means: 'Lifetime of a cached reply, in seconds.',
  }),
}

export const observabilitySettings = {
  logLevel: oneOf('LOG_LEVEL', 'info', {
    values: ['debug', 'info', 'warn', 'error'],
    means: 'What the application logs.',
  }),
  logFormat: oneOf('LOG_FORMAT', 'text', {
    values: ['text', 'json'],
    means: 'Readable lines, or one JSON object per line.',
  }),
  metricsToken: text('METRICS_TOKEN', '', {
    allowed: 'any text',
    means: 'Bearer token for `/metrics`; when empty, the admin secret is needed.',
    secret: true,
    read: anyText,
  }),
}

export const storageSettings = {
  type: oneOf('WHATSAPP_DATASTORE_TYPE', undefined, {
    values: ['postgres', 'sqlite3'],
    aliases: { postgresql: 'postgres', pgx: 'postgres', sqlite: 'sqlite3' },
    means: "Kind of database. When unset, the URI's scheme decides.",
  }),
  uri: text('WHATSAPP_DATASTORE_URI', undefined, {
    allowed: 'postgres://user:password@host:5432/name, sqlite:./path or file:./path',
    means: 'The database.',
    secret: true,
    read: anyText,
  }),
  keysUri: text('WHATSAPP_KEYS_DATASTORE_URI', '', {
    allowed: 'as WHATSAPP_DATASTORE_URI, of the same kind',
    means: 'Separate database for credentials and Signal keys; when empty, they live in the main one.',
    secret: true,
    read: anyText,
  }),
  eventRetentionMs: duration('EVENT_RETENTION', '7d', {
    min: '1h',
    max: '365d',
    means: 'How long the event log keeps events.',
  }),
  messageRetentionMs: duration('MESSAGE_RETENTION', '0', {
    zero: 'for ever',
    means: 'How long stored messages are kept.',
  }),
}
