import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { ConfigError, type Environment, parseConfig } from './config.ts'

const secret = 'x'.repeat(32)
const required = { ADMIN_SECRET_KEY: secret, JWT_SECRET_KEY: secret, WHATSAPP_DATASTORE_URI: 'postgres://u:p@h:5432/d' }
const parse = (env: Environment = {}) => parseConfig({ ...required, ...env })
const configOf = (env: Environment = {}) => parse(env).config

const assertRefused = (env: Environment, expected: RegExp) =>
  assert.throws(
    () => parse(env),
    (error) => {
      assert.ok(error instanceof ConfigError)
      assert.match(error.message, expected)
      assert.equal(error.message.includes('\n'), false, 'one line')
      return true
    },
  )

test('defaults hold when only the required three are set', () => {
  const config = configOf()
  assert.equal(config.mode, 'configured')
  assert.equal(config.server.port, 7001)
  assert.equal(config.http.bodyLimitBytes, 8 * 1024 ** 2)
  assert.equal(config.webhooks.maxAgeMs, 86_400_000)
  assert.deepEqual(config.storage.main, { kind: 'postgres', uri: required.WHATSAPP_DATASTORE_URI })
})

for (const name of Object.keys(required)) {
  test(`without ${name} the start stops and says so`, () => {
    assertRefused({ [name]: undefined }, new RegExp(`^${name} is required$`))
    assertRefused({ [name]: '  ' }, new RegExp(`^${name} is required$`))
  })
}

test('every problem is named at once', () => {
  assertRefused(
    { JWT_SECRET_KEY: undefined, SERVER_PORT: 'x', WEBHOOK_WORKERS: '33' },
    /SERVER_PORT.*WEBHOOK_WORKERS.*JWT_SECRET_KEY/,
  )
})

test('secrets under 16 characters stop the start, under 32 they warn', () => {
  assertRefused(
    { ADMIN_SECRET_KEY: 'x'.repeat(15) },
    /^ADMIN_SECRET_KEY must have at least 16 characters \(it has 15\)$/,
  )
  assert.match(parse({ JWT_SECRET_KEY: 'x'.repeat(16) }).warnings.join(), /^JWT_SECRET_KEY has 16 characters; 32/)
  assert.deepEqual(parse().warnings, [])
})

test('a refused value is quoted, unless it is a secret', () => {
  assertRefused({ HTTP_GZIP_LEVEL: '10' }, /^HTTP_GZIP_LEVEL must be 1-9 \(it is "10"\)$/)
  assertRefused({ DATA_ENCRYPTION_KEY: 'hush' }, /^DATA_ENCRYPTION_KEY must be 32 bytes[^"]*$/)
  assertRefused({ WHATSAPP_CLIENT_PROXY_URL: 'ftp://u:hush@h' }, /^(?!.*hush)WHATSAPP_CLIENT_PROXY_URL/)
  assertRefused(
    { WHATSAPP_DATASTORE_URI: 'mysql://u:hush@h' },
    /^(?!.*hush)WHATSAPP_DATASTORE_URI must begin with postgres/,
  )
})

test('the kind of database follows the URI, and a contradiction stops the start', () => {
  const main = (uri: string, type?: string) =>
    configOf({ WHATSAPP_DATASTORE_URI: uri, WHATSAPP_DATASTORE_TYPE: type }).storage.main
  assert.equal(main('postgresql://h/d').kind, 'postgres')
  assert.equal(main('postgres://h/d', 'pgx').kind, 'postgres')
  for (const uri of ['sqlite:./a b.sqlite', 'sqlite3://./a b.sqlite', 'file:./a b.sqlite?mode=rwc']) {
    assert.deepEqual(main(uri), { kind: 'sqlite', path: './a b.sqlite' })
  }
  assert.deepEqual(main('/var/lib/p.sqlite', 'sqlite3'), { kind: 'sqlite', path: '/var/lib/p.sqlite' })
  assertRefused(
    { WHATSAPP_DATASTORE_TYPE: 'sqlite3' },
    /^WHATSAPP_DATASTORE_URI names a postgres .* WHATSAPP_DATASTORE_TYPE \(sqlite3\)/,
  )
  assertRefused({ WHATSAPP_DATASTORE_URI: './p.sqlite' }, /must begin with/)
  assertRefused({ WHATSAPP_DATASTORE_URI: 'sqlite:' }, /names no file/)
})

test('the keys may live in a database of their own, of the same kind', () => {
  assert.equal(configOf().storage.keys, undefined)
  assert.deepEqual(configOf({ WHATSAPP_KEYS_DATASTORE_URI: 'postgres://h/k' }).storage.keys, {
    kind: 'postgres',
    uri: 'postgres://h/k',
  })
  assertRefused(
    { WHATSAPP_KEYS_DATASTORE_URI: 'sqlite:k.sqlite' },
    /^WHATSAPP_KEYS_DATASTORE_URI names a sqlite3 database/,
  )
})

test('values the contract forgives take the default and warn', () => {
  const cases = [
    ['HTTP_BODY_LIMIT_SIZE', 'lots', (c: ReturnType<typeof configOf>) => c.http.bodyLimitBytes, 8 * 1024 ** 2],
    ['HTTP_BODY_LIMIT_SIZE', '0', (c: ReturnType<typeof configOf>) => c.http.bodyLimitBytes, 8 * 1024 ** 2],
    ['HTTP_CACHE_TTL_SECONDS', '-1', (c: ReturnType<typeof configOf>) => c.http.cacheTtlSeconds, 5],
    ['WEBHOOK_WORKERS', '0', (c: ReturnType<typeof configOf>) => c.webhooks.workers, 4],
    ['WEBHOOK_RETRY_LIMIT', '-5', (c: ReturnType<typeof configOf>) => c.webhooks.retryLimit, 3],
    ['WHATSAPP_RATE_LIMIT_MSG_PER_MINUTE', '0', (c: ReturnType<typeof configOf>) => c.rateLimit.perMinute, 20],
  ] as const
  for (const [name, value, read, expected] of cases) {
    const { config, warnings } = parse({ [name]: value })
    assert.equal(read(config), expected, name)
    assert.match(warnings.join(), new RegExp(`^${name}=`))
  }
})

test('pairs of settings are brought into agreement', () => {
  const { behaviour, rateLimit } = configOf({
    WHATSAPP_TYPING_DELAY_MIN: '5s',
    WHATSAPP_READ_RECEIPT_DELAY_MAX: '100ms',
    WHATSAPP_RATE_LIMIT_MSG_PER_MINUTE: '3',
  })
  assert.equal(behaviour.typingDelayMaxMs, 5_000)
  assert.equal(behaviour.readReceiptDelayMaxMs, 500)
  assert.equal(rateLimit.burst, 3)
})

test('TLS may be left unchecked only towards this machine', () => {
  const insecure = { WHATSAPP_TLS_INSECURE: 'true' }
  assertRefused(insecure, /^WHATSAPP_TLS_INSECURE .* WHATSAPP_WEB_URL/)
  for (const host of ['127.0.0.1:1', 'localhost', '[::1]:2']) {
    const urls = { WHATSAPP_WEB_URL: `wss://${host}/ws/chat`, WHATSAPP_MEDIA_ORIGIN: `https://${host}` }
    assert.equal(configOf({ ...insecure, ...urls }).whatsapp.tlsInsecure, true)
  }
  const remote = { WHATSAPP_WEB_URL: 'wss://127.0.0.1/', WHATSAPP_MEDIA_ORIGIN: 'https://mmg.example' }
  assertRefused({ ...insecure, ...remote }, /WHATSAPP_MEDIA_ORIGIN/)
  assertRefused({ ...insecure, WHATSAPP_WEB_URL: 'wss://127.0.0.1.example.org/' }, /WHATSAPP_WEB_URL/)
})

test('the prefix is brought into one form', () => {
  const cases = [
    ['/api/v1', '/api/v1'],
    ['api/v1/', '/api/v1'],
    ['/', ''],
  ] as const
  for (const [given, expected] of cases) assert.equal(configOf({ HTTP_BASE_URL: given }).http.baseUrl, expected)
  assertRefused({ HTTP_BASE_URL: '/a b' }, /HTTP_BASE_URL must be a path/)
})

test('what wrapped the data keys before may have been a key or a JWT_SECRET_KEY', () => {
  assert.equal(configOf({ DATA_ENCRYPTION_KEY_PREVIOUS: secret }).auth.dataEncryptionKeyPrevious, secret)
  assertRefused({ DATA_ENCRYPTION_KEY_PREVIOUS: 'short' }, /^DATA_ENCRYPTION_KEY_PREVIOUS must be [^"]*$/)
})

test('a data key is 32 bytes, as base64 or hex', () => {
  const bytes = Buffer.alloc(32, 7)
  for (const form of [bytes.toString('hex'), bytes.toString('base64'), bytes.toString('base64url')]) {
    assert.deepEqual(Buffer.from(configOf({ DATA_ENCRYPTION_KEY: form }).auth.dataEncryptionKey!), bytes)
  }
  assertRefused({ DATA_ENCRYPTION_KEY: bytes.subarray(1).toString('base64') }, /32 bytes/)
})

const refusals: readonly [string, string][] = [
  ['SERVER_PORT', '80'],
  ['SERVER_PORT', '65536'],
  ['SERVER_PORT', '70.5'],
  ['SERVER_ADDRESS', 'example.org'],
  ['HTTP_CORS_ORIGIN', 'https://example.org/path'],
  ['HTTP_CACHE_CAPACITY', '49'],
  ['LOG_LEVEL', 'loud'],
  ['WEBHOOKS_ENABLED', 'maybe'],
  ['WHATSAPP_WEB_URL', 'https://example.org'],
  ['WHATSAPP_NOISE_ROOT', 'abcd'],
  ['WHATSAPP_MEDIA_ORIGIN', 'http://127.0.0.1:1'],
  ['WHATSAPP_VERSION_MAJOR', '3'],
  ['WHATSAPP_VERSION_MINOR', '2999'],
  ['WHATSAPP_WAVERSION_REFRESH_CRON_SPEC', '0 3 * * *'],
  ['WHATSAPP_WAVERSION_REFRESH_CRON_SPEC', '0 0 25 * * *'],
  ['WHATSAPP_TYPING_DELAY_MIN', '0'],
  ['WHATSAPP_TYPING_DELAY_MIN', '5'],
  ['WEBHOOK_MAX_AGE', '31d'],
  ['WEBHOOK_MAX_AGE', '0'],
  ['EVENT_RETENTION', '59m'],
  ['MEDIA_STORE_MAX_SIZE', '-1'],
  ['TRUST_PROXY', '10.0.0.0/33'],
  ['TRUST_PROXY', 'proxy.example'],
  ['WEBHOOK_ALLOWED_NETWORKS', '10.0.0.0/8, bad host'],
  ['WEBHOOK_DELIVERY_RETENTION_DAYS', '0'],
]
for (const [name, value] of refusals) {
  test(`${name}=${value} stops the start`, () => assertRefused({ [name]: value }, new RegExp(`^${name} `)))
}

test('unusual values that are allowed', () => {
  const config = configOf({
    SERVER_PORT: '0',
    MESSAGE_RETENTION: '0',
    MEDIA_STORE_MAX_SIZE: '0',
    WEBHOOK_CACHE_TTL_SECONDS: '-1',
    WHATSAPP_WAVERSION_REFRESH_MIN_INTERVAL: '0',
    WEBHOOK_ALLOWED_NETWORKS: '10.0.0.0/8, ::1, *.internal',
    TRUST_PROXY: '127.0.0.1,fd00::/8',
    HTTP_CORS_ORIGIN: 'https://a.example, http://localhost:3000',
    WHATSAPP_LOG_LEVEL: 'warn',
    WEBHOOK_ALLOW_HTTP: '1',
  })
  assert.equal(config.server.port, 0)
  assert.equal(config.webhooks.cacheTtlSeconds, -1)
  assert.deepEqual(config.webhooks.allowedNetworks, ['10.0.0.0/8', '::1', '*.internal'])
  assert.deepEqual(config.server.trustProxy, ['127.0.0.1', 'fd00::/8'])
  assert.deepEqual(config.http.corsOrigins, ['https://a.example', 'http://localhost:3000'])
  assert.equal(config.whatsapp.logLevel, 'WARN')
  assert.equal(config.webhooks.allowHttp, true)
})

test('an unset variable and an empty one mean the same, once the required three are there', () => {
  const names = readFileSync(new URL('../../test/contract/config.json', import.meta.url), 'utf8')
  const empty = Object.fromEntries((JSON.parse(names) as { name: string }[]).map(({ name }) => [name, '']))
  assert.deepEqual(parseConfig({ ...empty, ...required }).config, configOf())
})
