import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type Running, startProgram } from '../../scripts/lib/process.ts'
import { Client } from '../support/e2e/client.ts'
import { ADMIN_SECRET, JWT_SECRET, ROOT, Stage } from '../support/e2e/stage.ts'
import { until } from '../support/e2e/until.ts'
import { createTestDatabase, stopTestServer } from '../support/postgres.ts'

const MAIN = join(ROOT, 'dist', 'main.js')
const LOCAL = { SERVER_ADDRESS: '127.0.0.1', SERVER_PORT: '0' }

/** Runs one of our scripts to its end; all it said. @throws when it fails */
const run = async (script: string): Promise<string> => {
  const child = spawn(process.execPath, [join(ROOT, 'scripts', script)], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (part: Buffer) => {
      said += part.toString('utf8')
    })
  const [code] = await once(child, 'close')
  assert.equal(code, 0, said)
  return said
}

// what is tested is what was just built, as `npm start` and `npm run demo` do
before(() => run('build.ts'))

describe('how the process starts and stops', () => {
  const folders: string[] = []
  const running: Running[] = []

  after(async () => {
    for (const program of running) await program[Symbol.asyncDispose]()
    for (const folder of folders) rmSync(folder, { recursive: true, force: true })
    await stopTestServer()
  })

  const newHome = (): string => {
    const folder = mkdtempSync(join(tmpdir(), 'parley-start-'))
    folders.push(folder)
    return folder
  }

  const start = async (cwd: string, env: Readonly<Record<string, string>>) => {
    const program = await startProgram({
      module: MAIN,
      cwd,
      env: { ...LOCAL, ...env },
      isReady: (line) => line.includes(' listens on '),
    })
    running.push(program)
    return { program, client: new Client(program.readyLine.split(' listens on ')[1]!) }
  }

  /** Runs to its end; what it said on standard error, line by line. */
  const refused = async (env: Readonly<Record<string, string>>, cwd = newHome()) => {
    const child = spawn(process.execPath, [MAIN], {
      cwd,
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ...LOCAL, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let said = ''
    child.stderr.on('data', (part: Buffer) => {
      said += part.toString('utf8')
    })
    child.stdout.resume()
    const [code] = await once(child, 'close')
    assert.equal(code, 1, said)
    const lines = said.trimEnd().split('\n')
    assert.equal(lines.length, 1, `one line, not:\n${said}`)
    return lines[0]!
  }

  const configured = (home: string) => ({
    ADMIN_SECRET_KEY: ADMIN_SECRET,
    JWT_SECRET_KEY: JWT_SECRET,
    WHATSAPP_DATASTORE_URI: `sqlite:${join(home, 'configured.sqlite')}`,
  })

  test('embedded: nothing configured, secrets made once, kept tight, printed once', async () => {
    const home = newHome()
    const first = await start(home, {})
    const secretsFile = join(home, 'data', 'secrets.json')
    assert.equal(statSync(secretsFile).mode & 0o777, 0o600)
    assert.equal(statSync(join(home, 'data')).mode & 0o077, 0)
    assert.ok(existsSync(join(home, 'data', 'parley.sqlite')))
    const { adminSecretKey } = JSON.parse(readFileSync(secretsFile, 'utf8'))
    assert.ok(adminSecretKey.length >= 32)
    const printed = first.program.lines.filter((line) => line.includes(adminSecretKey))
    assert.equal(printed.length, 1)
    const admin = { 'x-admin-secret': adminSecretKey }
    const { data } = await first.client.with(admin).ok('POST', '/admin/api-keys', { customer_name: 'First' })
    assert.equal(await first.program.stop(), 0)

    const second = await start(home, {})
    assert.ok(!second.program.lines.some((line) => line.includes(adminSecretKey)), 'not printed again')
    const kept = await second.client.with(admin).ok('GET', `/admin/api-keys/${data.id}`)
    assert.equal(kept.data.customer_name, 'First')
    // while it runs, nobody else may use the database
    assert.match(await refused({}, home), /another|already|in use|owned|process/i)
    assert.equal((await second.client.call('GET', '/')).status, 200)
    await second.program.kill()
    // a killed owner leaves no lock behind
    const third = await start(home, {})
    assert.equal((await third.client.call('GET', '/')).status, 200)
  })

  test('configured in part, or badly: one line that names the variable', async () => {
    const good = configured(newHome())
    const { ADMIN_SECRET_KEY, JWT_SECRET_KEY, WHATSAPP_DATASTORE_URI } = good
    const postgres = 'postgres://nobody:secret-word@127.0.0.1:9/none'
    const cases: readonly [Readonly<Record<string, string>>, RegExp][] = [
      [{ JWT_SECRET_KEY, WHATSAPP_DATASTORE_URI }, /ADMIN_SECRET_KEY is required/],
      [{ ADMIN_SECRET_KEY, WHATSAPP_DATASTORE_URI }, /JWT_SECRET_KEY is required/],
      [{ ADMIN_SECRET_KEY, JWT_SECRET_KEY }, /WHATSAPP_DATASTORE_URI is required/],
      [{ PARLEY_IMAGE: '1' }, /ADMIN_SECRET_KEY.*JWT_SECRET_KEY.*WHATSAPP_DATASTORE_URI/],
      [{ ...good, ADMIN_SECRET_KEY: '' }, /ADMIN_SECRET_KEY is required/],
      [{ ...good, JWT_SECRET_KEY: 'fifteen-letters' }, /JWT_SECRET_KEY must have at least 16/],
      [{ ...good, WHATSAPP_DATASTORE_TYPE: 'postgres' }, /WHATSAPP_DATASTORE_TYPE/],
      [{ ...good, WHATSAPP_DATASTORE_URI: 'mysql://x/y' }, /WHATSAPP_DATASTORE_URI/],
      [{ ...good, SERVER_PORT: '80' }, /SERVER_PORT/],
      [{ ...good, WHATSAPP_NOISE_ROOT: 'zz' }, /WHATSAPP_NOISE_ROOT/],
      [{ ...good, WHATSAPP_TLS_INSECURE: 'true' }, /WHATSAPP_TLS_INSECURE/],
      [{ ...good, WHATSAPP_DATASTORE_URI: postgres }, /127\.0\.0\.1|database|connect/i],
    ]
    const waiting = [...cases]
    const worker = async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const [env, expected] = next
        const line = await refused(env)
        assert.match(line, expected)
        assert.ok(!/fifteen|secret-word|of-the-end-to-end/.test(line), `no secret is shown: ${line}`)
      }
    }
    await Promise.all([worker(), worker(), worker()])
  })

  test('a secret of 16 to 31 characters is a warning; the scheme says which database', async () => {
    const home = newHome()
    const { program, client } = await start(home, { ...configured(home), ADMIN_SECRET_KEY: 'sixteen-letters!' })
    // log lines are written in batches
    await until('the warning', () =>
      program.lines.some((line) => line.includes('ADMIN_SECRET_KEY') && line.includes('recommended')),
    )
    assert.equal((await client.with({ 'x-admin-secret': 'sixteen-letters!' }).call('GET', '/admin/health')).status, 200)
    assert.ok(existsSync(join(home, 'configured.sqlite')))
    assert.ok(!existsSync(join(home, 'data', 'secrets.json')), 'no secrets are made where they are given')
    // SERVER_PORT=0: two processes never meet, each says where it is
    assert.match(program.readyLine, /listens on http:\/\/127\.0\.0\.1:\d{4,5}$/)
    await program.stop()
  })

  test('a port that is taken: one line', async () => {
    const holder = createServer().listen(0, '127.0.0.1')
    await once(holder, 'listening')
    const { port } = holder.address() as { port: number }
    assert.match(await refused({ ...configured(newHome()), SERVER_PORT: String(port) }), new RegExp(String(port)))
    holder.close()
  })

  test('two processes that start together on one PostgreSQL: one runs, the other says why it does not', async () => {
    const { url, drop } = await createTestDatabase()
    const env = { ...configured(newHome()), WHATSAPP_DATASTORE_URI: url }
    const outcomes = await Promise.allSettled([start(newHome(), env), start(newHome(), env)])
    const winners = outcomes.filter((outcome) => outcome.status === 'fulfilled')
    assert.equal(winners.length, 1, outcomes.map(({ status }) => status).join())
    const { program, client } = winners[0]!.value
    const loser = outcomes.find((outcome) => outcome.status === 'rejected')!
    const said = String((loser.reason as Error).message)
      .split('\n')
      .slice(1)
    assert.deepEqual(said.length, 1, said.join('\n'))
    assert.match(said[0]!, /^parley: /)
    assert.equal((await client.with({ 'x-admin-secret': ADMIN_SECRET }).call('GET', '/admin/health')).status, 200)
    assert.ok(!(await refused(env)).includes('at '), 'no stack')
    await program.kill()
    // the lease of a killed owner ends with its connection
    const next = await until('the next one may start', async () => start(newHome(), env).catch(() => undefined))
    await next.program.stop()
    await drop()
  })
})

describe('a stop, a prefix, the documents', () => {
  let stage: Stage

  before(async () => {
    stage = await Stage.open({
      main: MAIN,
      env: { HTTP_BASE_URL: '/api/v1', WHATSAPP_TYPING_DELAY_MIN: '700ms', WHATSAPP_TYPING_DELAY_MAX: '700ms' },
    })
  })
  after(() => stage?.[Symbol.asyncDispose]())

  test('everything is under the prefix, and nothing beside it', async () => {
    const root = new Client(`http://127.0.0.1:${stage.gateway.port}`)
    for (const path of ['/api/v1', '/api/v1/']) assert.equal((await root.call('GET', path)).status, 200, path)
    for (const path of ['/', '/admin/health', '/docs/', '/docs/swagger.json', '/devices/me', '/api', '/api/v11'])
      await root.refused(404, 'GET', path)
    const { phone, device } = await stage.linked('Ann')
    const friend = await stage.whatsapp.person('Friend')
    await device.send(friend, 'under the prefix')
    await friend.message('under the prefix')
    const id = await friend.write(phone, 'and back')
    await device.event('message.received', { message_id: id })
    const page = await (await stage.newDevice()).ok('POST', '/devices/me/login', { output: 'html' })
    assert.ok(page.text.includes('"baseUrl":"/api/v1"'))
  })

  test('the documents: a browser, JSON and YAML, complete and under the prefix', async () => {
    const json = await stage.anonymous.ok('GET', '/docs/swagger.json')
    const document = json.body
    assert.match(document.openapi, /^3\.1/)
    assert.deepEqual(
      document.servers.map(({ url }: { url: string }) => new URL(url, 'http://x').pathname),
      ['/api/v1'],
    )
    for (const path of [
      '/devices/me/login/passkey/confirm',
      '/chats/{chat_jid}/messages',
      '/webhooks/{webhook_id}/test',
    ])
      assert.ok(document.paths[path], path)
    assert.equal(Object.keys(document.components.securitySchemes).length, 3)
    assert.ok(document.webhooks['message.received'])
    const yaml = await stage.anonymous.ok('GET', '/docs/swagger.yaml')
    assert.match(yaml.headers.get('content-type')!, /yaml/)
    assert.match(yaml.text, /^openapi: ["']?3\.1/m)
    const browser = await stage.anonymous.ok('GET', '/docs/')
    assert.match(browser.headers.get('content-type')!, /^text\/html/)
    const assets = [...browser.text.matchAll(/(?:src|href)="([^"#]+\.(?:js|css))"/g)].map((found) => found[1]!)
    assert.ok(assets.length >= 2, browser.text)
    for (const asset of assets) {
      const url = new URL(asset, `http://127.0.0.1:${stage.gateway.port}/api/v1/docs/`)
      assert.ok(url.pathname.startsWith('/api/v1/docs/'), url.pathname)
      assert.equal((await fetch(url)).status, 200, asset)
    }
    await stage.anonymous.refused(404, 'GET', '/docs/nothing.js')
  })

  test('SIGTERM: the request in flight is answered, nothing new is taken, the socket closes, exit 0', async () => {
    const { phone, device } = await stage.linked('Bea')
    const friend = await stage.whatsapp.person('Friend')
    await stage.stop()
    const program = await stage.startProcess()
    await device.untilConnected()
    const sending = device.send(friend, 'last words', { presence_simulation: true, typing_simulation: true })
    await until('it types', async () => {
      const { presences } = await friend.call<{ presences: { state: string }[] }>('GET', '/presences')
      return presences.some(({ state }) => state === 'composing')
    })
    const ended = once(program.process, 'exit')
    program.process.kill('SIGTERM')
    const sent = await sending
    assert.equal(sent.status, 'server_ack')
    assert.deepEqual((await ended)[0], 0)
    assert.equal((await friend.message('last words')).message_id, sent.message_id)
    assert.deepEqual(
      (await phone.companions()).map(({ connected }) => connected),
      [false],
    )
    await assert.rejects(device.call('GET', '/devices/me'), /fetch failed/)

    // nothing was lost: what came meanwhile is told, and the account is still linked
    const id = await friend.write(phone, 'while you were away')
    await stage.startProcess()
    await device.event('message.received', { message_id: id })
    await stage.stop()
  })

  test('nothing that the service saw was wrong', async () => {
    await stage.whatsapp.assertNoProblems()
    stage.inbox.assertSchemas()
  })
})

describe('the demo', () => {
  test('npm run demo: the whole story, from an empty database, over a SIGKILL, within 30 s', async () => {
    const story = await run('demo.ts')
    assert.match(story, /killed with SIGKILL/)
    assert.match(story, /its signature holds/)
    const seconds = Number(/Done in ([\d.]+) s/.exec(story)?.[1])
    assert.ok(seconds < 30, `it took ${seconds} s`)
  })
})
