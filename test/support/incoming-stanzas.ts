import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { type BinaryNode, proto, type WASocket } from 'baileys'
import { AuthStore } from '../../src/engine/baileys/auth-store.ts'
import { createBaileysLogger } from '../../src/engine/baileys/baileys-logger.ts'
import { Incoming } from '../../src/engine/baileys/incoming.ts'
import { createSharedLidCache, LidMap } from '../../src/engine/baileys/lid-map.ts'
import { StockHandlers } from '../../src/engine/baileys/stock-handlers.ts'
import type { MessageOccurrence, Occurrence, ReceiptOccurrence } from '../../src/engine/index.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import type { StanzaFailure } from '../../src/storage/index.ts'
import { MemorySignalKeys } from './memory-signal-keys.ts'

/** What comes in from a socket that is not one, with Baileys' handlers played. */
export const DEVICE = 'd1'
const ME = '4915100000000:3@s.whatsapp.net'
const ADA = '4915112345678@s.whatsapp.net'

/** Random padding as Baileys takes it off: the last byte says how many. */
export const padded = (words: string): Buffer =>
  Buffer.concat([proto.Message.encode({ conversation: words }).finish(), Buffer.from([1])])

export const messageNode = (id: string, attrs: Record<string, string> = {}): BinaryNode => ({
  tag: 'message',
  attrs: { id, from: ADA, t: '1795348800', type: 'text', ...attrs },
  content: [{ tag: 'enc', attrs: { v: '2', type: 'msg' }, content: Buffer.from(id) }],
})

export const receiptNode = (id: string): BinaryNode => ({ tag: 'receipt', attrs: { id, from: ADA, t: '1795348800' } })

/** Counts as the repository does, in memory. */
class Failures {
  readonly noted: StanzaFailure[] = []
  failure: Error | undefined

  async note(_deviceId: string, failure: StanzaFailure, giveUpAt: number) {
    if (this.failure) throw this.failure
    this.noted.push(failure)
    const attempts = this.noted.filter(({ key }) => key === failure.key).length
    return { attempts, givenUp: attempts >= giveUpAt }
  }
}

export const setUp = async (options: { mostWaiting?: number } = {}) => {
  const keys = new MemorySignalKeys()
  const auth = AuthStore.draft(DEVICE, keys)
  auth.creds.me = { id: ME }
  const ws = new EventEmitter()
  const stock = new StockHandlers()
  const baileysLogger = createBaileysLogger(silentLogger, 'silent', undefined, stock)
  const acks: (readonly [string | undefined, number | undefined])[] = []
  const acknowledge = async (node: BinaryNode, code?: number) => void acks.push([node.attrs.id, code])
  for (const task of ['message', 'receipt', 'notification', 'call'])
    ws.on(`CB:${task}`, async (node: BinaryNode) => {
      // as Baileys: whatever happens is logged, and the acknowledgement leaves
      try {
        await state.stock(node)
      } catch (error) {
        baileysLogger.error({ err: error }, `unexpected error in 'handling ${task}'`)
      } finally {
        await Promise.resolve()
          .then(() => baileysLogger.debug({ recv: { tag: node.tag, attrs: node.attrs }, sent: {} }, 'sent ack'))
          .then(() => acknowledge(node))
          .catch((ackErr: unknown) => baileysLogger.error({ ackErr }, `failed to ack ${task}`))
      }
    })
  const receipts: string[] = []
  const state = {
    decrypt: async (body: Uint8Array): Promise<Uint8Array> => padded(`text of ${Buffer.from(body)}`),
    intake: async (_: Occurrence): Promise<void> => undefined,
    /** What Baileys does with a notification, a call, a retry request. */
    stock: async (_: BinaryNode): Promise<void> => undefined,
    onNotification: async (): Promise<void> => undefined,
    settled: async (): Promise<void> => undefined,
    upsert: async (): Promise<void> => undefined,
  }
  const taken: (MessageOccurrence | ReceiptOccurrence)[] = []
  const told: string[] = []
  const asked = { mayCommit: () => true }
  const failures = new Failures()
  const sock = {
    ws: Object.assign(ws, { isOpen: true }),
    logger: baileysLogger,
    signalRepository: {
      lidMapping: { storeLIDPNMappings: async () => undefined, getLIDForPN: async () => null },
      decryptMessage: ({ ciphertext }: { ciphertext: Uint8Array }) => state.decrypt(ciphertext),
      migrateSession: async () => ({ migrated: 0, skipped: 0, total: 0 }),
    },
    sendMessageAck: acknowledge,
    sendReceipt: async (_jid: string, _who: unknown, ids: string[]) => void receipts.push(...ids),
    sendRetryRequest: async () => undefined,
    upsertMessage: () => state.upsert(),
  } as unknown as WASocket
  const incoming = new Incoming({
    deviceId: DEVICE,
    sock,
    auth,
    lidMap: new LidMap({ deviceId: DEVICE, repository: keys, cache: createSharedLidCache(10), ask: async () => [] }),
    intake: async (_deviceId, occurrence, mayCommit = () => true) => {
      asked.mayCommit = mayCommit
      await state.intake(occurrence)
      assert.ok(occurrence.kind === 'message' || occurrence.kind === 'receipt')
      taken.push(occurrence)
    },
    failures,
    stock,
    onNotification: () => state.onNotification(),
    settled: () => state.settled(),
    ...options,
    logger: silentLogger,
    onSignal: () => undefined,
    onOverload: () => told.push('overload'),
    onStorageFailure: () => told.push('storage'),
    onRefused: (what) => told.push(what),
  })
  /** Resolves when everything that came in has been handled. */
  const settled = async () => {
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
  const hear = async (...nodes: BinaryNode[]) => {
    for (const node of nodes) ws.emit(`CB:${node.tag}`, node)
    await settled()
  }
  return {
    incoming,
    ws: sock.ws as unknown as { isOpen: boolean },
    state,
    mayCommit: () => asked.mayCommit(),
    taken,
    told,
    acks,
    receipts,
    failures,
    hear,
    settled,
  }
}
