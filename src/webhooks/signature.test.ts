import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import type { EventRow } from '../storage/index.ts'
import { buildRequest, isReservedHeader } from './request.ts'
import { signBody, signBodyWithTime } from './signature.ts'

test('signs as a known HMAC-SHA256 does', () => {
  // The example of GitHub's guide "Validating webhook deliveries", whose header has the same form.
  assert.equal(
    signBody("It's a Secret to Everybody", Buffer.from('Hello, World!')),
    'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17',
  )
  // RFC 4231, test case 2.
  assert.equal(
    signBody('Jefe', Buffer.from('what do ya want for nothing?')),
    'sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
  )
})

test('the key is the text of the secret, not the bytes its hex digits stand for', () => {
  const secret = '00ff'.repeat(16)
  const body = Buffer.from('{}')
  assert.equal(signBody(secret, body), `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`)
  assert.notEqual(
    signBody(secret, body),
    `sha256=${createHmac('sha256', Buffer.from(secret, 'hex')).update(body).digest('hex')}`,
  )
  assert.equal(
    signBody('geheimnis-ü', body),
    `sha256=${createHmac('sha256', Buffer.from('geheimnis-ü', 'utf8')).update(body).digest('hex')}`,
  )
})

test('the second signature covers the time', () => {
  const body = Buffer.from('{"a":1}')
  const mac = createHmac('sha256', 's').update('1700000000.{"a":1}').digest('hex')
  assert.equal(signBodyWithTime('s', body, 1700000000), `t=1700000000,v1=${mac}`)
  assert.notEqual(signBodyWithTime('s', body, 1700000001).split('v1=')[1], mac)
})

const event: EventRow = {
  deviceId: 'd-1',
  sequence: 7,
  eventId: 'e-1',
  type: 'test.ping',
  orderKey: undefined,
  payload: { message: 'grüß dich' },
  occurredAt: Date.UTC(2026, 10, 22, 12, 0, 0, 5),
}

test('a request has the envelope of the contract, its headers, and those of the webhook', () => {
  const now = Date.UTC(2026, 10, 22, 13)
  const request = buildRequest(
    { url: 'https://example.org/hook', secret: 'k', headers: { Authorization: 'Bearer x' } },
    event,
    3,
    now,
    '9.9.9',
  )
  assert.deepEqual(JSON.parse(Buffer.from(request.body).toString('utf8')), {
    id: 'e-1',
    sequence: 7,
    event_type: 'test.ping',
    device_id: 'd-1',
    timestamp: '2026-11-22T12:00:00.005Z',
    data: { message: 'grüß dich' },
    attempt: 3,
  })
  assert.deepEqual(request.headers, {
    Authorization: 'Bearer x',
    'Content-Type': 'application/json',
    'User-Agent': 'Parley/9.9.9',
    'X-Webhook-Event': 'test.ping',
    'X-Webhook-Id': 'e-1',
    'X-Webhook-Attempt': '3',
    'X-Webhook-Timestamp': String(now / 1000),
    'X-Webhook-Signature': signBody('k', request.body),
    'X-Hub-Signature-256': signBody('k', request.body),
    'X-Webhook-Signature-V2': signBodyWithTime('k', request.body, now / 1000),
  })
})

test('headers that we or the connection set are reserved', () => {
  for (const name of [
    'Host',
    'content-length',
    'X-Webhook-Signature',
    'x-webhook-anything',
    'X-HUB-SIGNATURE-256',
    'TE',
  ])
    assert.ok(isReservedHeader(name), name)
  for (const name of ['Authorization', 'X-Api-Key', 'Cookie']) assert.ok(!isReservedHeader(name), name)
})
