import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Ledger } from './ledger.ts'
import { ChaosReceiver } from './receiver.ts'
import type { RequestFault } from './receiver-faults.ts'

const open = async () => {
  const receiver = new ChaosReceiver(new Ledger())
  await receiver.start()
  const url = receiver.urlOf('a1')
  const post = (id: string, signal?: AbortSignal) =>
    fetch(url, {
      method: 'POST',
      headers: { 'x-webhook-id': id },
      body: JSON.stringify({ id, sequence: 1, event_type: 'message.received', data: { text: id, message_id: id } }),
      ...(signal && { signal }),
    })
  const kept = () => (receiver.kept.get('a1') ?? []).map(({ id }) => id)
  return { receiver, post, kept, [Symbol.asyncDispose]: () => receiver[Symbol.asyncDispose]() }
}

const readAll = async (response: Response) => ({ status: response.status, body: await response.text() })

for (const [fault, keeps] of [
  ['cut_before_read', false],
  ['cut_after_read', true],
  ['cut_in_answer', true],
] as const satisfies readonly [RequestFault, boolean][])
  test(`${fault}: no whole answer, and the event is ${keeps ? '' : 'not '}kept; it hit when the event comes again`, async () => {
    await using opened = await open()
    const { receiver, post, kept } = opened
    receiver.faults.arm(fault)
    await assert.rejects(post('e1').then(readAll))
    assert.deepEqual(kept(), keeps ? ['e1'] : [])
    assert.equal(receiver.faults.hits[fault], 0)
    assert.equal((await post('e1')).status, 200)
    assert.deepEqual([kept(), receiver.faults.hits[fault], receiver.redelivered], [['e1'], 1, keeps ? 1 : 0])
  })

test('what is refused with Retry-After, or failing, is not kept', async () => {
  await using opened = await open()
  const { receiver, post, kept } = opened
  receiver.faults.arm('retry_after')
  const refused = await post('e1')
  assert.deepEqual([refused.status, refused.headers.get('retry-after')], [429, '1'])
  await receiver.setMood('failing')
  assert.equal((await post('e1')).status, 503)
  await receiver.setMood('well')
  assert.equal((await post('e1')).status, 200)
  const { retry_after, failing } = receiver.faults.hits
  assert.deepEqual([kept(), retry_after, failing, receiver.redelivered], [['e1'], 1, 1, 0])
})

test('a stall hits only when the sender has lost its patience', async () => {
  await using opened = await open()
  const { receiver, post, kept } = opened
  receiver.faults.arm('stalled')
  await assert.rejects(post('e1', AbortSignal.timeout(200)))
  await post('e1')
  assert.deepEqual([kept(), receiver.faults.hits.stalled], [['e1'], 0])
  receiver.faults.stalled('e1', 9_990)
  await post('e1')
  assert.equal(receiver.faults.hits.stalled, 1)
})

test('it closes and opens on the same port; that hit when somebody comes', async () => {
  await using opened = await open()
  const { receiver, post } = opened
  await receiver.setMood('refusing')
  await assert.rejects(post('e1'))
  await receiver.setMood('well')
  assert.equal(receiver.faults.hits.reopened, 0)
  await post('e1')
  assert.equal(receiver.faults.hits.reopened, 1)
})

test('what comes again in the next life of the gateway proves nothing', async () => {
  await using opened = await open()
  const { receiver, post } = opened
  receiver.faults.arm('cut_after_read')
  await assert.rejects(post('e1'))
  receiver.nextLife()
  await post('e1')
  assert.equal(receiver.faults.hits.cut_after_read, 0)
})

test('after two faults in a row a device is left in peace once', async () => {
  await using opened = await open()
  const { receiver, post } = opened
  receiver.faults.arm('retry_after', 3)
  const statuses: number[] = []
  for (let n = 0; n < 5; n++) statuses.push((await post(`e${n}`)).status)
  assert.deepEqual(statuses, [429, 429, 200, 429, 200])
})
