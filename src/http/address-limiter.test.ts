import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock } from '../../test/support/fake-clock.ts'
import { TestGateway } from '../../test/support/fakes/test-gateway.ts'
import { AddressLimiter } from './address-limiter.ts'

test('ten at once, then one every six seconds', async () => {
  const clock = new FakeClock()
  const limiter = new AddressLimiter({ perMinute: 10, clock })
  for (let call = 0; call < 10; call++) assert.equal(limiter.take('192.0.2.1'), 0)
  assert.equal(limiter.take('192.0.2.1'), 6)
  assert.equal(limiter.take('192.0.2.2'), 0)
  await clock.advance(6_000)
  assert.equal(limiter.take('192.0.2.1'), 0)
  assert.equal(limiter.take('192.0.2.1'), 6)
})

test('the addresses of one IPv6 network share a bucket', () => {
  const limiter = new AddressLimiter({ perMinute: 1, clock: new FakeClock() })
  assert.equal(limiter.take('2001:db8:1:2::1'), 0)
  assert.ok(limiter.take('2001:db8:1:2:3:4:5:6') > 0)
  assert.equal(limiter.take('2001:db8:1:3::1'), 0)
  assert.equal(limiter.take('::ffff:192.0.2.1'), 0)
  assert.equal(limiter.take('::ffff:192.0.2.2'), 0)
  assert.equal(limiter.take('::1'), 0)
  assert.ok(limiter.take('::2') > 0)
})

test('memory stays bounded under any number of addresses', () => {
  const limiter = new AddressLimiter({ perMinute: 10, clock: new FakeClock(), maxAddresses: 100 })
  for (let i = 0; i < 5_000; i++) limiter.take(`10.0.${i >> 8}.${i & 255}`)
  assert.equal(limiter.size, 100)
})

test('POST /devices/token: the eleventh call in a minute is 429, whatever it says it is', async () => {
  await using gateway = await TestGateway.open()
  const ask = (from: string) =>
    gateway.call('POST', '/devices/token', { body: {}, headers: { 'x-forwarded-for': from } })
  for (let call = 0; call < 10; call++) assert.equal((await ask(`1.1.1.${call}`)).status, 400)
  const reply = await ask('9.9.9.9')
  assert.equal(reply.status, 429)
  assert.equal(reply.headers['retry-after'], '6')
  assert.equal(reply.body.data.error_code, 'rate_limited')
  await gateway.clock.advance(60_000)
  assert.equal((await ask('9.9.9.9')).status, 400)
})

test('behind a trusted proxy each forwarded address has its own ten', async () => {
  await using gateway = await TestGateway.open({ http: { trustProxy: ['127.0.0.1'] } })
  const ask = (from: string) =>
    gateway.call('POST', '/devices/token', { body: {}, headers: { 'x-forwarded-for': from } })
  for (let call = 0; call < 11; call++) assert.equal((await ask(`1.1.1.${call}`)).status, 400)
})
