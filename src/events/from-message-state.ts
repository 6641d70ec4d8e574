import type { MessageRow } from '../storage/index.ts'
import { messageStatus } from './catalogue/messages.ts'
import { draft, type EventDraft } from './draft.ts'

/** `message.status` of a message that we sent and whose state just moved; `now` in ms. */
export const eventOfMessageState = (
  message: Pick<MessageRow, 'messageId' | 'chat' | 'conversationId' | 'failureCode' | 'failureReason'> & {
    readonly state: Exclude<MessageRow['state'], 'received'>
  },
  now: number,
): EventDraft =>
  draft(
    messageStatus,
    {
      message_id: message.messageId,
      chat: message.chat,
      conversation_id: message.conversationId,
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
