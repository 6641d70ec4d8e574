import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemResolver } from './resolver.ts'

test('names of this machine are taken from the hosts file, without a DNS server', async () => {
  const addresses = await systemResolver('localhost')
  assert.ok(addresses.length > 0)
  for (const address of addresses) assert.match(address, /^(127\.|::1$)/)
})
