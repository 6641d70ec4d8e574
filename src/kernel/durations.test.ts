import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatUptime, parseDuration } from './durations.ts'

test('durations are read with their unit, chained, in either case', () => {
  const cases: [string, number][] = [
    ['500ms', 500],
    ['1s', 1_000],
    ['1.5s', 1_500],
    [' 10m ', 600_000],
    ['24H', 86_400_000],
    ['7d', 604_800_000],
    ['1h30m', 5_400_000],
    ['0', 0],
    ['0s', 0],
  ]
  for (const [text, expected] of cases) assert.equal(parseDuration(text), expected, text)
})

test('text that is no duration is refused', () => {
  for (const text of ['', '5', '-1s', '1 s', 's', '1w', '1s2', '1e3s', '9999999999999999d']) {
    assert.equal(parseDuration(text), undefined, text)
  }
})

test('a chain of parts is their sum, in any order', () => {
  const part = fc.tuple(fc.nat({ max: 999 }), fc.constantFrom(['ms', 1], ['s', 1_000], ['m', 60_000], ['h', 3_600_000]))
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), (parts) => {
      const text = parts.map(([amount, [unit]]) => `${amount}${unit}`).join('')
      const sum = parts.reduce((total, [amount, [, size]]) => total + amount * (size as number), 0)
      assert.equal(parseDuration(text), sum)
    }),
  )
})

test('uptime leaves out the units before the first that counts', () => {
  assert.equal(formatUptime(0), '0s')
  assert.equal(formatUptime(59_999), '59s')
  assert.equal(formatUptime(3_600_000), '1h 0m 0s')
  assert.equal(formatUptime(2 * 86_400_000 + 3 * 3_600_000 + 4 * 60_000 + 5_999), '2d 3h 4m 5s')
  assert.equal(formatUptime(-5), '0s')
})
