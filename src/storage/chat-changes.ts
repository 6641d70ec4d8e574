import type { ChangedMessage, ChatChange } from '../kernel/message-facts.ts'
import { type Database, query, sql, type Work } from './database.ts'
import { unindexText } from './message-actions.ts'

const archive = sql(
  'chats_archive',
  'update conversations set archived = ? where device_id = ? and conversation_id = ?',
)
const pin = sql('chats_pin', 'update conversations set pinned_at = ? where device_id = ? and conversation_id = ?')
const mute = sql('chats_mute', 'update conversations set muted_until = ? where device_id = ? and conversation_id = ?')
const markUnread = sql(
  'chats_mark_unread',
  'update conversations set marked_unread = ? where device_id = ? and conversation_id = ?',
)
const readAll = sql(
  'chats_read_all',
  `update messages set state = 'read' where device_id = ? and conversation_id = ? and state = 'received' and timestamp <= ?`,
)
const empty = sql(
  'chats_empty',
  `update conversations set marked_unread = ?,
     last_at = (select max(m.timestamp) from messages m where m.device_id = conversations.device_id
       and m.conversation_id = conversations.conversation_id)
   where device_id = ? and conversation_id = ?`,
)
const star = sql(
  'chats_star',
  `update messages set starred = ? where device_id = ? and conversation_id = ? and message_id = ? and from_me = ?`,
)
const hide = sql(
  'chats_hide',
  `update messages set hidden = ?, text = null, content = null, details = null, mentions = null
   where device_id = ? and conversation_id = ? and message_id = ? and from_me = ? returning id`,
)
const dropSlice = sql(
  'chats_drop',
  `delete from messages where id in (
     select id from messages where device_id = ? and conversation_id = ? and timestamp <= ? and state <> 'accepted'
     limit ?) returning 1 as gone`,
)
const SLICE = 200

/** Inside a unit: what a change on one of our devices means for what is stored. `at` in ms. */
export function* applyChatChange(deviceId: string, conversationId: string, change: ChatChange, at: number): Work<void> {
  switch (change.kind) {
    case 'archive':
      yield* query(archive, change.archived, deviceId, conversationId)
      // WhatsApp unpins what is archived
      if (change.archived) yield* query(pin, null, deviceId, conversationId)
      return
    case 'pin':
      yield* query(pin, change.pinned ? at : null, deviceId, conversationId)
      return
    case 'mute':
      yield* query(mute, change.until ?? null, deviceId, conversationId)
      return
    case 'mark_read':
      yield* query(markUnread, !change.read, deviceId, conversationId)
      if (change.read) yield* query(readAll, deviceId, conversationId, Math.floor(at / 1000))
      return
    case 'delete':
    case 'clear':
      yield* query(empty, false, deviceId, conversationId)
      return
    case 'star':
      yield* query(star, change.starred, deviceId, conversationId, ...nameOf(change.message))
      return
    case 'delete_for_me': {
      const hidden = yield* query<{ id: number }>(hide, true, deviceId, conversationId, ...nameOf(change.message))
      for (const { id } of hidden) yield* unindexText(id)
    }
  }
}

const nameOf = ({ messageId, fromMe }: ChangedMessage) => [messageId, fromMe] as const

/**
 * Deletes the messages of a conversation up to a time (ms), in slices that let others in between. What is still to be
 * sent stays.
 */
export const dropMessages = async (
  database: Database,
  deviceId: string,
  conversationId: string,
  at: number,
): Promise<void> => {
  for (;;) {
    const gone = await database.write(
      () => query(dropSlice, deviceId, conversationId, Math.floor(at / 1000), SLICE),
      deviceId,
    )
    if (gone.length < SLICE) return
  }
}
