import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isParleyError } from '../../kernel/errors.ts'
import { readPage } from './page-facts.ts'
import { readRange } from './ranges.ts'
import { cleanFileName, isTrue, readFlag } from './schema.ts'
import { decodeBase64 } from './source.ts'

test('file names keep their script and lose paths, controls and turned text', () => {
  const names: readonly (readonly [string | undefined, string | undefined])[] = [
    ['Preisliste.pdf', 'Preisliste.pdf'],
    ['東京 عربي.txt', '東京 عربي.txt'],
    ['../../etc/passwd', 'passwd'],
    ['C:\\Windows\\x.exe', 'x.exe'],
    ['a\r\nb\0.txt', 'ab.txt'],
    ['\u202egpj.exe', 'gpj.exe'],
    ['..', undefined],
    ['dir/', undefined],
    ['', undefined],
    [undefined, undefined],
    ['x'.repeat(300), 'x'.repeat(255)],
  ]
  for (const [given, clean] of names) assert.equal(cleanFileName(given), clean, given)
})

test('flags are read as forms write them', () => {
  for (const yes of [true, 'true', '1', 'YES', 'on']) assert.equal(readFlag(yes), true)
  for (const no of [false, 'false', '0', 'No', 'off']) assert.equal(readFlag(no), false)
  for (const neither of [undefined, 'perhaps', '']) assert.equal(readFlag(neither), undefined)
  assert.deepEqual([true, 'true', 'yes', '1', false, undefined].map(isTrue), [true, true, false, false, false, false])
})

test('one range is honoured, what is no range is ignored, what lies beyond is refused', () => {
  assert.deepEqual(readRange('bytes=0-9', 100), { start: 0, end: 9 })
  assert.deepEqual(readRange('bytes=90-200', 100), { start: 90, end: 99 })
  assert.deepEqual(readRange('bytes=-10', 100), { start: 90, end: 99 })
  assert.deepEqual(readRange('bytes=-1000', 100), { start: 0, end: 99 })
  for (const header of [undefined, 'bytes=', 'bytes=-', 'bytes=0-1,4-5', 'items=0-1', 'bytes=9-5'])
    assert.equal(readRange(header, 100), undefined, header)
  for (const header of ['bytes=100-', 'bytes=-0'])
    assert.throws(
      () => readRange(header, 100),
      (error) => isParleyError(error, 'range_not_satisfiable'),
      header,
    )
})

test('base64 comes in either alphabet; anything else is named', () => {
  assert.deepEqual(decodeBase64('+/8=', 'x'), decodeBase64('-_8', 'x'))
  for (const bad of ['', '!', 'A', 'AA=A', 'AAAAA'])
    assert.throws(
      () => decodeBase64(bad, 'x'),
      (error) => isParleyError(error, 'bad_request'),
      bad,
    )
})

test('a page is read as it was meant, broken or not', () => {
  const base = new URL('https://example.com/a/b')
  const page = (html: string) => readPage(html, base)
  assert.deepEqual(
    page(`<HEAD><meta content='A "quoted" &amp; &#x1F600; title' property=og:title>
      <meta property="og:image" content="../c.png"><meta name=description content="D
      E">`),
    { title: 'A "quoted" & 😀 title', description: 'D E', image: 'https://example.com/c.png' },
  )
  assert.equal(page('<title> plain\n title </title>').title, 'plain title')
  assert.equal(page('<body><meta property="og:title" content="not here">').title, undefined)
  assert.deepEqual(page(''), { title: undefined, description: undefined, image: undefined })
  assert.equal([...page(`<title>${'x'.repeat(1_500)}</title>`).title!].length, 300)
})
