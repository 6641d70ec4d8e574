import type { ChatChange, ChatTimer, MessageAction, MessageDetails } from '../../kernel/message-facts.ts'
import type { EventRow, NewEvent } from './events.ts'
import type { KnownParty } from './identities.ts'

export type MessageState = 'accepted' | 'server_ack' | 'delivered' | 'read' | 'played' | 'failed' | 'received'

export interface MessageRow {
  readonly deviceId: string
  readonly conversationId: string
  /** As WhatsApp addresses the chat. */
  readonly chat: string
  readonly messageId: string
  readonly sender: string
  readonly senderContactId: string | undefined
  readonly fromMe: boolean
  readonly type: string
  readonly text: string | undefined
  readonly quotedMessageId: string | undefined
  readonly pushName: string | undefined
  /** Seconds since the epoch. */
  readonly timestamp: number
  readonly state: MessageState
  /** WhatsApp's code when `failed`. */
  readonly failureCode: number | undefined
  /** Why in words, when `failed`. */
  readonly failureReason?: string | undefined
  /** Encoded `Message` protobuf. */
  readonly content: Uint8Array | undefined
  /** Of an action (reaction, edit, revoke, vote): the message it is about. */
  readonly targetMessageId?: string
  /** What it does to that message. */
  readonly action?: MessageAction
  readonly mentions?: readonly string[]
  readonly details?: MessageDetails
  /** Seconds since the epoch; `text` is what it says now, `content` what was sent first. */
  readonly editedAt?: number
  /** Seconds since the epoch; text, content and details are gone. */
  readonly revokedAt?: number
  readonly revokedBy?: string
  readonly starred?: boolean
}

export type NewMessage = Omit<
  MessageRow,
  | 'deviceId'
  | 'conversationId'
  | 'senderContactId'
  | 'targetMessageId'
  | 'editedAt'
  | 'revokedAt'
  | 'revokedBy'
  | 'starred'
> & {
  /** Set when it changes another message: it takes effect there, and is shown in no list. */
  readonly action?: MessageAction
}

/** A person under the names a stanza gave; at least one is set. Bare JIDs. */
export interface PartyNames {
  readonly pn: string | undefined
  readonly lid: string | undefined
  readonly pushName?: string | undefined
}

/** The immutable ids behind the names. */
export interface ResolvedParty {
  readonly contactId: string
  readonly pn: string | undefined
  readonly lid: string | undefined
  /** Set when two contacts turned out to be one: the older id stays, this one became an alias. */
  readonly mergedContactId: string | undefined
  /** Set when their conversations became one too: this id is now an alias of the older conversation's. */
  readonly mergedConversationId?: string
  /** Set when they call themselves by another name now. */
  readonly formerPushName?: string
  /** Set after two became one: their one-to-one conversation, if there is one. */
  readonly conversationId?: string
}

export interface ReceiptChange {
  readonly messageId: string
  readonly receipt: 'delivered' | 'read' | 'played'
  /** Bare JID of the recipient who received or read. */
  readonly recipient: string
  readonly at: number
}

/** How far a message got with one recipient. */
export interface RecipientReceipts {
  /** Bare JID, as the first receipt named them. */
  readonly recipient: string
  readonly deliveredAt: number | undefined
  readonly readAt: number | undefined
  readonly playedAt: number | undefined
}

export interface DescribedMessage {
  readonly message: MessageRow
  readonly receipts: readonly RecipientReceipts[]
}

/** A message of ours that got to its next state. */
export interface MovedMessage {
  readonly messageId: string
  readonly state: 'delivered' | 'read' | 'played'
}

/** One incoming stanza's worth of writes. */
export interface IntakeRecord {
  /** The same key of the same device a second time changes nothing. */
  readonly key: string
  readonly chat: string
  /** Behind a one-to-one chat; undefined for groups, channels, broadcasts. */
  readonly chatParty: PartyNames | undefined
  readonly senderParty: PartyNames | undefined
  readonly message?: NewMessage
  readonly receipts?: readonly ReceiptChange[]
  /** `at` in ms: what came later than that stays unread, or stays. */
  readonly chatChange?: { readonly change: ChatChange; readonly at: number }
  /** A JID that the events name beside chat and sender. */
  readonly named?: string | undefined
  /** Holds from then on, unless the chat has a newer one. */
  readonly timer?: ChatTimer
  /**
   * Builds the events once the ids are known; called inside the transaction and must not wait. Called again when the
   * database makes us repeat the transaction.
   */
  events(ids: IntakeIds): readonly NewEvent[]
}

export interface IntakeIds {
  readonly conversationId: string
  readonly chatParty: ResolvedParty | undefined
  readonly senderParty: ResolvedParty | undefined
  /** Whoever is known by `named`. */
  readonly namedParty?: KnownParty | undefined
  /** Receipts that changed a state or a recipient's row, for messages we know. */
  readonly changed: readonly ReceiptChange[]
  /** Messages of ours that these receipts brought to their next state. */
  readonly moved: readonly MovedMessage[]
  /** True when the message row was new (or healed an undecryptable one). */
  readonly isNew: boolean
}

/** Rule 1 of durability: message, receipts, events and deliveries of a stanza in one transaction. */
export interface IntakeRepository {
  /** Answers the appended events; empty when the key was known. Resolves when durable. */
  commit(deviceId: string, record: IntakeRecord): Promise<readonly EventRow[]>
  /** Forgets the keys of stanzas taken in before this (ms). Answers how many went. */
  prune(before: number): Promise<number>
}

/** How a message is written that disappears as its chat says. */
export interface TimedContent {
  /** Of a one-to-one chat that begins with this message: the account's own setting. */
  readonly ofNewChats: ChatTimer | undefined
  /** The content under a timer that is on; called inside the transaction, must not wait. */
  content(timer: ChatTimer & { readonly byDefault: boolean }): Uint8Array
}

/** A person who was two contacts until now. */
export type MergedParty = ResolvedParty & { readonly mergedContactId: string }

/**
 * Called inside a transaction that found two contacts to be one, must not wait. `conversationId`: where the message that
 * showed it stands.
 */
export type EventsOfMerger = (party: MergedParty, conversationId: string) => readonly NewEvent[]

/** Rule 2: what we send is committed before it leaves. */
export interface MessageRepository {
  /** Commits an outgoing message as `accepted`; finds or makes its conversation. */
  accept(
    deviceId: string,
    message: NewMessage,
    chatParty: PartyNames | undefined,
    timed?: TimedContent,
    eventsOfMerger?: EventsOfMerger,
  ): Promise<MessageRow>
  setContent(deviceId: string, chat: string, messageId: string, content: Uint8Array): Promise<void>
  /** Moves the state forward only (accepted < server_ack < delivered < read < played; failed only from accepted). False when it did not move. */
  advance(
    deviceId: string,
    chat: string,
    messageId: string,
    state: MessageState,
    failureCode?: number,
    more?: {
      /** Why in words, when `failed`. */
      readonly reason?: string | undefined
      /**
       * Told of the step in the same transaction, when there is one; called inside it, must not wait. `chatParty`: the
       * person behind a one-to-one chat.
       */
      events(chatParty: KnownParty | undefined): readonly NewEvent[]
    },
  ): Promise<boolean>
  /** By id, in the named chat or in any; own messages first. */
  find(deviceId: string, messageId: string, chat?: string): Promise<MessageRow | undefined>
  /** A message with what its recipients did; `ambiguous` when several chats have one of that id and none was named. */
  describe(deviceId: string, messageId: string, chat?: string): Promise<DescribedMessage | 'ambiguous' | undefined>
  /** Deletes messages stored before this (ms), except those still to be sent. Answers how many went. */
  prune(before: number): Promise<number>
  /** Outgoing messages still `accepted`, oldest first. */
  pending(deviceId: string, limit: number): Promise<readonly MessageRow[]>
  /** The same of all devices: those with a timestamp before `before` (seconds). */
  stale(before: number, limit: number): Promise<readonly MessageRow[]>
}
