/** What can be sent, in words that know nothing of protobufs. JIDs are bare. */

import type { ChatTimer, MessageDetails } from '../kernel/message-facts.ts'

/** A message that another one is about. */
export interface MessageReference {
  readonly messageId: string
  readonly chat: string
  /** Who wrote it. */
  readonly sender: string
  readonly fromMe: boolean
}

/** The message that is replied to; it is shown above the reply. */
export interface QuotedMessage extends MessageReference {
  /** Its encoded `Message` protobuf. */
  readonly content: Uint8Array
  /** What it says now, when it was edited since. */
  readonly text?: string
}

/** A file as it lies on WhatsApp's media servers, encrypted. */
export interface UploadedMedia {
  readonly url: string
  readonly directPath: string
  readonly mediaKey: Uint8Array
  readonly fileSha256: Uint8Array
  readonly fileEncSha256: Uint8Array
  readonly fileLength: number
}

export type MediaKind = 'image' | 'video' | 'audio' | 'document' | 'sticker'

export interface MediaContent {
  readonly kind: 'media'
  readonly media: MediaKind
  readonly file: UploadedMedia
  readonly mimetype: string
  readonly caption?: string
  readonly fileName?: string
  readonly width?: number
  readonly height?: number
  /** Whole seconds, of audio and video. */
  readonly seconds?: number
  readonly jpegThumbnail?: Uint8Array
  readonly viewOnce?: boolean
  /** Audio that is shown as a voice note, with 64 values of 0..100. */
  readonly voiceNote?: boolean
  readonly waveform?: Uint8Array
  /** A video that plays like a GIF. */
  readonly gifPlayback?: boolean
  /** A sticker that moves. */
  readonly animated?: boolean
  readonly pageCount?: number
}

export type OutgoingContent =
  | {
      readonly kind: 'text'
      readonly text: string
      readonly preview?: LinkPreview
    }
  | MediaContent
  | {
      readonly kind: 'location'
      readonly latitude: number
      readonly longitude: number
      readonly name?: string
      readonly address?: string
    }
  | {
      readonly kind: 'contacts'
      readonly contacts: readonly { readonly displayName: string; readonly vcard: string }[]
    }
  /** An empty emoji takes the reaction back. */
  | { readonly kind: 'reaction'; readonly target: MessageReference; readonly emoji: string }
  | { readonly kind: 'edit'; readonly target: MessageReference; readonly text: string }
  | { readonly kind: 'revoke'; readonly target: MessageReference }
  /** A stored message once more; `forwardingScore` counts how often it has been passed on. */
  | {
      readonly kind: 'forward'
      readonly content: Uint8Array
      readonly fromMe: boolean
      /** What it is, for the message store. */
      readonly type: string
      /** What it says; the edited text where it was edited. */
      readonly text: string | undefined
      readonly details?: MessageDetails | undefined
    }
  | {
      readonly kind: 'poll'
      readonly name: string
      readonly options: readonly string[]
      /** 0 = any number. */
      readonly selectableCount: number
    }
  /** Names of the chosen options; none withdraws the vote. */
  | {
      readonly kind: 'poll_vote'
      readonly poll: MessageReference
      /** The encoded `Message` of the poll, whose secret the vote is encrypted with. */
      readonly pollContent: Uint8Array
      readonly options: readonly string[]
    }
  /** Seconds after which messages of a one-to-one chat disappear; 0 switches it off. */
  | { readonly kind: 'disappearing'; readonly seconds: number }

export interface LinkPreview {
  /** The URL as it stands in the text. */
  readonly matchedText: string
  readonly title: string
  readonly description?: string
  readonly jpegThumbnail?: Uint8Array
}

/** What goes with any content that can carry it. */
export interface OutgoingContext {
  readonly quoted?: QuotedMessage
  /** JIDs of the people mentioned. */
  readonly mentions?: readonly string[]
  /** After how long this message disappears, as the chat is set; `byDefault`: it begins a chat under the account's own setting. */
  readonly timer?: ChatTimer & { readonly byDefault?: boolean }
}

export interface BuildMessage {
  readonly messageId: string
  /** Bare JID of a person (PN or LID), a group, or `status@broadcast`. */
  readonly chat: string
  readonly content: OutgoingContent
  readonly context?: OutgoingContext
}
