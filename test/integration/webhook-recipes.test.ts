import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { buildRequest } from '../../src/webhooks/request.ts'

const guide = readFileSync(new URL('../../docs/guide/webhooks.md', import.meta.url), 'utf8')
const folder = mkdtempSync(join(tmpdir(), 'parley-recipes-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** The code of the guide, with a line that reads cases from standard input and prints the verdicts as JSON. */
const LANGUAGES = {
  js: {
    command: process.execPath,
    file: 'recipe.mjs',
    driver: `
const cases = JSON.parse((await import('node:fs')).readFileSync(0, 'utf8'))
console.log(JSON.stringify(cases.map((c) => verify(c.secret, c.header, Buffer.from(c.body, 'base64'), c.now))))`,
  },
  python: {
    command: 'python3',
    file: 'recipe.py',
    driver: `
import base64, json, sys
print(json.dumps([verify(c["secret"], c["header"], base64.b64decode(c["body"]), c["now"]) for c in json.load(sys.stdin)]))`,
  },
  php: {
    command: 'php',
    file: 'recipe.php',
    driver: `
echo json_encode(array_map(fn($c) => verify($c['secret'], $c['header'], base64_decode($c['body']), $c['now']),
  json_decode(file_get_contents('php://stdin'), true)));`,
  },
  perl: {
    command: 'perl',
    file: 'recipe.pl',
    driver: `
use JSON::PP;
use MIME::Base64;
use Encode;
my $cases = JSON::PP->new->utf8->decode(do { local $/; <STDIN> });
print JSON::PP->new->encode([map {
  verify(Encode::encode('UTF-8', $_->{secret}), $_->{header}, decode_base64($_->{body}), $_->{now}) ? JSON::PP::true : JSON::PP::false
} @$cases]);`,
  },
} as const

const now = 1_795_348_800
const secret = 'ein Geheimnis mit ü'
const { headers, body } = buildRequest(
  { url: 'https://example.org/', secret, headers: {} },
  {
    deviceId: 'd',
    sequence: 1,
    eventId: 'e',
    type: 'test.ping',
    orderKey: undefined,
    payload: { message: 'grüß dich / "quoted"' },
    occurredAt: 5,
  },
  1,
  now * 1000,
  '0',
)
const header = headers['X-Webhook-Signature-V2']!
const good = { secret, header, body: Buffer.from(body).toString('base64'), now }
const CASES: readonly (readonly [boolean, object])[] = [
  [true, good],
  [true, { ...good, now: now + 300 }],
  [true, { ...good, now: now - 300 }],
  [false, { ...good, now: now + 301 }],
  [false, { ...good, now: now - 301 }],
  [false, { ...good, secret: 'another' }],
  [false, { ...good, body: Buffer.from(`${Buffer.from(body).toString('utf8')} `).toString('base64') }],
  [false, { ...good, header: header.replace(`t=${now}`, `t=${now + 1}`) }],
  [false, { ...good, header: header.slice(0, -2) }],
  [false, { ...good, header: `${header}0` }],
  [false, { ...good, header: headers['X-Webhook-Signature'] }],
  [false, { ...good, header: '' }],
  [false, { ...good, header: null }],
]

for (const [language, { command, file, driver }] of Object.entries(LANGUAGES)) {
  const recipe = new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\n\`\`\``).exec(guide)?.[1]
  const exists = spawnSync(command, ['--version']).status === 0

  test(`the guide has a recipe in ${language}${exists ? ', which judges as we sign' : ' (not run: no interpreter here)'}`, () => {
    assert.ok(recipe)
    if (!exists) return
    const path = join(folder, file)
    writeFileSync(path, `${recipe}\n${driver}\n`)
    const run = spawnSync(command, [path], { input: JSON.stringify(CASES.map(([, given]) => given)), encoding: 'utf8' })
    assert.equal(run.stderr, '')
    assert.deepEqual(
      JSON.parse(run.stdout),
      CASES.map(([expected]) => expected),
    )
  })
}
