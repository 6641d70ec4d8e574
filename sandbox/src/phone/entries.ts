// What a phone writes down.
import type { proto } from 'baileys/WAProto/index.js'
import type { Account } from '../service/account.ts'
import type { SeenMedia } from './album.ts'
import type { Summary } from './message-content.ts'

export interface PhoneMessage extends Summary {
  readonly seq: number
  readonly messageId: string
  /** The other person's LID, or the group. */
  readonly chat: string
  readonly from: Account
  readonly fromDevice: number
  readonly fromMe: boolean
  /** Sent by this phone itself, not received. */
  readonly sentHere: boolean
  readonly pushName: string | undefined
  /** Seconds since 1970. */
  readonly timestamp: number
  readonly content: proto.IMessage
  /** The file in it, opened. */
  readonly media: SeenMedia | undefined
  /** How often it arrived with this id; a person still sees one message. */
  copies: number
}

export interface PhoneReceipt {
  readonly seq: number
  readonly messageId: string
  readonly from: Account | undefined
  /** `delivered`, `read`, `played`, `inactive`, ... */
  readonly type: string
  /** Seconds since 1970. */
  readonly timestamp: number
}

/** Who is online and who types, as the phone is told. */
export interface PhonePresence {
  readonly seq: number
  readonly from: Account | undefined
  /** The other person's LID, or the group. */
  readonly chat: string
  readonly state: TypingState | 'available' | 'unavailable'
  /** Milliseconds since 1970. */
  readonly at: number
}

export type TypingState = 'composing' | 'recording' | 'paused'
