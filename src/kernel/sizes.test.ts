import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatSize, parseSize } from './sizes.ts'

test('sizes are 1024 based, in either case, plain numbers are bytes', () => {
  const cases: [string, number][] = [
    ['8M', 8_388_608],
    ['512k', 524_288],
    ['10G', 10_737_418_240],
    ['1.5K', 1_536],
    ['100', 100],
    ['0', 0],
    ['8MB', 8_388_608],
  ]
  for (const [text, expected] of cases) assert.equal(parseSize(text), expected, text)
})

test('text that is no size is refused', () => {
  for (const text of ['', 'M', '-1M', '8T', '1e9', '8 M M', '99999999999G'])
    assert.equal(parseSize(text), undefined, text)
})

test('a size survives being written and read back', () => {
  fc.assert(fc.property(fc.nat(), (bytes) => parseSize(formatSize(bytes)) === bytes))
})
