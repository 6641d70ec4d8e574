import { getContentType, normalizeMessageContent, type proto } from 'baileys'

/** What a message says, apart from who said it where. */
export interface ContentFacts {
  readonly type: string
  readonly text: string | undefined
  readonly quotedMessageId: string | undefined
  /** The message that an edit, a revocation or a reaction is about. */
  readonly targetMessageId: string | undefined
  readonly mentions: readonly string[]
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
    text: part?.text ?? part?.caption ?? part?.name ?? undefined,
    quotedMessageId: part?.contextInfo?.stanzaId ?? undefined,
    mentions: part?.contextInfo?.mentionedJid ?? [],
  })
}

interface PartWithWords {
  readonly text?: string | null
  readonly caption?: string | null
  readonly name?: string | null
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
  return type === 'protocol' || (type === 'unknown' && Boolean(message?.senderKeyDistributionMessage))
}
