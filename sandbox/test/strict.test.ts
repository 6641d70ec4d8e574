import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nextAtPhone, World } from './support/strict.ts'

test('a strict client is linked by QR, logs in by Noise IK and exchanges texts with a phone', async () => {
  await using world = await World.start()
  const [ann, ben] = [world.person('Ann'), world.person('Ben')]
  await using client = await world.companion(ann)
  assert.equal(client.pattern, 'IK')
  const id = await client.sendText(client.jidOf(ben.account), 'hello Ben')
  const atBen = await nextAtPhone(ben, 'hello Ben')
  assert.equal(atBen.messageId, id)
  const copy = await nextAtPhone(ann, 'hello Ben')
  assert.deepEqual([copy.fromMe, copy.chat], [true, ben.account.lidJid])
  const delivered = await client.receipts.take()
  assert.deepEqual([delivered.type, delivered.ids], ['delivered', [id]])
  await ben.phone.sendText(ann.account.lidJid, 'hello Ann')
  const received = await client.messages.take()
  assert.deepEqual([received.text, received.chat, received.fromMe], ['hello Ann', ben.account.lidJid, false])
})
