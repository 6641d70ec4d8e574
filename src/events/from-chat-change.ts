import type { ChatChangeOccurrence } from '../engine/index.ts'
import type { IntakeIds } from '../storage/index.ts'
import {
  chatArchive,
  chatClear,
  chatDelete,
  chatDeleteForMe,
  chatMarkRead,
  chatMute,
  chatPin,
  chatStar,
} from './catalogue/chats.ts'
import { draft, type EventDraft } from './draft.ts'
import { namesOf } from './identity.ts'

/** The event of a changed chat. `jid` = own digits. */
export const eventOfChatChange = (occurrence: ChatChangeOccurrence, ids: IntakeIds, jid: string): EventDraft => {
  const { change, at } = occurrence
  const common = {
    jid,
    chat: occurrence.chat,
    chat_pn: ids.chatParty?.pn ?? null,
    chat_lid: ids.chatParty?.lid ?? null,
    conversation_id: ids.conversationId,
    contact_id: ids.chatParty?.contactId ?? null,
    is_group: occurrence.isGroup,
    timestamp: new Date(at).toISOString(),
    from_full: occurrence.fromFull,
    action_raw: { ...occurrence.raw },
  }
  const when = { orderKey: ids.conversationId, occurredAt: at }
  switch (change.kind) {
    case 'archive':
      return draft(chatArchive, { ...common, archived: change.archived }, when)
    case 'pin':
      return draft(chatPin, { ...common, pinned: change.pinned }, when)
    case 'mute':
      return draft(
        chatMute,
        {
          ...common,
          muted: change.until !== undefined,
          muted_until: change.until === undefined || change.until < 0 ? null : new Date(change.until).toISOString(),
        },
        when,
      )
    case 'mark_read':
      return draft(chatMarkRead, { ...common, read: change.read }, when)
    case 'delete':
      return draft(chatDelete, { ...common, delete_media: change.deleteMedia }, when)
    case 'clear':
      return draft(chatClear, { ...common, delete_media: change.deleteMedia }, when)
    case 'star':
      return draft(chatStar, { ...common, ...messageOf(change.message, ids), starred: change.starred }, when)
    case 'delete_for_me':
      return draft(chatDeleteForMe, { ...common, ...messageOf(change.message, ids) }, when)
  }
}

const messageOf = (
  { messageId, sender, fromMe }: { messageId: string; sender?: string | undefined; fromMe: boolean },
  { chatParty, namedParty }: IntakeIds,
) => {
  // Of a one-to-one chat the change does not say who wrote: whoever it is with, or we.
  const names = sender === undefined ? (fromMe ? undefined : chatParty) : namesOf(sender, namedParty)
  return {
    message_id: messageId,
    sender: sender ?? null,
    sender_pn: names?.pn ?? null,
    sender_lid: names?.lid ?? null,
    is_from_me: fromMe,
  }
}
