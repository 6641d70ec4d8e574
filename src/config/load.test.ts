import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ConfigError } from './config.ts'
import { loadConfig } from './load.ts'

const setUp = (t: TestContext) => {
  const folder = mkdtempSync(join(tmpdir(), 'parley-config-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const dataDir = join(folder, 'data')
  const envFile = join(folder, '.env')
  return {
    dataDir,
    envFile,
    secretsFile: join(dataDir, 'secrets.json'),
    load: (env = {}) => loadConfig({ env, envFile, dataDir }),
  }
}
const modeOf = (path: string) => statSync(path).mode & 0o777

test('with nothing configured: SQLite and secrets that are made once, told once, and stay', (t) => {
  const { dataDir, secretsFile, load } = setUp(t)
  const first = load()
  assert.equal(first.config.mode, 'embedded')
  assert.deepEqual(first.config.storage.main, { kind: 'sqlite', path: join(dataDir, 'parley.sqlite') })
  assert.ok(first.config.auth.adminSecretKey.length >= 32)
  assert.notEqual(first.config.auth.adminSecretKey, first.config.auth.jwtSecretKey)
  assert.deepEqual(first.firstStart, { secretsFile, adminSecretKey: first.config.auth.adminSecretKey })
  const second = load()
  assert.deepEqual(second.config, first.config)
  assert.equal(second.firstStart, undefined)
})

test('the secrets and their folder are for the owner alone, also after somebody opened them up', (t) => {
  const { dataDir, secretsFile, load } = setUp(t)
  load()
  assert.equal(modeOf(dataDir), 0o700)
  assert.equal(modeOf(secretsFile), 0o600)
  assert.deepEqual(readdirSync(dataDir), ['secrets.json'])
  chmodSync(secretsFile, 0o644)
  load()
  assert.equal(modeOf(secretsFile), 0o600)
})

test('a damaged secrets file stops the start and is left alone', (t) => {
  const { secretsFile, load } = setUp(t)
  load()
  for (const content of ['{', 'null', '{"adminSecretKey":"short","jwtSecretKey":"short"}']) {
    writeFileSync(secretsFile, content)
    assert.throws(load, (error) => error instanceof ConfigError && /secrets\.json is damaged/.test(error.message))
    assert.equal(readFileSync(secretsFile, 'utf8'), content)
  }
})

test('one required setting, even an empty one, ends the embedded mode', (t) => {
  const { dataDir, load } = setUp(t)
  assert.throws(() => load({ ADMIN_SECRET_KEY: '' }), /ADMIN_SECRET_KEY is required; JWT_SECRET_KEY is required/)
  assert.throws(() => load({ WHATSAPP_DATASTORE_URI: 'sqlite:x' }), /^ConfigError: ADMIN_SECRET_KEY is required/)
  assert.throws(() => load({ PARLEY_IMAGE: '1' }), /WHATSAPP_DATASTORE_URI is required/)
  assert.equal(existsSync(dataDir), false)
})

test('the .env file is read, and the environment wins over it', (t) => {
  const { envFile, load } = setUp(t)
  const lines = [
    '# comment',
    'SERVER_PORT=7002',
    'LOG_LEVEL="debug" # loud',
    "HTTP_BASE_URL='/api'",
    'WHATSAPP_CLIENT_PROXY_URL=""',
  ]
  writeFileSync(envFile, lines.join('\n'))
  const { config } = load({ SERVER_PORT: '7003', HTTP_BASE_URL: undefined })
  assert.equal(config.server.port, 7003)
  assert.equal(config.observability.logLevel, 'debug')
  assert.equal(config.http.baseUrl, '/api')
  assert.equal(process.env.SERVER_PORT, undefined)
})

test('a setting out of range stops the embedded mode before secrets are made that nobody would be told', (t) => {
  const { dataDir, load } = setUp(t)
  assert.throws(() => load({ SERVER_PORT: '1' }), /SERVER_PORT/)
  assert.equal(existsSync(dataDir), false)
  assert.notEqual(load().firstStart, undefined)
})
