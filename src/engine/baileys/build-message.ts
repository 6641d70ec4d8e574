import { randomBytes } from 'node:crypto'
import { generateForwardMessageContent, normalizeMessageContent, proto, type WAMessage } from 'baileys'
import type { BuildMessage, MediaContent, MessageReference, OutgoingContent, OutgoingContext } from '../outgoing.ts'
import { encryptPollVote } from './poll-vote.ts'

/** Bare JIDs of our own account. */
export interface OwnIdentity {
  readonly pn: string
  readonly lid: string | undefined
}

/** The encoded `Message` protobuf of what is to be sent. `nowMs` stamps edits, reactions and votes. */
export const buildMessage = (request: BuildMessage, own: OwnIdentity, nowMs: number): Uint8Array => {
  const message = contentOf(request, own, nowMs)
  const withContext = addContext(message, request.chat, request.context)
  return proto.Message.encode(isReportable(withContext) ? withSecret(withContext) : withContext).finish()
}

const contentOf = ({ chat, content }: BuildMessage, own: OwnIdentity, nowMs: number): proto.IMessage => {
  switch (content.kind) {
    case 'text':
      return { extendedTextMessage: textOf(content) }
    case 'media':
      return mediaOf(content)
    case 'location': {
      const { latitude, longitude, name, address } = content
      return {
        locationMessage: {
          degreesLatitude: latitude,
          degreesLongitude: longitude,
          ...(name === undefined ? {} : { name }),
          ...(address === undefined ? {} : { address }),
        },
      }
    }
    case 'contacts': {
      const [first, ...others] = content.contacts
      return others.length === 0
        ? { contactMessage: { ...first } }
        : {
            contactsArrayMessage: {
              displayName: `${content.contacts.length} contacts`,
              contacts: content.contacts.map((contact) => ({ ...contact })),
            },
          }
    }
    case 'reaction':
      return { reactionMessage: { key: keyOf(content.target), text: content.emoji, senderTimestampMs: nowMs } }
    case 'edit':
      return {
        protocolMessage: {
          key: keyOf(content.target),
          type: proto.Message.ProtocolMessage.Type.MESSAGE_EDIT,
          editedMessage: { extendedTextMessage: { text: content.text } },
          timestampMs: nowMs,
        },
      }
    case 'revoke':
      return {
        protocolMessage: { key: keyOf(content.target), type: proto.Message.ProtocolMessage.Type.REVOKE },
      }
    case 'forward':
      return generateForwardMessageContent(
        {
          key: { fromMe: content.fromMe },
          message: withText(proto.Message.decode(content.content), content.text),
        } as WAMessage,
        false,
      )
    case 'poll':
      return pollOf(content)
    case 'poll_vote':
      return { pollUpdateMessage: encryptPollVote(content, chat, own, nowMs) }
    case 'disappearing':
      return {
        protocolMessage: {
          type: proto.Message.ProtocolMessage.Type.EPHEMERAL_SETTING,
          ephemeralExpiration: content.seconds,
          ephemeralSettingTimestamp: Math.floor(nowMs / 1000),
        },
      }
  }
}

const textOf = ({ text, preview }: Extract<OutgoingContent, { kind: 'text' }>): proto.Message.IExtendedTextMessage => ({
  text,
  ...(preview
    ? {
        matchedText: preview.matchedText,
        title: preview.title,
        previewType: proto.Message.ExtendedTextMessage.PreviewType.NONE,
        ...(preview.description ? { description: preview.description } : {}),
        ...(preview.jpegThumbnail ? { jpegThumbnail: preview.jpegThumbnail } : {}),
      }
    : {}),
})

const FIELDS = {
  image: 'imageMessage',
  video: 'videoMessage',
  audio: 'audioMessage',
  document: 'documentMessage',
  sticker: 'stickerMessage',
} as const

const mediaOf = (content: MediaContent): proto.IMessage => {
  const { media, file, mimetype, caption, fileName, width, height, seconds, jpegThumbnail, pageCount } = content
  const part = {
    ...file,
    mimetype,
    mediaKeyTimestamp: Math.floor(Date.now() / 1000),
    ...(caption ? { caption } : {}),
    ...(fileName ? { fileName, title: fileName } : {}),
    ...(width === undefined ? {} : { width }),
    ...(height === undefined ? {} : { height }),
    ...(seconds === undefined ? {} : { seconds }),
    ...(jpegThumbnail ? { jpegThumbnail } : {}),
    ...(pageCount === undefined ? {} : { pageCount }),
    ...(media === 'audio' && content.voiceNote ? { ptt: true, waveform: content.waveform ?? null } : {}),
    ...(media === 'video' && content.gifPlayback ? { gifPlayback: true } : {}),
    ...(media === 'sticker' && content.animated ? { isAnimated: true } : {}),
    ...(content.viewOnce ? { viewOnce: true } : {}),
  }
  const message: proto.IMessage = { [FIELDS[media]]: part }
  if (content.viewOnce) return { viewOnceMessage: { message } }
  return media === 'document' && caption ? { documentWithCaptionMessage: { message } } : message
}

const pollOf = ({ name, options, selectableCount }: Extract<OutgoingContent, { kind: 'poll' }>): proto.IMessage => {
  const creation = {
    name,
    selectableOptionsCount: selectableCount,
    options: options.map((optionName) => ({ optionName })),
  }
  return {
    // V3 is what WhatsApp sends for polls with a single choice
    ...(selectableCount === 1 ? { pollCreationMessageV3: creation } : { pollCreationMessage: creation }),
    messageContextInfo: { messageSecret: randomBytes(32) },
  }
}

/** The key under which WhatsApp knows the message that this one is about. */
const keyOf = ({ messageId, chat, sender, fromMe }: MessageReference): proto.IMessageKey => ({
  remoteJid: chat,
  id: messageId,
  fromMe,
  ...(chat.endsWith('@g.us') || chat.endsWith('@broadcast') ? { participant: sender } : {}),
})

interface CarriesContext {
  contextInfo?: proto.IContextInfo | null
}

const addContext = (message: proto.IMessage, chat: string, context: OutgoingContext | undefined): proto.IMessage => {
  if (!context) return message
  const { quoted, mentions, timer } = context
  if (!quoted && !mentions?.length && !timer?.seconds) return message
  const inner = normalizeMessageContent(message)
  const part = Object.values(inner ?? {}).find(
    (value): value is CarriesContext => typeof value === 'object' && value !== null && !('messageSecret' in value),
  )
  if (!part) return message
  part.contextInfo = {
    ...part.contextInfo,
    ...(mentions?.length ? { mentionedJid: [...mentions] } : {}),
    ...(timer?.seconds ? expirationOf(timer) : {}),
    ...(quoted
      ? {
          stanzaId: quoted.messageId,
          participant: quoted.sender,
          // answered in private: the app finds the message in its group
          ...(quoted.chat !== chat && quoted.chat.endsWith('@g.us') ? { remoteJid: quoted.chat } : {}),
          quotedMessage: withText(withoutContext(proto.Message.decode(quoted.content)), quoted.text),
        }
      : {}),
  }
  return message
}

const { Initiator, Trigger } = proto.DisappearingMode

/** As WhatsApp's clients write it: the first message of a chat under the account's own setting tells that it is so. */
const expirationOf = ({ seconds, setAt, byDefault }: NonNullable<OutgoingContext['timer']>): proto.IContextInfo => ({
  expiration: seconds,
  ...(setAt > 0 ? { ephemeralSettingTimestamp: setAt } : {}),
  ...(byDefault
    ? {
        disappearingMode: {
          initiator: Initiator.INITIATED_BY_ME,
          trigger: Trigger.ACCOUNT_SETTING,
          initiatedByMe: true,
        },
      }
    : {}),
})

/** A text as it was edited since. */
const withText = (message: proto.IMessage, text: string | undefined): proto.IMessage => {
  if (text === undefined) return message
  const content = normalizeMessageContent(message) ?? message
  if (content.conversation) content.conversation = text
  else if (content.extendedTextMessage) content.extendedTextMessage.text = text
  return message
}

/** A quoted message does not carry along what it quoted itself. */
const withoutContext = (message: proto.IMessage): proto.IMessage => {
  const content = normalizeMessageContent(message) ?? message
  for (const value of Object.values(content))
    if (typeof value === 'object' && value !== null && 'contextInfo' in value) value.contextInfo = null
  return content
}

/** What a user may report carries a secret that the report is made with. */
const isReportable = (message: proto.IMessage): boolean =>
  !message.protocolMessage && !message.reactionMessage && !message.pollUpdateMessage

const withSecret = (message: proto.IMessage): proto.IMessage => ({
  ...message,
  messageContextInfo: {
    ...message.messageContextInfo,
    messageSecret: message.messageContextInfo?.messageSecret ?? randomBytes(32),
  },
})

/** Attributes and nodes that the stanza of a content needs beside the content itself (as WhatsApp Web sends them). */
export const stanzaExtras = (message: proto.IMessage, chat: string) => {
  const content = normalizeMessageContent(message)
  const protocol = content?.protocolMessage
  const meta = (polltype: string) => [{ tag: 'meta', attrs: { polltype } }]
  if (protocol?.type === proto.Message.ProtocolMessage.Type.REVOKE)
    // 8 = an admin takes back another's message in a group, 7 = one's own
    return { additionalAttributes: { edit: chat.endsWith('@g.us') && !protocol.key?.fromMe ? '8' : '7' } }
  if (protocol?.type === proto.Message.ProtocolMessage.Type.MESSAGE_EDIT) return { additionalAttributes: { edit: '1' } }
  if (content?.pinInChatMessage) return { additionalAttributes: { edit: '2' } }
  if (content?.pollCreationMessage || content?.pollCreationMessageV2 || content?.pollCreationMessageV3)
    return { additionalNodes: meta('creation') }
  if (content?.pollUpdateMessage) return { additionalNodes: meta('vote') }
  return {}
}
