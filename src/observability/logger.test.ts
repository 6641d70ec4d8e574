import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLogger, type LoggerOptions } from './logger.ts'
import { isSecretName } from './redact.ts'

const collect = (options: Omit<LoggerOptions, 'write'>) => {
  const lines: string[] = []
  return { lines, log: createLogger({ ...options, write: (line) => lines.push(line) }) }
}

test('json: one object per line with time, level, message and fields', () => {
  const { lines, log } = collect({ level: 'info', format: 'json' })
  log.child({ device: 'd1' }).info({ took: 40 }, 'linked')
  const { time, ...rest } = JSON.parse(lines[0]!)
  assert.deepEqual(rest, { level: 'info', device: 'd1', took: 40, msg: 'linked' })
  assert.ok(Math.abs(Date.parse(time) - Date.now()) < 60_000)
})

test('text: one readable line, quoted where it must be', () => {
  const { lines, log } = collect({ level: 'info', format: 'text' })
  log.warn({ device: 'd1', why: 'no answer', tries: 3 }, 'retrying')
  assert.match(lines[0]!, /^\d\d:\d\d:\d\d\.\d{3} WARN {2}retrying device=d1 why="no answer" tries=3\n$/)
})

test('text: an error brings its stack, and nothing a caller sent can forge a line', () => {
  const { lines, log } = collect({ level: 'info', format: 'text' })
  log.error({ err: new Error('broken') }, 'failed')
  assert.match(lines[0]!, /ERROR failed err=broken\n\s+at /)
  log.info({ path: '/x\n12:00:00.000 ERROR forged', seen: { by: '\u001b[31m' } }, 'a\nb')
  assert.equal(lines[1]!.split('\n').length, 2)
  assert.doesNotMatch(lines[1]!.trimEnd(), /\p{Cc}/u)
})

test('lines below the level are dropped', () => {
  const { lines, log } = collect({ level: 'warn', format: 'json' })
  log.debug({}, 'no')
  log.info({}, 'no')
  log.warn({}, 'yes')
  assert.equal(lines.length, 1)
})

for (const format of ['text', 'json'] as const) {
  test(`${format}: secrets are replaced by name at any depth, in fields and in children`, () => {
    const { lines, log } = collect({ level: 'debug', format })
    const headers = { Authorization: 'Bearer hush', 'X-Admin-Secret': 'hush', accept: 'json' }
    const secrets = { device_secret: 'hush', apiKey: 'hush', proxyUrl: 'socks5://u:hush@h', noise_private_key: 'hush' }
    log.child({ jwt: 'hush' }).info({ request: { headers }, list: [secrets], key: Buffer.from('hush') }, 'seen')
    assert.doesNotMatch(lines[0]!, /hush/)
    assert.match(lines[0]!, /accept/)
  })
}

test('names of secrets are told from names that only sound like them', () => {
  for (const name of ['token', 'access_token', 'X-API-Key', 'jwtSecretKey', 'DATA_ENCRYPTION_KEY', 'Set-Cookie']) {
    assert.equal(isSecretName(name), true, name)
  }
  for (const name of ['tokenVersion', 'secretsFile', 'key', 'messageId', 'cookies_seen']) {
    assert.equal(isSecretName(name), false, name)
  }
})
