import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findEmptyCatches, findGiveaways, findLongFiles, LONG_FILES, MAX_LINES } from './house-rules.ts'
import { findDeadLinks } from './links.ts'
import { listPaths, readCode, readFiles } from './repository.ts'

const isGenerated = (path: string) => path === 'package-lock.json' || path.startsWith('docs/reference/')
const isText = (path: string) => !/\.(?:png|jpe?g|webp|ico|woff2?|gz|bin)$/.test(path)

test(`no file has more than ${MAX_LINES} lines without a reason`, () => {
  assert.deepEqual(findLongFiles(readCode()), [])
  for (const path of Object.keys(LONG_FILES)) {
    assert.deepEqual(
      findLongFiles(
        readFiles((one) => one === path),
        {},
      ).length,
      1,
      `${path} needs no excuse any more`,
    )
  }
})

test('no error is dropped without a word', () => {
  assert.deepEqual(findEmptyCatches(readCode()), [])
})

test('nothing tells of a machine, a registry or a secret', () => {
  assert.deepEqual(findGiveaways(readFiles(isText)), [])
})

test('every link between pages leads somewhere', () => {
  const pages = readFiles((path) => path.endsWith('.md') && !isGenerated(path))
  assert.ok(pages.length > 5)
  assert.deepEqual(
    findDeadLinks([...pages, ...readFiles((path) => isGenerated(path) && path.endsWith('.md'))], listPaths()),
    [],
  )
})

const page = (content: string, path = 'docs/page.md') => ({ path, content })

test('a long file is noticed, an excused one is not', () => {
  const long = page('x\n'.repeat(MAX_LINES + 1), 'src/long.ts')
  assert.deepEqual(findLongFiles([long], {}), [`src/long.ts has ${MAX_LINES + 1} lines`])
  assert.deepEqual(findLongFiles([long], { 'src/long.ts': 'one table' }), [])
  assert.deepEqual(findLongFiles([page('x\n'.repeat(MAX_LINES))], {}), [])
})

// Written in two halves so that this file does not trip its own rules.
const CATCH = 'cat' + 'ch'
for (const code of [
  `try { a() } ${CATCH} {}`,
  `try { a() } ${CATCH} (e) {\n // never mind\n}`,
  `a().${CATCH}(() => {})`,
]) {
  test(`a dropped error is noticed: ${JSON.stringify(code)}`, () =>
    assert.equal(findEmptyCatches([page(code)]).length, 1))
}
test('a handled error is not', () => {
  assert.deepEqual(findEmptyCatches([page(`try { a() } ${CATCH} (e) { log(e) }\na().${CATCH}((e) => log(e))`)]), [])
})

for (const giveaway of [
  `cd ${'/wo'}${'rk'}/main`,
  `"${'/ro'}${'ot'}/.npmrc"`,
  `"resolved": "https://npm-regi${'stry'}.corp.example/x.tgz"`,
  `-----BEGIN PRIVATE ${'KEY'}-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49`,
  `eyJhbGciOiJIUzI1NiIsInR5cCI6.${'ey'}JkZXZpY2VfaWQiOiI1NTBlODQwMC1l.c2lnbmF0dXJlc2lnbmF0dXJl`,
]) {
  test(`a giveaway is noticed: ${giveaway.slice(0, 24)}`, () => assert.equal(findGiveaways([page(giveaway)]).length, 1))
}
test('ordinary text is no giveaway', () => {
  const text = 'https://registry.npmjs.org/x a/work/b ./root/x https://example.com/registry /home/ eyJhbGciOi...'
  assert.deepEqual(findGiveaways([page(text)]), [])
})

test('dead links are noticed, living ones are not', () => {
  const pages = [
    page(
      '[a](other.md#a-heading--more) [b](#here)\n# Here\n[c](../src/x.ts) [d](../src) [e](https://example.com/x)\n```\n[no](x.md)\n```',
    ),
    page('## A heading: & more', 'docs/other.md'),
  ]
  const paths = ['docs/page.md', 'docs/other.md', 'src/x.ts']
  assert.deepEqual(findDeadLinks(pages, paths), [])
  assert.deepEqual(findDeadLinks([page('[x](gone.md)'), page('[y](#nope)')], paths), [
    'docs/page.md: gone.md does not exist',
    'docs/page.md: #nope names no heading',
  ])
})
