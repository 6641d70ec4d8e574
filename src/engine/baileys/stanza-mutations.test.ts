import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import type { BinaryNode, WASocket } from 'baileys'
import fc from 'fast-check'
import { mutateAll, rounds, several } from '../../../test/support/mutations.ts'
import { DEVICE, encrypt, isHealthy, meet } from '../../../test/support/signal-sides.ts'
import { silentLogger } from '../../kernel/logger.ts'
import type { Occurrence } from '../index.ts'
import { createBaileysLogger } from './baileys-logger.ts'
import { faultOfDeviceIdentity } from './device-identity.ts'
import { Incoming } from './incoming.ts'
import { StockHandlers } from './stock-handlers.ts'

const word = fc.oneof(
  fc.constantFrom('', '111@lid', '222:3@lid', '120363000000000001@g.us', 'status@broadcast', '1@newsletter', '@', ':'),
  fc.string({ maxLength: 30 }),
  fc.constant('9'.repeat(4_000)),
)
const attributes = fc.dictionary(
  fc.constantFrom('id', 'from', 'participant', 'recipient', 't', 'type', 'category', 'offline', 'edit'),
  word,
)
const child = fc.record({
  tag: fc.constantFrom('enc', 'plaintext', 'unavailable', 'device-identity', 'verified_name', 'list', 'meta'),
  attrs: fc.dictionary(
    fc.constantFrom('type', 'v', 'count', 'mediatype'),
    fc.oneof(word, fc.constantFrom('pkmsg', 'msg', 'skmsg', 'msmsg')),
  ),
  changes: fc.option(several),
})

test('whole stanzas: each is taken in, put aside, or answered; none stops the ones behind it', {
  timeout: 60_000,
}, async () => {
  const { alice, bob } = await meet()
  // a first message uses up its pre-key, and one of the stanzas below may bring it under somebody else's name
  const first = await encrypt(alice, bob)
  await bob.signal.decryptMessage({ jid: alice.jid, type: first.type, ciphertext: first.ciphertext })
  const good = await encrypt(alice, bob)
  const ws = new EventEmitter()
  for (const name of ['message', 'receipt', 'notification', 'call']) ws.on(`CB:${name}`, () => undefined)
  const taken: Occurrence[] = []
  const ends = { answered: 0, putAside: 0, failed: [] as unknown[] }
  let count = 0
  let waiting: (() => void) | undefined
  const end = async (how: 'answered' | 'putAside'): Promise<void> => {
    ends[how]++
    if (ends.answered + ends.putAside === count) waiting?.()
  }
  /** Each stanza has exactly one end. */
  const allEnded = async (): Promise<void> => {
    if (ends.answered + ends.putAside < count)
      await new Promise<void>((resolve) => {
        waiting = resolve
      })
    waiting = undefined
    assert.equal(ends.answered + ends.putAside, count)
    assert.deepEqual(ends.failed, [])
  }
  const fail = (error: unknown): void => {
    ends.failed.push(error)
    waiting?.()
  }
  const sock = {
    ws,
    logger: createBaileysLogger(silentLogger, 'silent'),
    signalRepository: bob.signal,
    sendMessageAck: () => end('answered'),
    sendReceipt: () => end('answered'),
    // an acknowledgement follows
    sendRetryRequest: async () => undefined,
    upsertMessage: async () => undefined,
    requestPlaceholderResend: async () => undefined,
  } as unknown as WASocket
  const incoming = new Incoming({
    deviceId: DEVICE,
    sock,
    auth: bob.auth,
    lidMap: bob.lidMap,
    intake: async (_, occurrence) => void taken.push(occurrence),
    contentOf: async () => undefined,
    failures: {
      note: async () => {
        await end('putAside')
        return { attempts: 1, givenUp: false }
      },
    },
    logger: silentLogger,
    stock: new StockHandlers(),
    settled: async () => undefined,
    onSignal: () => undefined,
    onOverload: () => fail(new Error('overload')),
    onStorageFailure: fail,
    onRefused: () => undefined,
  })
  const hear = (node: BinaryNode): void => {
    count++
    ws.emit(`CB:${node.tag}`, node)
  }
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('message', 'message', 'message', 'receipt', 'notification', 'call'),
      attributes,
      fc.array(child, { maxLength: 3 }),
      async (tag, attrs, children) => {
        const node: BinaryNode = {
          tag,
          attrs: { id: `M${count}`, from: alice.jid, t: '1795348800', ...attrs },
          content: children.map((one) => ({
            tag: one.tag,
            attrs: one.attrs,
            content: one.changes ? mutateAll(good.ciphertext, one.changes) : good.ciphertext,
          })),
        }
        faultOfDeviceIdentity(node)
        hear(node)
        if (count % 50 === 0) await allEnded()
      },
    ),
    rounds(2_000),
  )
  await allEnded()
  const last = await encrypt(alice, bob)
  hear({
    tag: 'message',
    attrs: { id: 'LAST', from: alice.jid, t: '1795348800' },
    content: [{ tag: 'enc', attrs: { v: '2', type: last.type }, content: Buffer.from(last.ciphertext) }],
  })
  await allEnded()
  assert.equal(taken.at(-1)?.key, `m:${alice.jid}:${alice.jid}:LAST`)
  await incoming.stop()
  assert.ok(taken.length > 0 && ends.answered > 0 && ends.putAside > 0, JSON.stringify(ends))
  await isHealthy()
})
