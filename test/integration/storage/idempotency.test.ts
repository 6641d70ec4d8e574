import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isParleyError } from '../../../src/kernel/errors.ts'
import { newMessageId, newUuid } from '../../../src/kernel/ids.ts'
import type { MessageState, NewMessage } from '../../../src/storage/index.ts'
import { onEachDatabase } from '../../support/postgres-and-sqlite.ts'

const CHAT = '4915112345678@s.whatsapp.net'

const outgoing = (messageId: string, state: MessageState = 'accepted'): NewMessage => ({
  chat: CHAT,
  messageId,
  sender: '4915100000000@s.whatsapp.net',
  fromMe: true,
  type: 'text',
  text: 'x',
  quotedMessageId: undefined,
  pushName: undefined,
  timestamp: 1_700_000_000,
  state,
  failureCode: undefined,
  content: Buffer.from('x'),
})

onEachDatabase((database) => {
  const request = async (key = 'k') => ({
    deviceId: await database.addDevice(),
    route: 'sendText',
    key,
    fingerprint: 'f',
    messageId: newMessageId(),
  })

  test('a key is claimed once, and keeps its first request and its reply across a restart', async () => {
    const first = await request('~!"key"\'')
    const { idempotency } = database.storage
    assert.equal(await idempotency.claim(first, 0), undefined)
    const { fingerprint, messageId } = first
    const second = { ...first, fingerprint: 'other', messageId: 'other' }
    assert.deepEqual(await idempotency.claim(second, 0), { fingerprint, messageId, reply: undefined })
    await idempotency.finish(first, '{"message":"ok ü\\u0000","data":{}}')
    await database.restart()
    assert.deepEqual(await database.storage.idempotency.claim(second, 0), {
      fingerprint,
      messageId,
      reply: '{"message":"ok ü\\u0000","data":{}}',
    })
  })

  test('of many claims at once one wins, and the others learn its message id', async () => {
    const first = await request()
    const { idempotency } = database.storage
    const claims = await Promise.all(
      Array.from({ length: 20 }, () => idempotency.claim({ ...first, messageId: newMessageId() }, 0)),
    )
    assert.equal(claims.filter((known) => known === undefined).length, 1)
    assert.equal(new Set(claims.map((known) => known?.messageId)).size, 2)
  })

  test('device and route have keys of their own', async () => {
    const first = await request()
    const { idempotency } = database.storage
    for (const other of [first, { ...first, route: 'sendMedia' }, { ...first, key: 'K' }, await request()])
      assert.equal(await idempotency.claim(other, 0), undefined)
  })

  test('a failed request is forgotten, unless its message is on its way', async () => {
    const { idempotency, messages } = database.storage
    const states: readonly (readonly [MessageState | undefined, boolean])[] = [
      [undefined, false],
      ['accepted', true],
      ['server_ack', true],
      ['failed', false],
    ]
    for (const [state, stays] of states) {
      const first = await request()
      await idempotency.claim(first, 0)
      if (state) await messages.accept(first.deviceId, outgoing(first.messageId, state), undefined)
      // somebody else's message of that id says nothing about ours
      await messages.accept(await database.addDevice(), outgoing(first.messageId), undefined)
      await idempotency.release(first)
      assert.equal((await idempotency.claim(first, 0)) !== undefined, stays, String(state))
    }
  })

  test('a release that comes late does not take a kept reply away', async () => {
    const first = await request()
    const { idempotency } = database.storage
    await idempotency.claim(first, 0)
    await idempotency.finish(first, '{}')
    await idempotency.release(first)
    assert.equal((await idempotency.claim(first, 0))?.reply, '{}')
  })

  test('a key that is too old counts as new, and goes when rows are pruned', async () => {
    const first = await request()
    const { idempotency } = database.storage
    await idempotency.claim(first, 0)
    await idempotency.finish(first, '{}')
    await database.clock.advance(1000)
    assert.equal((await idempotency.claim(first, database.clock.now() - 1000))?.reply, '{}')
    assert.equal(await idempotency.claim(first, database.clock.now()), undefined)
    assert.equal((await idempotency.claim(first, 0))?.reply, undefined)
    assert.ok((await idempotency.prune(database.clock.now())) >= 0)
    assert.ok(await idempotency.claim(first, 0), 'not older than the border')
    assert.ok((await idempotency.prune(database.clock.now() + 1)) >= 1)
    assert.equal(await idempotency.claim(first, 0), undefined)
  })

  test('a device that is gone has no keys', async () => {
    const first = await request()
    await database.storage.idempotency.claim(first, 0)
    await database.storage.devices.delete(first.deviceId)
    const isNotFound = (error: unknown) => isParleyError(error, 'not_found')
    await assert.rejects(database.storage.idempotency.claim(first, 0), isNotFound)
    await database.storage.idempotency.finish(first, '{}')
    await database.storage.idempotency.release({ ...first, deviceId: newUuid() })
  })
})
