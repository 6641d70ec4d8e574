import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Actor, makeSignedIdentity, message, msg, pkmsg, Stage } from '../../test/support/stage.ts'
import { generateKeyPair } from '../crypto/curve.ts'
import { type BinaryNode, child, children, node } from '../wire/node.ts'
import { jidOf } from './groups.ts'

function setUp() {
  const stage = new Stage()
  const [ann, ben] = [stage.addPhone('Ann'), stage.addPhone('Ben')]
  const [annWeb, benWeb] = [stage.addCompanion(ann), stage.addCompanion(ben)]
  return { stage, ann, ben, annWeb, benWeb }
}

const ackOf = (actor: Actor): BinaryNode | undefined => actor.take(({ tag }) => tag === 'ack')
const identityNode = (bytes: Uint8Array) => node('device-identity', {}, Buffer.from(bytes))

test('each device gets its own copy, addressed by LID, own devices with the chat as recipient', () => {
  const { stage, ann, ben, annWeb, benWeb } = setUp()
  const encs = { ben: msg(), benWeb: msg(), ann: msg() }
  annWeb.send(
    message('M1', ben.device.account, [
      [ben.device.jid, encs.ben],
      [benWeb.device.lid, encs.benWeb],
      [ann.device.lid, encs.ann],
    ]),
  )
  assert.deepEqual(ackOf(annWeb)?.attrs, {
    class: 'message',
    id: 'M1',
    from: ben.device.account.lidJid,
    t: String(stage.now / 1000),
  })
  for (const [actor, enc] of [
    [ben, encs.ben],
    [benWeb, encs.benWeb],
  ] as const) {
    const [stanza] = actor.takeAll('message')
    assert.deepEqual(stanza!.attrs, {
      id: 'M1',
      t: String(stage.now / 1000),
      from: annWeb.device.lid,
      addressing_mode: 'lid',
      sender_pn: ann.device.account.jid,
      type: 'text',
      notify: 'Ann',
    })
    assert.deepEqual(children(stanza), [enc])
  }
  const [copy] = ann.takeAll('message')
  assert.equal(copy!.attrs.from, annWeb.device.lid)
  assert.equal(copy!.attrs.recipient, ben.device.account.lidJid)
  assert.equal(copy!.attrs.peer_recipient_pn, ben.device.account.jid)
  assert.equal(copy!.attrs.sender_pn, undefined)
  assert.deepEqual(stage.problems(), [])
})

test('an account set to phone numbers is shown phone numbers', () => {
  const { ann, ben, benWeb } = setUp()
  ben.device.account.addressing = 'pn'
  ann.send(message('M1', ben.device.account, [[benWeb.device.lid, msg()]]))
  const [stanza] = benWeb.takeAll('message')
  assert.equal(stanza!.attrs.from, ann.device.jid)
  assert.equal(stanza!.attrs.sender_lid, ann.device.account.lidJid)
})

test('malformed messages are answered with an error ack, logged, and go nowhere', () => {
  const { stage, ann, ben, annWeb, benWeb } = setUp()
  const to = ben.device.account
  const cleo = stage.addPhone('Cleo')
  const stranger = generateKeyPair()
  const good: [string, BinaryNode] = [ben.device.lid, msg()]
  const ownIdentity = identityNode(annWeb.device.signedIdentity!)
  const foreign = makeSignedIdentity(cleo, annWeb.identity, 1)
  const spoiled = (change: (stanza: BinaryNode) => void): BinaryNode => {
    const stanza = message('M', to, [good])
    change(stanza)
    return stanza
  }
  const cases: [string, BinaryNode, string | undefined][] = [
    ['no type', spoiled((stanza) => delete stanza.attrs.type), '479'],
    ['no copies', message('M', to, []), '479'],
    ['a stranger among the recipients', message('M', to, [good, [cleo.device.lid, msg()]]), '479'],
    ['nobody among the recipients', message('M', to, [good, ['111111@lid', msg()]]), '479'],
    ['the sender itself', message('M', to, [good, [annWeb.device.lid, msg()]]), '479'],
    ['one device twice', message('M', to, [good, good]), '479'],
    ['skmsg in a copy', message('M', to, [[ben.device.lid, msg('skmsg')]]), '479'],
    [
      'another version of enc',
      message('M', to, [[ben.device.lid, node('enc', { v: 1, type: 'msg' }, Buffer.of(0x33))]]),
      '479',
    ],
    ['an empty enc', message('M', to, [[ben.device.lid, node('enc', { v: 2, type: 'msg' }, Buffer.alloc(0))]]), '479'],
    [
      'no Signal message',
      message('M', to, [[ben.device.lid, node('enc', { v: 2, type: 'msg' }, Buffer.of(1))]]),
      '479',
    ],
    ['plaintext', node('message', { id: 'M', to: to.jid, type: 'text' }, [node('plaintext', {}, Buffer.of(1))]), '479'],
    ['nobody', node('message', { id: 'M', to: '4912345@s.whatsapp.net', type: 'text' }, [msg()]), '404'],
    [
      'a peer message to somebody else',
      node('message', { id: 'M', to: to.jid, type: 'text', category: 'peer' }, [msg()]),
      '479',
    ],
    ['pkmsg of another identity', message('M', to, [[ben.device.lid, pkmsg(stranger)]], [ownIdentity]), '479'],
    ['pkmsg without device-identity', message('M', to, [[ben.device.lid, pkmsg(annWeb.identity)]]), '479'],
    [
      'foreign device-identity',
      message('M', to, [[ben.device.lid, pkmsg(annWeb.identity)]], [identityNode(foreign)]),
      '479',
    ],
    ['no group', node('message', { id: 'M', to: '1@g.us', type: 'text' }, [msg('skmsg')]), '404'],
  ]
  for (const [name, stanza, code] of cases) {
    const before = stage.service.log.list().length
    annWeb.send(stanza)
    assert.equal(ackOf(annWeb)?.attrs.error, code, name)
    assert.equal(stage.service.log.list().length, before + 1, name)
  }
  for (const actor of [ann, ben, benWeb, cleo]) assert.deepEqual(actor.takeAll('message'), [])
  annWeb.send(node('message', { to: to.jid, type: 'text' }, [msg()]))
  assert.equal(ackOf(annWeb), undefined, 'nothing to acknowledge without an id')
  assert.match(stage.problems().at(-1)!, /without an id/)
})

test('a valid pkmsg passes, its recipient gets the identity; a changed signature does not pass', () => {
  const { stage, ben, annWeb, benWeb, ann } = setUp()
  const copies = [ben, benWeb, ann].map((actor): [string, BinaryNode] => [actor.device.lid, pkmsg(annWeb.identity)])
  annWeb.send(message('M1', ben.device.account, copies, [identityNode(annWeb.device.signedIdentity!)]))
  assert.equal(ackOf(annWeb)?.attrs.error, undefined)
  const [stanza] = ben.takeAll('message')
  assert.deepEqual(child(stanza, 'device-identity')?.content, annWeb.device.signedIdentity)
  assert.deepEqual(stage.problems(), [])
  const forged = Buffer.from(annWeb.device.signedIdentity!)
  forged[forged.length - 1]! ^= 1
  annWeb.send(message('M2', ben.device.account, copies, [identityNode(forged)]))
  assert.equal(ackOf(annWeb)?.attrs.error, '479')
  assert.match(stage.problems()[0]!, /bad_signature: the device signature is wrong/)
})

test('copies for devices that are gone are dropped, devices left out are noted, the rest arrives', () => {
  const { stage, ann, ben } = setUp()
  ann.send(
    message('M1', ben.device.account, [
      [ben.device.lid, msg()],
      [`${ben.device.account.lid}:9@lid`, msg()],
    ]),
  )
  assert.equal(ackOf(ann)?.attrs.error, undefined)
  assert.equal(ben.takeAll('message').length, 1)
  assert.deepEqual(
    stage.service.log.list().map(({ kind }) => kind),
    ['unknown_device', 'missing_device', 'missing_device'],
  )
})

test('a group message reaches every device of the members, each with its own key if it has one', () => {
  const { stage, ann, ben, annWeb, benWeb } = setUp()
  const cleo = stage.addPhone('Cleo')
  const group = stage.service.groups.create(ann.device.account, 'Friends', [ben.device.account])
  const shared = msg('skmsg')
  const key = msg()
  const list = node('participants', {}, [
    node('to', { jid: benWeb.device.lid }, [key]),
    node('to', { jid: annWeb.device.lid }, [msg()]),
  ])
  const stanza = node('message', { id: 'G1', to: jidOf(group), type: 'text' }, [list, shared])
  annWeb.send(stanza)
  assert.equal(ackOf(annWeb)?.attrs.error, undefined)
  const received = benWeb.takeAll('message')[0]!
  assert.deepEqual(children(received), [key, shared])
  assert.equal(received.attrs.from, jidOf(group))
  assert.equal(received.attrs.participant, annWeb.device.lid)
  assert.equal(received.attrs.participant_pn, ann.device.account.jid)
  assert.deepEqual(children(ben.takeAll('message')[0]), [shared])
  assert.deepEqual(children(ann.takeAll('message')[0]), [shared])
  assert.deepEqual(annWeb.takeAll('message'), [], 'Baileys names itself, and gets nothing')
  cleo.send({ ...stanza, attrs: { ...stanza.attrs, id: 'G2' } })
  assert.equal(ackOf(cleo)?.attrs.error, '403')
  annWeb.send(node('message', { id: 'G3', to: jidOf(group), type: 'text', participant: ben.device.lid }, [msg()]))
  assert.equal(ackOf(annWeb)?.attrs.participant, ben.device.lid)
  assert.equal(ben.takeAll('message').length, 1, 'a retry is for one device only')
  assert.equal(benWeb.takeAll('message').length, 0)
})

test('what waits is replayed byte for byte until it is confirmed', () => {
  const { stage, ann, ben, benWeb } = setUp()
  benWeb.disconnect()
  for (const id of ['A', 'B', 'C']) {
    ann.send(
      message(id, ben.device.account, [
        [ben.device.lid, msg()],
        [benWeb.device.lid, msg()],
      ]),
    )
  }
  stage.now += 60_000
  benWeb.connect(true)
  assert.deepEqual(benWeb.takeAll('message'), [], 'a passive connection gets nothing')
  benWeb.query('set', 'passive', [node('active')])
  const first = benWeb.takeAll('message')
  assert.deepEqual(
    first.map(({ attrs }) => [attrs.id, attrs.offline]),
    [
      ['A', '0'],
      ['B', '1'],
      ['C', '2'],
    ],
  )
  const [announced, done] = benWeb.takeAll('ib')
  const { attrs } = child(announced, 'offline_preview')!
  assert.deepEqual([attrs.count, attrs.message, attrs.receipt, attrs.appdata], ['3', '3', '0', '0'])
  assert.equal(child(done, 'offline')?.attrs.count, '3')
  benWeb.send(node('receipt', { id: 'A', to: ann.device.account.lidJid }))
  benWeb.send(node('ack', { id: 'C', class: 'message', to: ann.device.lid, error: 500 }))
  benWeb.disconnect()
  benWeb.connect()
  const again = benWeb.takeAll('message')
  assert.deepEqual(again, [{ ...first[1]!, attrs: { ...first[1]!.attrs, offline: '0' } }])
  assert.match(stage.problems()[stage.problems().length - 1]!, /could not use message C: 500/)
})

test('who is blocked is not told so', () => {
  const { ann, ben, annWeb } = setUp()
  ben.query('set', 'blocklist', [node('item', { jid: ann.device.account.lidJid, action: 'block' })])
  annWeb.send(message('M1', ben.device.account, [[ben.device.lid, msg()]]))
  assert.equal(ackOf(annWeb)?.attrs.error, undefined)
  assert.deepEqual(ben.takeAll('message'), [])
})

test('faults: refused, swallowed, dropped, doubled, reordered and damaged messages', () => {
  const { stage, ann, ben } = setUp()
  const { faults } = stage.service
  let count = 0
  const send = () => {
    count += 1
    ann.send(message(`M${count}`, ben.device.account, [[ben.device.lid, msg()]]))
  }
  const idsOf = (actor: Actor) => actor.takeAll('message').map(({ attrs }) => attrs.id)
  faults.arm({ kind: 'reject_message', to: ben.device.account.jid, code: 463, times: 2 })
  send()
  send()
  assert.deepEqual([ackOf(ann)?.attrs.error, ackOf(ann)?.attrs.error], ['463', '463'])
  assert.deepEqual(idsOf(ben), [])
  faults.arm({ kind: 'swallow_ack', account: ann.device.account })
  send()
  assert.equal(ackOf(ann), undefined)
  assert.deepEqual(idsOf(ben), ['M3'])
  const other = faults.arm({ kind: 'drop_message', device: ben.device })
  faults.arm({ kind: 'drop_message', device: ann.device })
  send()
  assert.ok(faults.disarm(other))
  assert.equal(ackOf(ann), undefined)
  assert.deepEqual(idsOf(ben), [])
  faults.arm({ kind: 'duplicate', account: ben.device.account })
  send()
  assert.deepEqual(idsOf(ben), ['M5', 'M5'])
  faults.arm({ kind: 'reorder', account: ben.device.account })
  send()
  assert.deepEqual(idsOf(ben), [])
  send()
  assert.deepEqual(idsOf(ben), ['M7', 'M6'])
  faults.arm({ kind: 'tamper', target: 'enc', account: ben.device.account })
  const enc = msg()
  ann.send(message('T', ben.device.account, [[ben.device.lid, enc]]))
  const damaged = child(ben.takeAll('message')[0], 'enc')!.content as Buffer
  const original = Buffer.from(enc.content as Buffer)
  original[original.length - 12]! ^= 1
  assert.deepEqual(damaged, original)
  assert.deepEqual(faults.list(), [])
})
