import type { KnownParty, MessageRow } from '../storage/index.ts'
import { messageStatus } from './catalogue/messages.ts'
import { draft, type EventDraft } from './draft.ts'
import { chatFieldsOf } from './identity.ts'

/** `message.status` of a message that we sent and whose state just moved; `now` in ms. */
export const eventOfMessageState = (
  message: Pick<MessageRow, 'messageId' | 'chat' | 'conversationId' | 'failureCode' | 'failureReason'> & {
    readonly state: Exclude<MessageRow['state'], 'received'>
  },
  chatParty: KnownParty | undefined,
  now: number,
): EventDraft =>
  draft(
    messageStatus,
    {
      message_id: message.messageId,
      ...chatFieldsOf(message.chat, chatParty),
      conversation_id: message.conversationId,
      contact_id: chatParty?.contactId ?? null,
      status: message.state,
      failure_code: message.failureCode ?? null,
      failure: message.failureReason ?? null,
      timestamp: Math.floor(now / 1000),
    },
    {
      orderKey: message.conversationId,
      occurredAt: now,
      dedupeKey: [messageStatus.name, message.conversationId, message.messageId, message.state].join(' '),
    },
  )
