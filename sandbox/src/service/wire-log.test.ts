import assert from 'node:assert/strict'
import { test } from 'node:test'
import { node } from '../wire/node.ts'
import { WireLog } from './wire-log.ts'

const DEVICE = '15550100001:1@s.whatsapp.net'
const PEER = '15550100002@s.whatsapp.net'

test('nothing is kept until somebody asks for it; then messages and what confirms them, in order', () => {
  const wire: WireLog = new WireLog(() => 7)
  const entries = () => wire.entries
  const connection = wire.open()
  const message = node('message', { id: 'M', to: PEER, type: 'text' }, [node('participants')])
  wire.record(DEVICE, connection, 'in', message)
  assert.equal(entries(), undefined)
  wire.keep(100)
  const at = { at: 7, device: DEVICE, connection, peer: PEER }
  wire.record(DEVICE, connection, 'in', message)
  wire.record(DEVICE, connection, 'out', node('ack', { class: 'message', id: 'M', from: PEER }))
  wire.record(DEVICE, connection, 'out', node('receipt', { id: 'M', from: PEER }))
  wire.record(DEVICE, connection, 'in', node('ack', { class: 'receipt', id: 'M', to: PEER }))
  wire.record(DEVICE, connection, 'in', node('iq', { id: '1', to: PEER }))
  assert.deepEqual(entries()?.list(), [
    { seq: 1, ...at, direction: 'in', tag: 'message', id: 'M', type: 'text', again: false },
    { seq: 2, ...at, direction: 'out', tag: 'ack', id: 'M', type: undefined, again: false },
  ])
  wire.keep(0)
  assert.equal(entries(), undefined)
})

test('a receipt for several messages is an entry for each; an answer to a retry is told from a message', () => {
  const wire = new WireLog(() => 7)
  wire.keep(100)
  const items = node('list', {}, [node('item', { id: 'B' }), node('item', { id: 'C' })])
  wire.record(DEVICE, wire.open(), 'in', node('receipt', { id: 'A', to: PEER, type: 'read' }, [items]))
  wire.record(DEVICE, wire.open(), 'in', node('message', { id: 'D', to: PEER, device_fanout: 'false' }))
  wire.record(DEVICE, 9, 'out', node('message', { id: 'E', from: PEER }, [node('enc', { count: '1' })]))
  assert.deepEqual(
    wire.entries?.list().map(({ id, connection, again }) => [id, connection, again]),
    [
      ['A', 1, false],
      ['B', 1, false],
      ['C', 1, false],
      ['D', 2, true],
      ['E', 9, true],
    ],
  )
})
