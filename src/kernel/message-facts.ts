/** What engine and storage tell each other about messages and chats; plain data, fit for JSON. */

/** The message that an action is about. */
export interface ActionTarget {
  readonly messageId: string
  /** Whether the message is ours; undefined when the action does not say. */
  readonly fromMe?: boolean | undefined
}

/** After how long messages of a chat disappear. */
export interface ChatTimer {
  /** 0 = they stay. */
  readonly seconds: number
  /** Since when it holds: seconds since the epoch, 0 = not said. The newest one of a chat counts. */
  readonly setAt: number
}

/** A message that changes another one instead of being one to read. Times in ms, as the action itself says. */
export type MessageAction =
  /** An empty emoji takes the reaction back. */
  | { readonly kind: 'reaction'; readonly target: ActionTarget; readonly emoji: string; readonly at: number }
  | { readonly kind: 'edit'; readonly target: ActionTarget; readonly text: string; readonly at: number }
  /** `byAdmin`: an admin of the group takes back another's message, as WhatsApp's server has checked. */
  | { readonly kind: 'revoke'; readonly target: ActionTarget; readonly byAdmin: boolean; readonly at: number }
  /** `options`: names of the chosen ones, none = withdrawn; undefined when the vote could not be decrypted. */
  | {
      readonly kind: 'poll_vote'
      readonly target: ActionTarget
      readonly options?: readonly string[] | undefined
      readonly at: number
    }
  /** Sets the timer of its chat; `target` is the message itself. */
  | { readonly kind: 'timer'; readonly target: ActionTarget; readonly timer: ChatTimer; readonly at: number }

/** What a message holds beside its text. */
export interface MessageDetails {
  readonly poll?: {
    readonly question: string
    readonly options: readonly string[]
    /** 0 = any number. */
    readonly selectable: number
  }
  readonly location?: {
    readonly latitude: number
    readonly longitude: number
    readonly name?: string
    readonly address?: string
  }
  readonly contacts?: readonly { readonly name: string; readonly vcard: string }[]
}

/** How a chat is changed on one of our devices: what WhatsApp keeps as app state. Times in ms. */
export type ChatChange =
  | { readonly kind: 'archive'; readonly archived: boolean }
  | { readonly kind: 'pin'; readonly pinned: boolean }
  /** -1 = for ever, undefined = not muted any more. */
  | { readonly kind: 'mute'; readonly until: number | undefined }
  | { readonly kind: 'mark_read'; readonly read: boolean }
  | { readonly kind: 'delete'; readonly deleteMedia: boolean }
  | { readonly kind: 'clear'; readonly deleteMedia: boolean }
  | { readonly kind: 'star'; readonly message: ChangedMessage; readonly starred: boolean }
  | { readonly kind: 'delete_for_me'; readonly message: ChangedMessage; readonly deleteMedia: boolean }

export interface ChangedMessage {
  readonly messageId: string
  readonly fromMe: boolean
  /** Who wrote it, in a group; undefined when not said. */
  readonly sender?: string | undefined
}
