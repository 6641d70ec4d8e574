import type { MessageState, ReceiptChange } from './port/messages.ts'

/**
 * accepted -> server_ack -> delivered -> read -> played, forward only, steps may be skipped.
 * accepted -> failed; a receipt proves a failed one delivered after all. An incoming one: received -> read -> played.
 */
const RANK: Readonly<Record<MessageState, number>> = {
  accepted: 0,
  received: 2, // it was delivered: to us
  failed: 1,
  server_ack: 1,
  delivered: 2,
  read: 3,
  played: 4,
}

export const mayAdvance = (from: MessageState, to: MessageState): boolean =>
  to === 'failed' ? from === 'accepted' : to !== 'received' && RANK[to] > RANK[from]

/** When a recipient received, read and played a message, ms. */
export interface ReceiptTimes {
  readonly delivered_at: number | null
  readonly read_at: number | null
  readonly played_at: number | null
}

/** Whether a receipt says more about a recipient than is known: `delivered` after `read` does not. */
export const isNewReceipt = (known: ReceiptTimes | undefined, receipt: ReceiptChange['receipt']): boolean => {
  if (!known) return true
  const furthest = known.played_at !== null ? 4 : known.read_at !== null ? 3 : known.delivered_at !== null ? 2 : 0
  return RANK[receipt] > furthest
}
