import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CloseCause, EngineSignal } from '../engine/index.ts'
import { eventOfMessageState } from './from-message-state.ts'
import { type ConnectionFacts, eventsOfSignal } from './from-signal.ts'
import { faultsOfPayload } from './validate.ts'

const now = Date.UTC(2026, 10, 22, 10)
const facts: ConnectionFacts = {
  account: {
    jid: '6289876543210:12@s.whatsapp.net',
    pushName: 'Toko',
    platform: 'android',
    businessName: undefined,
  },
  wasOpen: true,
  attempt: 0,
  now,
}
const jid = '6289876543210'

const told = (signal: EngineSignal, more: Partial<ConnectionFacts> = {}) => {
  const drafts = eventsOfSignal(signal, { ...facts, ...more })
  for (const draft of drafts) {
    assert.deepEqual(faultsOfPayload(draft.type, draft.payload), [])
    assert.equal(draft.orderKey, undefined)
    assert.equal(draft.occurredAt, now)
  }
  return drafts.map((draft) => [draft.type, draft.payload])
}
const closed = (cause: CloseCause, wasOpen = true) => told({ type: 'closed', cause }, { wasOpen })

test('logging in', () => {
  assert.deepEqual(told({ type: 'connecting' }), [])
  assert.deepEqual(told({ type: 'connecting' }, { attempt: 2 }), [['connection.reconnecting', { jid, attempt: 2 }]])
  assert.deepEqual(told({ type: 'connecting' }, { attempt: 2, account: undefined }), [])
  assert.deepEqual(told({ type: 'open' }), [
    [
      'connection.connected',
      {
        jid,
        phone_number: jid,
        push_name: 'Toko',
        platform: 'android',
        business_name: '',
        is_logged_in: true,
        is_connected: true,
      },
    ],
  ])
})

test('linking', () => {
  const unlinked = { account: undefined, wasOpen: false }
  assert.deepEqual(told({ type: 'qr', code: '2@x', expiresAt: now + 20_000 }, unlinked), [
    ['connection.qr', { jid: '', codes: ['2@x'], expires_at: '2026-11-22T10:00:20.000Z' }],
  ])
  assert.deepEqual(
    told({ type: 'passkey_required', options: { challenge: 'abc' }, expiresAt: now + 300_000 }, unlinked),
    [['connection.passkey_required', { options: { challenge: 'abc' }, expires_at: '2026-11-22T10:05:00.000Z' }]],
  )
  assert.deepEqual(
    told(
      {
        type: 'paired',
        jid: '6289876543210:12@s.whatsapp.net',
        lid: undefined,
        platform: 'iphone',
        businessName: 'Toko Ayu',
      },
      unlinked,
    ),
    [
      [
        'connection.pair_success',
        {
          jid,
          pair_jid: '6289876543210:12@s.whatsapp.net',
          pair_lid: '',
          business_name: 'Toko Ayu',
          platform: 'iphone',
        },
      ],
    ],
  )
  assert.deepEqual(closed({ kind: 'pairing_error', message: 'bad signature' }, false)[0]?.[0], 'connection.pair_error')
  assert.deepEqual(closed({ kind: 'codes_used_up' }, false), [])
})

test('keep-alive', () => {
  assert.deepEqual(told({ type: 'keepalive_missed', count: 2, lastHeardAt: now - 60_000 }), [
    ['connection.keepalive_timeout', { jid, error_count: 2, last_success: '2026-11-22T09:59:00.000Z' }],
  ])
  assert.deepEqual(told({ type: 'keepalive_restored' }), [['connection.keepalive_restored', { jid }]])
  assert.deepEqual(closed({ kind: 'keepalive_timeout' }), [
    ['connection.disconnected', { jid, reason: 'keepalive_timeout' }],
  ])
})

test('a connection that ends', () => {
  assert.deepEqual(closed({ kind: 'network', message: 'ECONNRESET' }), [
    ['connection.disconnected', { jid, reason: 'network: ECONNRESET' }],
  ])
  assert.deepEqual(closed({ kind: 'network', message: 'ECONNREFUSED' }, false), [])
  assert.deepEqual(closed({ kind: 'restart_required' }, false), [])
  assert.deepEqual(closed({ kind: 'local', message: 'stopping' }), [])
  assert.deepEqual(closed({ kind: 'logged_out' }), [['connection.logged_out', { jid }]])
  assert.deepEqual(
    closed({ kind: 'replaced' }).map(([type]) => type),
    ['connection.stream_replaced', 'connection.disconnected'],
  )
  assert.deepEqual(closed({ kind: 'refused', code: 503, message: 'busy' }), [
    ['connection.stream_error', { jid, code: '503', message: 'busy' }],
    ['connection.disconnected', { jid, reason: 'stream_error: 503' }],
  ])
})

test('a login that is refused', () => {
  assert.deepEqual(closed({ kind: 'refused', code: 500, message: 'no' }, false), [
    ['connection.connect_failure', { jid, reason: '500', message: 'no' }],
    ['connection.disconnected', { jid, reason: 'connect_failure: 500' }],
  ])
  assert.deepEqual(closed({ kind: 'locked' }, false)[1], [
    'connection.disconnected',
    { jid, reason: 'connect_failure: 403' },
  ])
  assert.deepEqual(closed({ kind: 'banned' }, false)[0]?.[0], 'connection.connect_failure')
  assert.deepEqual(closed({ kind: 'outdated' }, false)[0], ['connection.client_outdated', { jid }])
  assert.deepEqual(closed({ kind: 'temporary_ban', code: 104, expiresAt: now + 3_600_000 }, false)[0], [
    'connection.temporary_ban',
    { jid, code: 104, reason: 'the same message to too many people', expires: '2026-11-22T11:00:00.000Z' },
  ])
  const [, unknown] = closed({ kind: 'temporary_ban', code: 999, expiresAt: undefined }, false)[0]!
  assert.deepEqual(unknown, { jid, code: 999, reason: 'unknown reason 999', expires: null })
})

test('signals that no receiver needs give nothing', () => {
  assert.deepEqual(told({ type: 'pairing_code', code: 'ABCD-EFGH', expiresAt: now }), [])
  assert.deepEqual(told({ type: 'caught_up' }), [])
  assert.deepEqual(told({ type: 'push_name', name: 'x' }), [])
})

test('what has no signal', () => {
  const draft = eventOfMessageState(
    {
      messageId: '3EB0AA',
      chat: '6281234567890@s.whatsapp.net',
      conversationId: '0b1f6a52-2f0e-4c39-8f0c-4be3f1b4a5d1',
      state: 'failed',
      failureCode: 463,
    },
    now,
  )
  assert.deepEqual(faultsOfPayload(draft.type, draft.payload), [])
  assert.equal(draft.payload.status, 'failed')
  assert.equal(draft.payload.failure_code, 463)
  assert.equal(draft.payload.timestamp, now / 1000)
})
