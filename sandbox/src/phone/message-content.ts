// What people say to each other, as WhatsApp's protobuf, and back.
import { proto } from 'baileys/WAProto/index.js'

export interface Quote {
  readonly messageId: string
  /** Who wrote the quoted message. */
  readonly author: string
  readonly message: proto.IMessage | undefined
}

export function makeText(text: string, quote?: Quote): proto.IMessage {
  if (quote === undefined) return { conversation: text }
  const { messageId, author, message } = quote
  const contextInfo = { stanzaId: messageId, participant: author, quotedMessage: message ?? { conversation: '' } }
  return { extendedTextMessage: { text, contextInfo } }
}

export interface Summary {
  /** `text`, `image`, ..., `reaction`, `edit`, `revoke`; `unknown` for anything else that people can see. */
  readonly type: string
  readonly text: string | undefined
  readonly quotedMessageId: string | undefined
  /** The message that a reaction, an edit or a revoke is about. */
  readonly targetMessageId: string | undefined
}

const WRAPPERS = [
  'deviceSentMessage',
  'ephemeralMessage',
  'viewOnceMessage',
  'viewOnceMessageV2',
  'viewOnceMessageV2Extension',
  'documentWithCaptionMessage',
  'editedMessage',
] as const

/** The message inside all envelopes (disappearing, view once, sent by another own device). */
export function unwrap(message: proto.IMessage): proto.IMessage {
  for (const name of WRAPPERS) {
    const inner = message[name]?.message
    if (inner) return unwrap(inner)
  }
  return message
}

interface Visible {
  readonly text?: string | null | undefined
  readonly caption?: string | null | undefined
  readonly name?: string | null | undefined
  readonly contextInfo?: proto.IContextInfo | null | undefined
}

const KINDS: readonly (readonly [keyof proto.IMessage, string])[] = [
  ['extendedTextMessage', 'text'],
  ['imageMessage', 'image'],
  ['videoMessage', 'video'],
  ['ptvMessage', 'video_note'],
  ['audioMessage', 'audio'],
  ['documentMessage', 'document'],
  ['stickerMessage', 'sticker'],
  ['locationMessage', 'location'],
  ['liveLocationMessage', 'live_location'],
  ['contactMessage', 'contact'],
  ['contactsArrayMessage', 'contacts'],
  ['pollCreationMessage', 'poll'],
  ['pollCreationMessageV2', 'poll'],
  ['pollCreationMessageV3', 'poll'],
  ['pollUpdateMessage', 'poll_vote'],
  ['eventMessage', 'event'],
  ['groupInviteMessage', 'group_invite'],
  ['listMessage', 'list'],
  ['buttonsMessage', 'buttons'],
  ['templateMessage', 'template'],
  ['interactiveMessage', 'interactive'],
]

/** What a person sees of a message; undefined when there is nothing to see (keys, receipts between own devices). */
export function summarize(wrapped: proto.IMessage): Summary | undefined {
  const message = unwrap(wrapped)
  if (message.conversation) return seen('text', { text: message.conversation })
  const { reactionMessage, protocolMessage } = message
  if (reactionMessage) return seen('reaction', reactionMessage, reactionMessage.key?.id)
  if (protocolMessage) {
    const { type, key, editedMessage } = protocolMessage
    if (type === proto.Message.ProtocolMessage.Type.REVOKE) return seen('revoke', {}, key?.id)
    if (type === proto.Message.ProtocolMessage.Type.EPHEMERAL_SETTING) return seen('disappearing', {})
    if (editedMessage) return seen('edit', { text: summarize(editedMessage)?.text }, key?.id)
    return undefined
  }
  for (const [field, type] of KINDS) {
    const content = message[field]
    if (content) return seen(type, content as Visible)
  }
  const meaningful = Object.entries(message).some(
    ([name, value]) => value && name !== 'senderKeyDistributionMessage' && name !== 'messageContextInfo',
  )
  return meaningful ? seen('unknown', {}) : undefined
}

const MEDIA = [
  'imageMessage',
  'videoMessage',
  'ptvMessage',
  'audioMessage',
  'documentMessage',
  'stickerMessage',
] as const

/** Whether a message carries a file: its stanza is of type `media` then. */
export function isMedia(wrapped: proto.IMessage): boolean {
  const message = unwrap(wrapped)
  return MEDIA.some((name) => message[name])
}

function seen(type: string, content: Visible, targetMessageId?: string | null): Summary {
  return {
    type,
    text: content.text ?? content.caption ?? content.name ?? undefined,
    quotedMessageId: content.contextInfo?.stanzaId ?? undefined,
    targetMessageId: targetMessageId ?? undefined,
  }
}
