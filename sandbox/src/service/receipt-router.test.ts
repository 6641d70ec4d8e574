import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Actor, message, msg, Stage } from '../../test/support/stage.ts'
import { children, node } from '../wire/node.ts'
import { jidOf } from './groups.ts'

function setUp() {
  const stage = new Stage()
  const [ann, ben] = [stage.addPhone('Ann'), stage.addPhone('Ben')]
  const [annWeb, benWeb] = [stage.addCompanion(ann), stage.addCompanion(ben)]
  return { stage, ann, ben, annWeb, benWeb }
}

const receiptOf = (actor: Actor) => actor.takeAll('receipt')[0]

test('a delivery is acknowledged and told to all devices of the author', () => {
  const { stage, ann, ben, annWeb } = setUp()
  ben.send(node('receipt', { id: 'M1', to: ann.device.lid }))
  assert.deepEqual(ben.takeAll('ack')[0]?.attrs, { class: 'receipt', id: 'M1', from: ann.device.lid })
  for (const actor of [ann, annWeb]) {
    const receipt = receiptOf(actor)!
    assert.equal(receipt.attrs.from, ben.device.account.lidJid)
    assert.equal(receipt.attrs.sender_pn, ben.device.account.jid)
    assert.equal(receipt.attrs.type, undefined)
    actor.send(node('ack', { class: 'receipt', id: 'M1', to: ben.device.account.lidJid }))
    assert.equal(actor.device.queue.size, 0)
  }
  assert.deepEqual(stage.problems(), [])
})

test('reading is told to the author, and to the own other devices as read-self', () => {
  const { ann, ben, annWeb, benWeb } = setUp()
  const items = node('list', {}, [node('item', { id: 'M2' })])
  benWeb.send(node('receipt', { id: 'M1', to: ann.device.account.jid, type: 'read', t: 5 }, [items]))
  const read = receiptOf(annWeb)!
  assert.deepEqual([read.attrs.type, read.attrs.t, read.attrs.id], ['read', '5', 'M1'])
  assert.deepEqual(children(read), [items])
  const own = receiptOf(ben)!
  assert.deepEqual(
    [own.attrs.type, own.attrs.from, own.attrs.recipient],
    ['read-self', ben.device.account.lidJid, ann.device.account.lidJid],
  )
  assert.equal(receiptOf(benWeb), undefined)
  benWeb.send(node('receipt', { id: 'M1', to: ann.device.account.jid, type: 'read-self' }))
  assert.equal(receiptOf(ben)?.attrs.type, 'read-self')
  ann.takeAll('receipt')
  assert.equal(receiptOf(ann), undefined)
})

test('a retry goes to the one device that sent, with the device that asks', () => {
  const { ann, annWeb, benWeb } = setUp()
  const retry = node('retry', { count: 1, id: 'M1', t: 1, v: 1 })
  benWeb.send(node('receipt', { id: 'M1', to: annWeb.device.lid, type: 'retry' }, [retry]))
  const receipt = receiptOf(annWeb)!
  assert.equal(receipt.attrs.from, benWeb.device.lid)
  assert.deepEqual(children(receipt), [retry])
  assert.equal(receiptOf(ann), undefined)
})

test('group receipts keep the group and name the reader', () => {
  const { stage, ann, ben, annWeb } = setUp()
  const group = stage.service.groups.create(ann.device.account, 'Friends', [ben.device.account])
  ben.send(node('receipt', { id: 'G1', to: jidOf(group), participant: annWeb.device.lid, type: 'read' }))
  const receipt = receiptOf(annWeb)!
  assert.deepEqual([receipt.attrs.from, receipt.attrs.participant], [jidOf(group), ben.device.account.lidJid])
})

test('the same id from two senders: a receipt settles only the one it names', () => {
  const { stage, ann, ben, benWeb } = setUp()
  const cleo = stage.addPhone('Cleo')
  for (const sender of [ann, cleo]) sender.send(message('SAME', ben.device.account, [[benWeb.device.lid, msg()]]))
  assert.equal(benWeb.device.queue.size, 2)
  benWeb.send(node('receipt', { id: 'SAME', to: cleo.device.account.jid }))
  assert.deepEqual(
    benWeb.device.queue.list().map(({ attrs }) => attrs.from),
    [ann.device.lid],
  )
})

test('malformed receipts and acks are logged', () => {
  const { stage, ann } = setUp()
  ann.send(node('receipt', { id: 'M1' }))
  ann.send(node('receipt', { id: 'M1', to: '99999999@lid' }))
  ann.send(node('receipt', { id: 'M1', to: ann.device.lid, type: 'nonsense' }))
  ann.send(node('ack', { id: 'M1' }))
  ann.send(node('nonsense'))
  assert.deepEqual(
    stage.service.log.list().map(({ kind }) => kind),
    ['malformed', 'malformed', 'unknown_stanza', 'malformed', 'unknown_stanza'],
  )
})
