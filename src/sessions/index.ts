/** PORT for `features/`: the devices that are alive in this process and what can be asked of them. */
import type { EngineSession, MediaContent, OutgoingContent, PasskeyAssertion, PasskeyStatus } from '../engine/index.ts'

export interface LiveStatus {
  /** An engine session exists in this process. */
  readonly clientLoaded: boolean
  /** The socket is up and logged in. */
  readonly isConnected: boolean
  /** The device has an account. */
  readonly isLoggedIn: boolean
  /** Empty when fine, else `client not loaded`, `client not connected`, `client not logged in`, ... */
  readonly error: string
}

/** What to show while a device is being linked. */
export interface LinkOffer {
  /** The QR text, or the pairing code `XXXX-XXXX`. */
  readonly code: string
  /** Milliseconds since the epoch. */
  readonly expiresAt: number
}

export type LinkStart = { readonly kind: 'offer'; readonly offer: LinkOffer } | { readonly kind: 'already_linked' }

export type PairingFailure =
  | 'version_rejected'
  | 'expired'
  | 'network'
  | 'rejected'
  | 'passkey_required'
  | 'too_many_devices'

/** How the linking of a device stands; what the QR page polls. */
export type LinkState =
  | { readonly state: 'idle' }
  | { readonly state: 'connecting' }
  | { readonly state: 'waiting_for_scan'; readonly offer: LinkOffer }
  | { readonly state: 'waiting_for_code'; readonly offer: LinkOffer }
  | { readonly state: 'passkey_required'; readonly passkey: PasskeyStatus }
  | { readonly state: 'finishing' } // the phone agreed; restarting the connection (515) and logging in
  | { readonly state: 'linked'; readonly jid: string }
  | { readonly state: 'failed'; readonly reason: PairingFailure; readonly message: string }

export interface SentMessage {
  readonly messageId: string
  readonly chat: string
  /** Further than `server_ack` only when it had been sent before under the same `messageId`. */
  readonly status: 'accepted' | 'server_ack' | 'delivered' | 'read' | 'played'
  /** Seconds since the epoch. */
  readonly timestamp: number
}

/** A file that is uploaded when nothing stands against sending it: no limit, no unknown number, no missing quote. */
export interface FileToSend {
  readonly kind: 'media'
  readonly upload: (connection: EngineSession) => Promise<MediaContent>
}

export interface SendRequest {
  /** Normalised by `parseChat`. */
  readonly chat: string
  readonly content: OutgoingContent | FileToSend
  /** A stored message of the chat that this one replies to. */
  readonly replyToMessageId?: string
  /** JIDs of the people mentioned. */
  readonly mentions?: readonly string[]
  /**
   * Chosen beforehand (a repeated request); made when absent. When a message of ours has it already, nothing new is sent:
   * the answer is that message's state, or the refusal it met.
   */
  readonly messageId?: string
  readonly typingSimulation?: boolean
  readonly presenceSimulation?: boolean
}

export interface ReconnectResult {
  readonly deviceId: string
  readonly deviceName: string
  readonly status: 'reconnected' | 'failed' | 'skipped' | 'already_connected'
  readonly error?: string
}

export interface Sessions {
  /** Never touches the database. */
  status(deviceId: string): LiveStatus
  /** How many engine sessions exist. */
  count(): number
  /**
   * Starts linking by QR, or joins a linking that is under way, and answers the code to show now.
   * @throws pairing_failed (`data.reason` a PairingFailure), conflict (another kind of linking is under way)
   */
  linkByQr(deviceId: string): Promise<LinkStart>
  /** Starts linking by pairing code; an earlier attempt of this device ends. @throws pairing_failed */
  linkByCode(deviceId: string, phone: string): Promise<LinkStart>
  linkState(deviceId: string): LinkState
  /** @throws conflict when no linking waits for a passkey */
  passkeyStatus(deviceId: string): PasskeyStatus
  submitPasskey(deviceId: string, assertion: PasskeyAssertion): Promise<PasskeyStatus>
  confirmPasskey(deviceId: string): Promise<PasskeyStatus>
  /** Closes and reopens; resolves when logged in. @throws not_linked, not_connected (it did not come back in time) */
  reconnect(deviceId: string): Promise<void>
  /** Every linked device that is not connected, with bounded concurrency. */
  reconnectAll(): Promise<readonly ReconnectResult[]>
  /** Removes the device from WhatsApp and forgets its keys; the record stays. @throws not_linked */
  logout(deviceId: string): Promise<void>
  /** Disconnects a device without touching its account (its API key was disabled). `resume` brings it back. Never throws. */
  suspend(deviceId: string): Promise<void>
  /** Connects a linked device that was suspended; does nothing for one that is not linked. Never throws. */
  resume(deviceId: string): Promise<void>
  /** Ends everything of a device that is being deleted (logs out where it can). Never throws. */
  remove(deviceId: string): Promise<void>
  /**
   * Sends anything: committed first, then on its way until the server has said something.
   * @throws not_linked, not_connected, not_on_whatsapp, bad_request, not_found (quoted message), whatsapp_refused, whatsapp_timeout
   */
  send(deviceId: string, request: SendRequest): Promise<SentMessage>
  /** The open connection, for what is not a message; waits up to 10 s for one that is coming back. @throws not_linked, not_connected */
  connection(deviceId: string): Promise<EngineSession>
  /** Whom a chat means on WhatsApp: a number is looked up. `field` is named in refusals. @throws as `connection`, not_on_whatsapp */
  resolve(deviceId: string, chat: string, field: string): Promise<{ readonly jid: string }>
  /** Watches somebody's presence, on later connections too, until the process ends. @throws as `connection` */
  watchPresence(deviceId: string, jid: string): Promise<void>
}
