import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CloseCause, EngineSignal } from '../engine/index.ts'
import { eventOfMessageState } from './from-message-state.ts'
import { type ConnectionFacts, eventsOfSignal } from './from-signal.ts'
import { identityOfSignal, type SignalIdentity } from './identity.ts'
import { faultsOfPayload } from './validate.ts'

const now = Date.UTC(2026, 10, 22, 10)
const facts: ConnectionFacts = {
  account: {
    jid: '6289876543210:12@s.whatsapp.net',
    lid: '182736455463729:12@lid',
    pushName: 'Toko',
    platform: 'android',
    businessName: undefined,
  },
  wasOpen: true,
  attempt: 0,
  now,
}
const jid = '6289876543210'

const nobody: SignalIdentity = { chat: { conversationId: undefined, party: undefined }, person: undefined }

const told = (signal: EngineSignal, more: Partial<ConnectionFacts> = {}, who = nobody) => {
  const drafts = eventsOfSignal(signal, { ...facts, ...more }, who)
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
        lid: '182736455463729@lid',
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

test('what waited while we were away', () => {
  const counts = { total: 7, messages: 3, receipts: 2, notifications: 1 }
  assert.deepEqual(told({ type: 'offline_preview', ...counts, appDataChanges: 1 }), [
    ['offline.sync_preview', { jid, ...counts, app_data_changes: 1 }],
  ])
  assert.deepEqual(told({ type: 'caught_up', count: 7 }), [['offline.sync_completed', { jid, count: 7 }]])
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
  assert.deepEqual(told({ type: 'caught_up', count: 0 }), [])
  assert.deepEqual(told({ type: 'push_name', name: 'x' }), [])
})

const PN = '6281234567890@s.whatsapp.net'
const LID = '182736455463728@lid'
const GROUP = '120363040000000000@g.us'
const CONTACT = '5f0c7d1e-9a53-4f0b-8f1d-2d9b8a6c7e10'
const CONVERSATION = '0b1f6a52-2f0e-4c39-8f0c-4be3f1b4a5d1'
const GROUP_CONVERSATION = '1b1f6a52-2f0e-4c39-8f0c-4be3f1b4a5d2'
/** Somebody whom storage knows by their number alone. */
const party = { contactId: CONTACT, pn: PN, lid: undefined }
const identities = {
  person: async (_: string, name: string) => (name === PN ? party : undefined),
  chat: async (_: string, name: string) =>
    name === PN
      ? { conversationId: CONVERSATION, party }
      : { conversationId: name === GROUP ? GROUP_CONVERSATION : undefined, party: undefined },
}

test('who is online or types is named both ways, with contact and conversation', async () => {
  const names = { pn: PN, lid: LID }
  const toldWith = async (signal: EngineSignal) =>
    told(signal, {}, await identityOfSignal(signal, 'device', identities))
  const known = { contact_id: CONTACT, conversation_id: CONVERSATION }
  assert.deepEqual(await toldWith({ type: 'presence', jid: LID, ...names, available: true, lastSeenAt: undefined }), [
    [
      'presence.update',
      {
        jid,
        from: LID,
        from_pn: PN,
        from_lid: LID,
        ...known,
        unavailable: false,
        last_seen: '0001-01-01T00:00:00Z',
      },
    ],
  ])
  const typing = { type: 'chat_presence', sender: LID, ...names, state: 'composing' } as const
  const sender = { sender: LID, sender_pn: PN, sender_lid: LID, is_from_me: false, state: 'composing', media: '' }
  assert.deepEqual(await toldWith({ ...typing, chat: LID, isGroup: false }), [
    ['chat.presence', { jid, chat: LID, chat_pn: PN, chat_lid: LID, is_group: false, ...known, ...sender }],
  ])
  const group = { chat: GROUP, chat_pn: null, chat_lid: null, is_group: true, conversation_id: GROUP_CONVERSATION }
  assert.deepEqual(await toldWith({ ...typing, chat: GROUP, isGroup: true }), [
    ['chat.presence', { jid, ...group, contact_id: CONTACT, ...sender }],
  ])
  const stranger = '155@lid'
  assert.deepEqual(
    await toldWith({
      type: 'presence',
      jid: stranger,
      pn: undefined,
      lid: stranger,
      available: false,
      lastSeenAt: now,
    }),
    [
      [
        'presence.update',
        {
          jid,
          from: stranger,
          from_pn: null,
          from_lid: stranger,
          contact_id: null,
          conversation_id: null,
          unavailable: true,
          last_seen: '2026-11-22T10:00:00.000Z',
        },
      ],
    ],
  )
  assert.deepEqual(
    await toldWith({ type: 'media_retry', messageId: 'M', chat: GROUP, sender: PN, fromMe: false, error: 2 }),
    [
      [
        'media.retry',
        {
          jid,
          message_id: 'M',
          ...group,
          sender: PN,
          sender_pn: PN,
          sender_lid: null,
          contact_id: CONTACT,
          timestamp: '2026-11-22T10:00:00.000Z',
          from_me: false,
          error: { code: 2 },
        },
      ],
    ],
  )
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
    undefined,
    now,
  )
  assert.deepEqual(faultsOfPayload(draft.type, draft.payload), [])
  assert.equal(draft.payload.status, 'failed')
  assert.equal(draft.payload.failure_code, 463)
  assert.equal(draft.payload.timestamp, now / 1000)
})
