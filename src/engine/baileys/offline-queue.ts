import { type BinaryNode, getBinaryNodeChild, type WASocket } from 'baileys'
import type { EngineSignal } from '../index.ts'
import type { StanzaLine } from './stanza-line.ts'

/**
 * What waited at WhatsApp while we were away: said before it comes, and once it has come. The second stands in line with
 * the messages and receipts, so that they are stored when it is told.
 */
export const listenToOfflineQueue = (
  sock: WASocket,
  line: Pick<StanzaLine, 'take'>,
  onSignal: (signal: EngineSignal) => void,
): void => {
  sock.ws.on('CB:ib,,offline_preview', (node: BinaryNode) => {
    const read = numbersOf(getBinaryNodeChild(node, 'offline_preview'))
    onSignal({
      type: 'offline_preview',
      total: read('count'),
      messages: read('message'),
      receipts: read('receipt'),
      notifications: read('notification'),
      appDataChanges: read('appdata'),
    })
  })
  sock.ws.on('CB:ib,,offline', (node: BinaryNode) => {
    const count = numbersOf(getBinaryNodeChild(node, 'offline'))('count')
    line.take(node, async () => ({ answer: async () => onSignal({ type: 'caught_up', count }) }))
  })
}

const numbersOf = (node: BinaryNode | undefined) => (name: string) => {
  const value = Number(node?.attrs[name] ?? 0)
  return Number.isSafeInteger(value) && value >= 0 ? value : 0
}
