import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatMemory, readProcessHealth } from './health.ts'

test('memory is written with one decimal and the fitting unit', () => {
  const cases: [number, string][] = [
    [0, '0 B'],
    [1_023, '1023 B'],
    [1_536, '1.5 KB'],
    [1024 ** 2 - 1, '1.0 MB'],
    [1024 ** 3 * 2.25, '2.3 GB'],
    [1024 ** 5, '1024.0 TB'],
  ]
  for (const [bytes, expected] of cases) assert.equal(formatMemory(bytes), expected)
})

test('the health of this process has the shape that the API promises', () => {
  const health = readProcessHealth()
  assert.match(health.memoryAlloc, /^\d+\.\d (?:KB|MB|GB)$/)
  assert.match(health.memorySys, /^\d+\.\d (?:KB|MB|GB)$/)
  assert.match(health.uptime, /^(?:\d+[dhm] )*\d+s$/)
  assert.ok(Number.isInteger(health.uptimeSeconds))
  assert.equal(health.nodeVersion, process.version)
})
