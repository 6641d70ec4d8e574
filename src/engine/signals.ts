/** Why a connection ended, in the engine's own words; `sessions/` decides what follows. */
export type CloseCause =
  | { readonly kind: 'restart_required' } // 515: normal right after pairing
  | { readonly kind: 'logged_out' } // 401: the phone or the API removed the device
  | { readonly kind: 'replaced' } // 440: another connection took over
  | { readonly kind: 'temporary_ban'; readonly code: number; readonly expiresAt: number | undefined } // 402
  | { readonly kind: 'locked' } // 403: the account is locked
  | { readonly kind: 'banned' } // 406
  | { readonly kind: 'outdated' } // 405: the announced client version is too old
  | { readonly kind: 'codes_used_up' } // every QR code was shown and none scanned
  | { readonly kind: 'refused'; readonly code: number; readonly message: string } // any other answer of the service
  | { readonly kind: 'pairing_error'; readonly message: string } // pair-success did not hold (bad signature, HMAC)
  | { readonly kind: 'keepalive_timeout' } // pings unanswered
  | { readonly kind: 'keys_damaged'; readonly message: string } // stored credentials or keys do not open
  | { readonly kind: 'network'; readonly message: string }
  | { readonly kind: 'local'; readonly message: string } // we closed it ourselves

/** How a connection does. In order; `closed` is the last one. */
export type EngineSignal =
  | { readonly type: 'connecting' }
  /** A QR text to show, valid until `expiresAt` (ms since the epoch); the next one follows by itself. */
  | { readonly type: 'qr'; readonly code: string; readonly expiresAt: number }
  /** The pairing code to type on the phone, `XXXX-XXXX`. */
  | { readonly type: 'pairing_code'; readonly code: string; readonly expiresAt: number }
  | {
      readonly type: 'passkey_required'
      readonly options: Readonly<Record<string, unknown>>
      readonly expiresAt: number
    }
  | { readonly type: 'passkey_state'; readonly state: string; readonly confirmationCode: string | undefined }
  | {
      readonly type: 'paired'
      readonly jid: string
      readonly lid: string | undefined
      readonly platform: string | undefined
      readonly businessName: string | undefined
    }
  /** Logged in; messages can be sent. */
  | { readonly type: 'open' }
  /** So many stanzas wait for us at WhatsApp, and come now. */
  | {
      readonly type: 'offline_preview'
      readonly total: number
      readonly messages: number
      readonly receipts: number
      readonly notifications: number
      readonly appDataChanges: number
    }
  /** Everything that waited for us while we were away, `count` stanzas, has been handed over, and its messages are stored. */
  | { readonly type: 'caught_up'; readonly count: number }
  | { readonly type: 'keepalive_missed'; readonly count: number; readonly lastHeardAt: number }
  | { readonly type: 'keepalive_restored' }
  | { readonly type: 'push_name'; readonly name: string }
  /** The server's word on a message that came after the sender stopped waiting; `whatsappCode` when it refused. */
  | {
      readonly type: 'late_ack'
      readonly messageId: string
      readonly chat: string
      readonly whatsappCode: number | undefined
    }
  /** Somebody whose presence is watched came online or went offline. `lastSeenAt` in ms, when they show it. */
  | {
      readonly type: 'presence'
      readonly jid: string
      readonly pn: string | undefined
      readonly lid: string | undefined
      readonly available: boolean
      readonly lastSeenAt: number | undefined
    }
  /** Somebody types or records in a chat, or has stopped. */
  | {
      readonly type: 'chat_presence'
      readonly chat: string
      readonly sender: string
      readonly pn: string | undefined
      readonly lid: string | undefined
      readonly isGroup: boolean
      readonly state: 'composing' | 'recording' | 'paused'
    }
  /** The phone answered whether it has uploaded a file once more; `error` is WhatsApp's number when it has not. */
  | {
      readonly type: 'media_retry'
      readonly messageId: string
      readonly chat: string
      readonly sender: string | undefined
      readonly fromMe: boolean
      readonly error: number | undefined
    }
  | { readonly type: 'closed'; readonly cause: CloseCause }
