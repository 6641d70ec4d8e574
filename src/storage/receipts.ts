import { query, queryOne, sql, type Work } from './database.ts'
import { applyAccepted } from './message-actions.ts'
import { isNewReceipt, mayAdvance, type ReceiptTimes } from './message-state.ts'
import type { MessageState, MovedMessage, ReceiptChange, ResolvedParty } from './port/messages.ts'

interface Target {
  readonly id: number
  readonly state: MessageState
  readonly from_me: unknown
}

// Chosen from here: an `order by` makes SQLite open a sorter.
const findTarget = sql(
  'receipts_target',
  'select id, state, from_me from messages where device_id = ? and message_id = ? and conversation_id = ?',
)
// Under an alias of the recipient too: the row may be older than the merge.
const findTimes = sql(
  'receipts_times',
  `select recipient_key, delivered_at, read_at, played_at from message_receipts
   where message_row = ? and (recipient_key = ? or recipient_key in (
     select contact_id from contacts where device_id = ? and alias_of = ?))`,
)
const put = {
  delivered: sql(
    'receipts_put_delivered',
    'insert into message_receipts (message_row, recipient_key, recipient, delivered_at) values (?, ?, ?, ?) on conflict (message_row, recipient_key) do update set delivered_at = excluded.delivered_at',
  ),
  read: sql(
    'receipts_put_read',
    'insert into message_receipts (message_row, recipient_key, recipient, read_at) values (?, ?, ?, ?) on conflict (message_row, recipient_key) do update set read_at = excluded.read_at',
  ),
  played: sql(
    'receipts_put_played',
    'insert into message_receipts (message_row, recipient_key, recipient, played_at) values (?, ?, ?, ?) on conflict (message_row, recipient_key) do update set played_at = excluded.played_at',
  ),
}
export const setState = sql(
  'messages_state',
  'update messages set state = ?, failure_code = ?, failure_reason = ? where id = ?',
)

/**
 * Inside a unit that holds the device's lock: takes receipts for messages of one conversation; answers those that said
 * something new, and the messages of ours that moved. A group message's state is the furthest that any recipient
 * reached. `times` in ms.
 */
export function* applyReceipts(
  deviceId: string,
  conversationId: string,
  receipts: readonly ReceiptChange[],
  party: ResolvedParty | undefined,
): Work<{ readonly changed: readonly ReceiptChange[]; readonly moved: readonly MovedMessage[] }> {
  const changed: ReceiptChange[] = []
  const moved: MovedMessage[] = []
  for (const receipt of receipts) {
    const copies = yield* query<Target>(findTarget, deviceId, receipt.messageId, conversationId)
    const target = copies.find((copy) => copy.from_me) ?? copies[0]
    // To an incoming message only our own account's reading adds anything.
    if (!target || (!target.from_me && receipt.receipt === 'delivered')) continue
    const isParty = party && (receipt.recipient === party.pn || receipt.recipient === party.lid)
    const key = isParty ? party.contactId : receipt.recipient
    const known = yield* queryOne<ReceiptTimes & { recipient_key: string }>(findTimes, target.id, key, deviceId, key)
    if (!isNewReceipt(known, receipt.receipt)) continue
    yield* query(put[receipt.receipt], target.id, known?.recipient_key ?? key, receipt.recipient, receipt.at)
    changed.push(receipt)
    if (!mayAdvance(target.state, receipt.receipt)) continue
    yield* query(setState, receipt.receipt, null, null, target.id)
    if (target.state === 'accepted') yield* applyAccepted(deviceId, target.id)
    if (target.from_me) moved.push({ messageId: receipt.messageId, state: receipt.receipt })
  }
  return { changed, moved }
}
