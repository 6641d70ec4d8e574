/**
 * PORT: one WhatsApp connection per linked device, whatever library speaks the protocol. `engine/baileys` is the adapter.
 * What the engine hears comes out in two ways: `signals` (how the connection does; not kept) and `intake` (what must
 * not be lost: awaited, and only then acknowledged to WhatsApp).
 */

export type * from './media.ts'
export type {
  ChatChangeOccurrence,
  GroupTimerOccurrence,
  Intake,
  MessageOccurrence,
  Occurrence,
  OccurrenceParty,
  ReceiptOccurrence,
} from './occurrences.ts'
export type * from './outgoing.ts'
export type { CloseCause, EngineSignal } from './signals.ts'

import type { ChatChange, ChatTimer } from '../kernel/message-facts.ts'
import type { MediaFacts, MediaPort } from './media.ts'
import type { Intake } from './occurrences.ts'
import type { BuildMessage } from './outgoing.ts'
import type { CloseCause, EngineSignal } from './signals.ts'

/** How an unlinked device asks to be linked. */
export type LinkRequest = { readonly method: 'qr' } | { readonly method: 'code'; readonly phone: string }

export interface OpenSession {
  readonly deviceId: string
  /** Set to link a new account; absent to log in with the stored credentials. */
  readonly link?: LinkRequest
  /** `http://`, `https://` or `socks5://` proxy of this device. */
  readonly proxyUrl?: string
  readonly intake: Intake
  readonly onSignal: (signal: EngineSignal) => void
  /** Resolves when the signals given so far are stored; what told of them is acknowledged to WhatsApp only then. */
  readonly signalsStored?: () => Promise<void>
}

/** The linked account as stored with the credentials. */
export interface Account {
  /** Full device JID `user:device@s.whatsapp.net`. */
  readonly jid: string
  /** Full device LID `user:device@lid`. */
  readonly lid: string | undefined
  readonly pushName: string | undefined
  readonly platform: string | undefined
  readonly businessName: string | undefined
}

export interface SendMessage {
  /** Chosen and committed by the caller; a resend carries the same one. */
  readonly messageId: string
  readonly chat: string
  readonly content: Uint8Array
  readonly again: boolean
  readonly ackTimeoutMs: number
}

/** What the server said to a sent message. */
export type SendOutcome =
  | { readonly outcome: 'server_ack'; readonly timestamp: number }
  /** WhatsApp refused it: 463 (account restricted / no privacy token), 479 (malformed), ... */
  | { readonly outcome: 'refused'; readonly whatsappCode: number }
  /** Nothing heard within the deadline, or the connection went away: it may or may not have arrived. */
  | { readonly outcome: 'unknown' }

/** A message that a change of its chat covers. */
export interface CoveredMessage {
  readonly messageId: string
  readonly sender: string
  readonly fromMe: boolean
  /** Seconds since the epoch. */
  readonly timestamp: number
}

/** One live connection. A session is single use: after `closed` open another. */
export interface EngineSession extends AsyncDisposable {
  readonly deviceId: string
  /** The account once known (linked). */
  readonly account: Account | undefined
  /** The encoded `Message` protobuf of what is to be sent; nothing leaves. @throws bad_request */
  build(message: BuildMessage): Uint8Array
  /**
   * Encrypts and sends content that the caller has committed under this id. Resolves when the server acknowledged or
   * refused, or with `unknown` at `ackTimeoutMs`. `again`: an earlier attempt may have left.
   * @throws not_connected, whatsapp_timeout (a lookup went unanswered), whatsapp_refused
   */
  send(message: SendMessage): Promise<SendOutcome>
  /** Whether a phone number (digits) has an account, and under which JIDs. @throws whatsapp_timeout, not_connected */
  lookUpPhone(phone: string): Promise<{ readonly jid: string; readonly lid: string | undefined } | undefined>
  /** @throws conflict (the phone has not told the account's name, which goes with it), not_connected */
  sendPresence(state: 'available' | 'unavailable'): Promise<void>
  /** @throws not_connected */
  sendChatState(chat: string, state: 'composing' | 'recording' | 'paused'): Promise<void>
  /** Marks messages as read: sends the read receipts. */
  markRead(chat: string, sender: string | undefined, messageIds: readonly string[]): Promise<void>
  /**
   * Changes a chat on every device of the account; the change comes back through `intake`. `last` are the newest
   * messages of the chat, which the change covers. @throws conflict (the phone has not shared its keys yet), whatsapp_timeout
   */
  changeChat(chat: string, change: ChatChange, last?: readonly CoveredMessage[]): Promise<void>
  /** Lets WhatsApp tell when somebody goes online or offline; it comes as `presence` signals until the connection ends. */
  subscribePresence(jid: string): Promise<void>
  /** Seconds after which messages of new chats disappear; 0 = off. */
  setDefaultDisappearing(seconds: number): Promise<void>
  /** The same as it is set now, on whichever device; WhatsApp is asked the first time. Undefined when it does not say. */
  defaultTimer(): Promise<ChatTimer | undefined>
  /** After how long messages of a group disappear. @throws forbidden, not_found, whatsapp_timeout, whatsapp_refused */
  groupTimer(group: string): Promise<number>
  /** The same for a group; only admins may in some. @throws forbidden, not_found, whatsapp_refused */
  setGroupDisappearing(group: string, seconds: number): Promise<void>
  /** What we are in a group; undefined when not a member. @throws whatsapp_timeout, whatsapp_refused */
  roleIn(group: string): Promise<'member' | 'admin' | undefined>
  /** Files: see `media.ts`. */
  readonly media: MediaPort
  /** Passkey linking: see `passkey.ts`. @throws bad_request, conflict, whatsapp_refused */
  readonly passkey: PasskeyPort
  /** Asks WhatsApp to remove this device and waits for the answer. @throws whatsapp_timeout */
  logout(): Promise<void>
  /** Closes the socket; `signals` then says `closed` once. */
  close(cause: CloseCause): void
}

/** The assertion of `navigator.credentials.get`, bytes as unpadded base64url. */
export interface PasskeyAssertion {
  readonly id: string
  readonly rawId: string
  readonly type: 'public-key'
  readonly response: {
    readonly clientDataJSON: string
    readonly authenticatorData: string
    readonly signature: string
    readonly userHandle: string | null
  }
}

export type PasskeyState = 'waiting_for_assertion' | 'waiting_for_phone' | 'confirm' | 'done' | 'expired'

export interface PasskeyStatus {
  readonly state: PasskeyState
  /** The `publicKey` argument of `navigator.credentials.get`. */
  readonly options: Readonly<Record<string, unknown>> | undefined
  /** `XXXX-XXXX`, when the user must compare it with the phone's. */
  readonly confirmationCode: string | undefined
  /** Milliseconds since the epoch. */
  readonly expiresAt: number | undefined
}

export interface PasskeyPort {
  /** Undefined when no linking is waiting for a passkey. */
  status(): PasskeyStatus | undefined
  submit(assertion: PasskeyAssertion): Promise<PasskeyStatus>
  confirm(): Promise<PasskeyStatus>
}

export interface Engine {
  /** How much was refused since the start because it does not verify, by kind: `message`, `app_state`, ... */
  readonly refusals: Readonly<Record<string, number>>
  /** The WhatsApp Web version that new sessions announce. */
  version: readonly [number, number, number]
  /** Starts connecting; everything after comes as signals. @throws storage_unavailable when the credentials cannot be read */
  open(options: OpenSession): Promise<EngineSession>
  /** The linked account of a device, from its stored credentials, without connecting. */
  storedAccount(deviceId: string): Promise<Account | undefined>
  /** The file in an encoded `Message`; undefined when it has none. */
  describeMedia(content: Uint8Array): Promise<MediaFacts | undefined>
  /** The same message with its file at another place on the media servers. */
  relocateMedia(content: Uint8Array, directPath: string): Promise<Uint8Array>
  /** Deletes credentials and all Signal keys of a device. */
  forget(deviceId: string): Promise<void>
}
