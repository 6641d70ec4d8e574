import type { ChatTimer } from '../../kernel/message-facts.ts'
import type { MessageRow } from './messages.ts'

/** A conversation and how it stands. */
export interface ChatRow {
  readonly conversationId: string
  /** As WhatsApp addressed it first; of a person the names are below. */
  readonly chat: string
  readonly contactId: string | undefined
  readonly pn: string | undefined
  readonly lid: string | undefined
  readonly pushName: string | undefined
  /** Seconds since the epoch: of the newest message. */
  readonly lastAt: number | undefined
  readonly unreadCount: number
  readonly markedUnread: boolean
  readonly archived: boolean
  /** ms; undefined = not pinned. */
  readonly pinnedAt: number | undefined
  /** ms; -1 = for ever; undefined = not muted. It may have passed. */
  readonly mutedUntil: number | undefined
  /** Seconds after which messages disappear; undefined = not known. */
  readonly disappearing: number | undefined
  readonly lastMessage: ShownMessage | undefined
  /** Where the next page begins. */
  readonly cursor: ChatCursor
}

export interface ChatCursor {
  readonly lastAt: number
  readonly id: number
}

export interface Reaction {
  /** JID. */
  readonly reactor: string
  readonly fromMe: boolean
  readonly emoji: string
  /** ms */
  readonly at: number
}

/** A message with what was done to it. */
export interface ShownMessage extends MessageRow {
  readonly senderPn: string | undefined
  readonly senderLid: string | undefined
  readonly reactions: readonly Reaction[]
  /** What it said before, oldest first; `at` in ms: until then. */
  readonly edits: readonly { readonly text: string | undefined; readonly at: number }[]
}

/** A place in a conversation: a message of it, or a time (seconds). */
export type MessageCursor = { readonly messageId: string } | { readonly timestamp: number }

export interface HistoryPage {
  readonly limit: number
  /** Only what is older than this. */
  readonly before?: MessageCursor
  /** Only what is newer than this: then the oldest of those, so that pages follow each other. */
  readonly after?: MessageCursor
  /** Words that must be in the text. */
  readonly search?: string
}

export interface PollVote {
  /** JID. */
  readonly voter: string
  readonly fromMe: boolean
  readonly options: readonly string[]
  /** ms */
  readonly at: number
}

export interface ChatRepository {
  /** The conversation behind a JID: of a person under either name. Answered without its last message. */
  find(deviceId: string, chat: string): Promise<ChatRow | undefined>
  /** Conversations that have messages, newest first, from below `before`. */
  list(
    deviceId: string,
    page: { readonly limit: number; readonly before?: ChatCursor; readonly archived?: boolean },
  ): Promise<readonly ChatRow[]>
  /** Messages of a conversation, newest first. `unknown_cursor` when `before` or `after` names no message of it. */
  history(
    deviceId: string,
    conversationId: string,
    page: HistoryPage,
  ): Promise<readonly ShownMessage[] | 'unknown_cursor'>
  /** Those of others that are unread, newest first. */
  unread(deviceId: string, conversationId: string, limit: number): Promise<readonly MessageRow[]>
  /** Marks received messages as read by ourselves. */
  markRead(deviceId: string, conversationId: string, messageIds: readonly string[]): Promise<void>
  /** The newest vote of each person, withdrawn ones left out. */
  votes(deviceId: string, conversationId: string, messageId: string): Promise<readonly PollVote[]>
  /** Sets the timer of a chat that may be new here, unless it has a newer one. */
  setTimer(deviceId: string, chat: string, timer: ChatTimer): Promise<void>
}
