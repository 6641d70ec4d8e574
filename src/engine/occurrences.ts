/** What happened on WhatsApp and must not be lost. JIDs are bare (no device) unless said otherwise. */

import type { ChatChange, ChatTimer, MessageAction, MessageDetails } from '../kernel/message-facts.ts'

/** A person as a stanza names them: at least one of the two is set. */
export interface OccurrenceParty {
  readonly pn: string | undefined
  readonly lid: string | undefined
}

export interface MessageOccurrence {
  readonly kind: 'message'
  /** Unique per device and stanza content: the same stanza again has the same key. */
  readonly key: string
  readonly messageId: string
  /** The chat as WhatsApp addresses it: PN, LID, group, channel or broadcast JID. */
  readonly chat: string
  /** For a one-to-one chat the person behind it under both names, where known. */
  readonly chatParty: OccurrenceParty | undefined
  readonly sender: string
  readonly senderParty: OccurrenceParty
  /** Device number of the sender, 0 = phone. */
  readonly senderDevice: number
  readonly fromMe: boolean
  readonly isGroup: boolean
  /** Seconds since the epoch, as WhatsApp stamped it. */
  readonly timestamp: number
  readonly pushName: string | undefined
  /** text, image, video, audio, document, sticker, location, contact, poll, reaction, edit, revoke, protocol, undecryptable, unknown */
  readonly type: string
  readonly text: string | undefined
  readonly quotedMessageId: string | undefined
  /** The message that an edit, a revocation or a reaction is about. */
  readonly targetMessageId?: string | undefined
  readonly mentions: readonly string[]
  /** True when it waited on the server while the device was offline. */
  readonly offline: boolean
  /** For type `undecryptable`: the failure in words. */
  readonly failure: string | undefined
  /** For type `undecryptable`: the `type` of the `<unavailable>` node when no content was sent to this device at all. */
  readonly unavailable?: string | undefined
  /** Encoded `Message` protobuf; undefined when undecryptable. */
  readonly content: Uint8Array | undefined
  /** Set when it changes another message. */
  readonly action?: MessageAction | undefined
  readonly details?: MessageDetails | undefined
  /** The timer of the one-to-one chat, when the message sets or names it. */
  readonly timer?: ChatTimer | undefined
}

export interface ReceiptOccurrence {
  readonly kind: 'receipt'
  readonly key: string
  readonly receipt: 'delivered' | 'read' | 'played'
  readonly messageIds: readonly string[]
  readonly chat: string
  readonly chatParty: OccurrenceParty | undefined
  /** Who received, read or played. */
  readonly sender: string
  readonly senderParty: OccurrenceParty
  /** True when another device of our own account read it (`read-self`). */
  readonly fromMe: boolean
  readonly isGroup: boolean
  /** Seconds since the epoch. */
  readonly timestamp: number
}

/** A chat was changed on one of our devices, this one included. */
export interface ChatChangeOccurrence {
  readonly kind: 'chat_change'
  readonly key: string
  readonly chat: string
  readonly chatParty: OccurrenceParty | undefined
  /** We ourselves. */
  readonly sender: string
  readonly senderParty: OccurrenceParty
  readonly fromMe: true
  readonly isGroup: boolean
  /** Seconds since the epoch. */
  readonly timestamp: number
  readonly change: ChatChange
  /** ms, as the device that made the change stamped it. */
  readonly at: number
  /** Of a first synchronisation: it may be long ago. */
  readonly fromFull: boolean
  /** The sync action as it travelled, fit for JSON. */
  readonly raw: Readonly<Record<string, unknown>>
}

/** WhatsApp says after how long messages of a group disappear: somebody changed it, or we came into the group. */
export interface GroupTimerOccurrence {
  readonly kind: 'group_timer'
  readonly key: string
  readonly chat: string
  readonly chatParty: undefined
  /** Who changed it, or let us in. */
  readonly sender: string
  readonly senderParty: OccurrenceParty
  readonly fromMe: boolean
  readonly isGroup: true
  /** Seconds since the epoch. */
  readonly timestamp: number
  readonly timer: ChatTimer
}

export type Occurrence = MessageOccurrence | ReceiptOccurrence | ChatChangeOccurrence | GroupTimerOccurrence

/**
 * Takes what happened, in order, and resolves only when it is committed; only then does the engine acknowledge to
 * WhatsApp. A rejection leaves the stanza unacknowledged: WhatsApp sends it again. The same key again changes nothing.
 * Occurrences of a device are committed in the order of the calls. `mayCommit` is asked in the transaction: false, because
 * an earlier one was not stored meanwhile, rejects with `storage_unavailable`.
 */
export type Intake = (deviceId: string, occurrence: Occurrence, mayCommit?: () => boolean) => Promise<void>
