import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Actor, Stage } from '../../test/support/stage.ts'
import { child, node } from '../wire/node.ts'

const setUp = () => {
  const stage = new Stage()
  return { stage, ann: stage.addPhone('Ann'), ben: stage.addPhone('Ben') }
}

const seenBy = (actor: Actor) => actor.takeAll('presence').map(({ attrs }) => [attrs.from, attrs.type, attrs.last])

test('only subscribers are told who comes and goes, from their present connection on', () => {
  const { stage, ann, ben } = setUp()
  const lid = ann.device.account.lidJid
  ann.send(node('presence', { type: 'available', name: 'Ann B.' }))
  assert.equal(ann.device.account.pushName, 'Ann B.')
  assert.deepEqual(seenBy(ben), [])
  ben.send(node('presence', { type: 'subscribe', to: ann.device.account.jid }))
  ann.send(node('presence', { type: 'unavailable' }))
  ann.send(node('presence', { type: 'available' }))
  ann.disconnect()
  const last = String(stage.now / 1000)
  assert.deepEqual(seenBy(ben), [
    [lid, undefined, undefined],
    [lid, 'unavailable', last],
    [lid, undefined, undefined],
    [lid, 'unavailable', last],
  ])
  ben.disconnect()
  ben.connect()
  ann.connect()
  ann.send(node('presence', { type: 'available' }))
  assert.deepEqual(seenBy(ben), [])
  assert.deepEqual(stage.problems(), [])
})

test('typing is shown to the other person, and to nobody who is offline', () => {
  const { stage, ann, ben } = setUp()
  ann.send(node('chatstate', { to: ben.device.account.jid }, [node('composing', { media: 'audio' })]))
  const [shown] = ben.takeAll('chatstate')
  assert.equal(shown!.attrs.from, ann.device.account.lidJid)
  assert.deepEqual(child(shown)?.attrs, { media: 'audio' })
  ben.disconnect()
  ann.send(node('chatstate', { to: ben.device.account.jid }, [node('paused')]))
  ben.connect()
  assert.deepEqual(ben.takeAll('chatstate'), [])
  ann.send(node('chatstate', { to: ben.device.account.jid }, [node('dancing')]))
  ann.send(node('presence', { type: 'dancing' }))
  assert.equal(stage.problems().length, 2)
})
