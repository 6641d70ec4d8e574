import { getContentType, normalizeMessageContent, type proto } from 'baileys'
import type { MessageDetails } from '../../kernel/message-facts.ts'
import { setsTimer } from './chat-timer.ts'

/** What a message says, apart from who said it where. */
export interface ContentFacts {
  readonly type: string
  readonly text: string | undefined
  readonly quotedMessageId: string | undefined
  /** The message that an edit, a revocation or a reaction is about. */
  readonly targetMessageId: string | undefined
  readonly mentions: readonly string[]
  readonly details?: MessageDetails | undefined
}

const TYPES: Readonly<Record<string, string>> = {
  conversation: 'text',
  extendedTextMessage: 'text',
  imageMessage: 'image',
  videoMessage: 'video',
  ptvMessage: 'video',
  audioMessage: 'audio',
  documentMessage: 'document',
  stickerMessage: 'sticker',
  locationMessage: 'location',
  liveLocationMessage: 'location',
  contactMessage: 'contact',
  contactsArrayMessage: 'contact',
  pollCreationMessage: 'poll',
  pollCreationMessageV2: 'poll',
  pollCreationMessageV3: 'poll',
  pollCreationMessageV5: 'poll',
  pollUpdateMessage: 'poll_vote',
  reactionMessage: 'reaction',
  encReactionMessage: 'reaction',
  groupInviteMessage: 'group_invite',
  eventMessage: 'event',
  protocolMessage: 'protocol',
}

/** Protocol message types that mean something to a person; the others are the devices' own business. */
const EDIT = 14
const REVOKE = 0

export const readContent = (message: proto.IMessage | null | undefined): ContentFacts => {
  const content = normalizeMessageContent(message ?? undefined)
  const field = getContentType(content)
  if (!content || !field) return facts('unknown')
  if (field === 'protocolMessage') return readProtocol(content.protocolMessage)
  const type = TYPES[field] ?? 'unknown'
  const part = content[field] as PartWithWords | string | null | undefined
  if (typeof part === 'string') return facts(type, { text: part })
  if (type === 'reaction') return facts(type, { text: part?.text ?? '', targetMessageId: part?.key?.id ?? undefined })
  return facts(type, {
    details: detailsOf(content),
    text: part?.text ?? part?.caption ?? part?.name ?? part?.displayName ?? undefined,
    quotedMessageId: part?.contextInfo?.stanzaId ?? undefined,
    mentions: part?.contextInfo?.mentionedJid ?? [],
  })
}

interface PartWithWords {
  readonly text?: string | null
  readonly caption?: string | null
  readonly name?: string | null
  readonly displayName?: string | null
  readonly key?: proto.IMessageKey | null
  readonly contextInfo?: proto.IContextInfo | null
}

const facts = (type: string, known: Partial<ContentFacts> = {}): ContentFacts => ({
  type,
  text: undefined,
  quotedMessageId: undefined,
  targetMessageId: undefined,
  mentions: [],
  ...known,
})

const detailsOf = (content: proto.IMessage): MessageDetails | undefined => {
  const poll =
    content.pollCreationMessage ??
    content.pollCreationMessageV2 ??
    content.pollCreationMessageV3 ??
    content.pollCreationMessageV5
  if (poll)
    return {
      poll: {
        question: poll.name ?? '',
        options: (poll.options ?? []).map(({ optionName }) => optionName ?? ''),
        selectable: poll.selectableOptionsCount ?? 0,
      },
    }
  const place = content.locationMessage ?? content.liveLocationMessage
  if (place) {
    const { name, address } = place as proto.Message.ILocationMessage
    return {
      location: {
        latitude: place.degreesLatitude ?? 0,
        longitude: place.degreesLongitude ?? 0,
        ...(name ? { name } : {}),
        ...(address ? { address } : {}),
      },
    }
  }
  const cards = content.contactMessage ? [content.contactMessage] : content.contactsArrayMessage?.contacts
  return cards
    ? { contacts: cards.map(({ displayName, vcard }) => ({ name: displayName ?? '', vcard: vcard ?? '' })) }
    : undefined
}

const readProtocol = (protocol: proto.Message.IProtocolMessage | null | undefined): ContentFacts => {
  const targetMessageId = protocol?.key?.id ?? undefined
  if (protocol?.type === EDIT) {
    const { text, mentions } = readContent(protocol.editedMessage)
    return facts('edit', { text, mentions, targetMessageId })
  }
  if (protocol?.type === REVOKE && targetMessageId) return facts('revoke', { targetMessageId })
  return facts('protocol')
}

/** True for what only devices exchange (key shares, history, sender keys): no message for anybody to read. */
export const isDeviceTalk = (message: proto.IMessage | null | undefined): boolean => {
  const { type } = readContent(message)
  return (
    (type === 'protocol' && !setsTimer(message)) ||
    (type === 'unknown' && Boolean(message?.senderKeyDistributionMessage))
  )
}
