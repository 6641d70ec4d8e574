import { bareJid } from '../kernel/jid.ts'
import type { KnownParty, MessageRow } from '../storage/index.ts'
import { messageDeleted } from './catalogue/messages.ts'
import { pollCreated, pollFieldsOf, pollUpdate, pollVote } from './catalogue/polls.ts'
import { draft, type EventDraft } from './draft.ts'
import { eventOfMessageState } from './from-message-state.ts'
import { chatFieldsOf, personFieldsOf } from './identity.ts'
import { type OwnAccount, ownDigits } from './own-account.ts'

interface Facts {
  readonly account: OwnAccount | undefined
  /** The person behind a one-to-one chat. */
  readonly chatParty: KnownParty | undefined
  /** ms */
  readonly now: number
}

/**
 * The events of a message that we sent and whose state just moved: its state, and, once WhatsApp has it, what it did. The
 * same names tell of it that tell of others' deletions, polls and votes; `is_from_me` says whose it is.
 */
export const eventsOfOwnMessage = (
  message: MessageRow & { readonly state: Exclude<MessageRow['state'], 'received'> },
  facts: Facts,
): readonly EventDraft[] => {
  const moved = eventOfMessageState(message, facts.chatParty, facts.now)
  return message.state === 'server_ack' ? [moved, ...eventsOfDeed(message, facts)] : [moved]
}

const eventsOfDeed = (message: MessageRow, { account, chatParty, now }: Facts): readonly EventDraft[] => {
  const { chat, sender, messageId, conversationId, action, details } = message
  const common = {
    message_id: messageId,
    ...chatFieldsOf(chat, chatParty),
    conversation_id: conversationId,
    ...personFieldsOf(sender, account?.lid === undefined ? undefined : { lid: bareJid(account.lid) }),
    contact_id: message.senderContactId ?? null,
    is_from_me: true,
    timestamp: Math.floor(now / 1000),
  }
  const jid = ownDigits(account)
  const when = (type: string) => ({
    orderKey: conversationId,
    occurredAt: now,
    dedupeKey: [type, conversationId, 'me', messageId].join(' '),
  })
  if (action?.kind === 'revoke') {
    const deleted = { ...common, message_id: action.target.messageId, deleted_by: sender }
    return [draft(messageDeleted, deleted, when(messageDeleted.name))]
  }
  if (action?.kind === 'poll_vote') {
    const chosen = [...(action.options ?? [])]
    const vote = { jid, ...common, poll_id: action.target.messageId, decrypted: true, selected_options: chosen }
    return [draft(pollVote, vote, when(pollVote.name)), draft(pollUpdate, vote, when(pollUpdate.name))]
  }
  if (!details?.poll) return []
  return [draft(pollCreated, { jid, ...common, ...pollFieldsOf(details.poll) }, when(pollCreated.name))]
}
