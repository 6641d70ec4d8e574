import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Deliveries } from './deliveries.ts'
import { inspect } from './inspection.ts'
import { type Attrs, make, SERVICE, type Stanza } from './stanza.ts'
import { Violation } from './violation.ts'

const ACCOUNT = {
  jid: '15550100001:1@s.whatsapp.net',
  lid: '100000000000001:1@lid',
  key: Buffer.alloc(32),
  deviceIdentity: Buffer.alloc(0),
}
const OTHER = '200000000000002:3@lid'
const PN = '15550100002@s.whatsapp.net'
const GROUP = '120363400000000001@g.us'
const t = Math.floor(Date.now() / 1000)

const enc = (type: string, attrs: Attrs = {}) => make('enc', { v: 2, type, ...attrs }, Buffer.from([0x33, 1]))
const identity = make('device-identity', {}, Buffer.from([1]))
const message = (attrs: Attrs, content: Stanza[]) => make('message', { id: 'A1', t, type: 'text', ...attrs }, content)
const inGroup = { from: GROUP, participant: OTHER, participant_pn: PN, addressing_mode: 'lid' }
const chat = { recipient: '200000000000002@lid', recipient_pn: PN, peer_recipient_pn: PN }

/** What a correct service sends. Every attribute is needed. */
const RIGHT: Readonly<Record<string, Stanza>> = {
  '1:1': message({ from: OTHER, addressing_mode: 'lid', sender_pn: PN }, [enc('msg')]),
  'first 1:1 by a companion': message({ from: OTHER, addressing_mode: 'lid', sender_pn: PN }, [enc('pkmsg'), identity]),
  'own copy': message({ from: '100000000000001@lid', addressing_mode: 'lid', ...chat }, [enc('pkmsg')]),
  group: message(inGroup, [enc('skmsg')]),
  'group with key': message(inGroup, [enc('pkmsg'), enc('skmsg'), identity]),
  receipt: make('receipt', { id: 'A1', from: OTHER, t }),
  'group receipt': make('receipt', { id: 'A1', from: GROUP, participant: OTHER, t }),
  'devices notification': make('notification', { id: 'n1', type: 'devices', from: PN, lid: '200000000000002@lid', t }, [
    make('add'),
  ]),
  'message ack': make('ack', { class: 'message', id: 'A1', from: OTHER, t }),
  'receipt ack': make('ack', { class: 'receipt', id: 'A1', from: OTHER }),
  'iq error': make('iq', { id: '1', type: 'error', from: SERVICE }, [make('error', { code: 404, text: 'not found' })]),
  success: make('success', { t, props: 1, abprops: 1, lid: OTHER, location: 'sbx', creation: t }),
  drained: make('ib', { from: SERVICE }, [make('offline', { count: 0 })]),
  failure: make('failure', { reason: 401, location: 'sbx' }),
}

const violates = (error: unknown) => error instanceof Violation && error.code === 'stanza'

for (const [name, stanza] of Object.entries(RIGHT)) {
  test(`${name}: accepted as it is, refused without, with a malformed, or with one more attribute`, () => {
    inspect(stanza, ACCOUNT)
    for (const attribute of Object.keys(stanza.attrs)) {
      const { [attribute]: _, ...left } = stanza.attrs
      assert.throws(() => inspect({ ...stanza, attrs: left }, ACCOUNT), violates, `without ${attribute}`)
      const spoiled = { ...stanza, attrs: { ...stanza.attrs, [attribute]: '' } }
      assert.throws(() => inspect(spoiled, ACCOUNT), violates, `empty ${attribute}`)
    }
    assert.throws(() => inspect({ ...stanza, attrs: { ...stanza.attrs, surprise: '1' } }, ACCOUNT), violates)
  })
}

const direct = { from: OTHER, addressing_mode: 'lid', sender_pn: PN }
const WRONG: Readonly<Record<string, Stanza>> = {
  'a message by phone number': message({ ...direct, from: PN }, [enc('msg')]),
  'a message of tomorrow': message({ ...direct, t: t + 86_400 }, [enc('msg')]),
  'a message from ourselves': message({ from: ACCOUNT.lid, addressing_mode: 'lid', ...chat }, [enc('msg')]),
  'a group message from ourselves': message({ ...inGroup, participant: ACCOUNT.lid }, [enc('skmsg')]),
  'a peer message of somebody else': message({ category: 'peer', from: PN }, [enc('msg')]),
  'a pkmsg of a companion without its identity': message(direct, [enc('pkmsg')]),
  'an identity without a pkmsg': message(direct, [enc('msg'), identity]),
  'no enc': message(direct, []),
  'two encs': message(direct, [enc('msg'), enc('msg')]),
  'an skmsg in a chat': message(direct, [enc('skmsg')]),
  'an unknown enc type': message(direct, [enc('plain')]),
  'an unknown child': message(direct, [enc('msg'), make('plaintext')]),
  'an empty enc': message(direct, [{ ...enc('msg'), content: Buffer.alloc(0) }]),
  'an unknown receipt': make('receipt', { id: 'A1', from: OTHER, t, type: 'smelled' }),
  'a retry without count': make('receipt', { id: 'A1', from: OTHER, t, type: 'retry' }),
  'an unknown notification': make('notification', { id: 'n1', type: 'weather', from: PN, t }, [make('rain')]),
  'an unknown stanza': make('hello'),
  'a service that calls itself by token': make('ib', { from: 's.whatsapp.net' }, [make('offline', { count: 0 })]),
  'a stream error without reason': make('stream:error'),
}

for (const [name, stanza] of Object.entries(WRONG)) {
  test(`refused: ${name}`, () => {
    assert.throws(() => inspect(stanza, ACCOUNT), violates)
  })
}

test('an id comes once, or again unchanged; what comes again after it was confirmed is remembered', () => {
  const deliveries = new Deliveries()
  const first = message(direct, [enc('msg')])
  assert.ok(deliveries.note(first))
  const replay = { ...first, attrs: { ...first.attrs, offline: '0' } }
  assert.ok(!deliveries.note(replay))
  assert.equal(deliveries.replayed.length, 1)
  deliveries.confirm(first)
  assert.ok(!deliveries.note(replay))
  assert.equal(deliveries.repeated.length, 1)
  assert.throws(() => deliveries.note(message({ ...direct, t: t - 1 }, [enc('msg')])), violates)
  assert.ok(deliveries.note(message(direct, [enc('msg', { count: 1 })])), 'a retry is another encryption')
})
