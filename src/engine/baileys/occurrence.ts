import { createHash } from 'node:crypto'
import { type BinaryNode, jidDecode, proto, toNumber, type WAMessage } from 'baileys'
import { boundId } from '../../kernel/ids.ts'
import { bareJid as bareJidOf, kindOfJid } from '../../kernel/jid.ts'
import type { MessageOccurrence, OccurrenceParty, ReceiptOccurrence } from '../index.ts'
import { actionOf } from './action.ts'
import { timerIn } from './chat-timer.ts'
import type { LidMap } from './lid-map.ts'
import { readContent } from './message-content.ts'

/** Who we are, as far as the mapping needs it. Bare JIDs. */
export interface Self {
  readonly pn: string
  readonly lid: string | undefined
}

/** A decrypted (or undecryptable) message stanza as an occurrence. `message` is Baileys' reading of `node`. */
export const toMessageOccurrence = async (
  node: BinaryNode,
  message: WAMessage,
  self: Self,
  lidMap: LidMap,
  /** The encoded content of a stored message: a vote is opened with its poll. */
  contentOf: (chat: string, messageId: string) => Promise<Uint8Array | undefined> = async () => undefined,
): Promise<MessageOccurrence> => {
  const { key } = message
  const fromMe = key.fromMe === true
  const chat = bareJid(key.remoteJid || node.attrs.from || '')
  const isDirect = kindOfJid(chat) === 'pn' || kindOfJid(chat) === 'lid'
  // Baileys leaves an absent participant as an empty string
  const author = key.participant || (isDirect && fromMe ? node.attrs.from : key.remoteJid) || chat
  const sender = bareJid(author)
  const senderParty = fromMe ? self : await partyOf(sender, fromMe ? undefined : alternativeOf(node), lidMap)
  const chatParty = isDirect ? await chatPartyOf(node, chat, fromMe, senderParty, lidMap) : undefined
  const undecryptable = message.messageStubType === proto.WebMessageInfo.StubType.CIPHERTEXT && !message.message
  const content = readContent(message.message)
  const messageId = boundId(key.id ?? '')
  const type = undecryptable ? 'undecryptable' : content.type
  return {
    kind: 'message',
    key: `${undecryptable ? 'u' : 'm'}:${chat}:${sender}:${messageId}`,
    messageId,
    chat,
    chatParty,
    sender,
    senderParty,
    senderDevice: jidDecode(node.attrs.participant ?? node.attrs.from)?.device ?? 0,
    fromMe,
    isGroup: kindOfJid(chat) === 'group',
    timestamp: secondsOf(toNumber(message.messageTimestamp)),
    pushName: message.pushName ?? undefined,
    type,
    text: content.text,
    quotedMessageId: content.quotedMessageId && boundId(content.quotedMessageId),
    targetMessageId: content.targetMessageId && boundId(content.targetMessageId),
    mentions: content.mentions,
    offline: node.attrs.offline !== undefined,
    unavailable: undecryptable ? unavailableType(node) : undefined,
    failure: undecryptable ? (message.messageStubParameters?.[0] ?? 'not decrypted') : undefined,
    action: undecryptable
      ? undefined
      : await actionOf(message, { self, lidMap, editAttribute: node.attrs.edit, contentOf }),
    details: content.details,
    // in a group WhatsApp's server says what holds
    timer: isDirect ? timerIn(message.message, secondsOf(toNumber(message.messageTimestamp))) : undefined,
    content: message.message ? proto.Message.encode(message.message).finish() : undefined,
  }
}

/** Ids and names are as long as whoever wrote them likes; what is stored and indexed has a bound. */
const bareJid = (text: string): string => boundId(bareJidOf(text))

/** A time that nobody can have meant becomes 0: it must not keep the stanza from being stored. 2^41 s are 70 000 years. */
const secondsOf = (value: number): number => (Number.isSafeInteger(value) && value >= 0 && value < 2 ** 41 ? value : 0)

/** Receipt types that tell something about a message; the others are the devices' own business. */
const RECEIPTS: Readonly<Record<string, ReceiptOccurrence['receipt']>> = {
  '': 'delivered',
  inactive: 'delivered',
  read: 'read',
  'read-self': 'read',
  played: 'played',
  'played-self': 'played',
}

/** A receipt stanza as an occurrence; undefined for types that say nothing to a caller (retry, sender, peer_msg, ...). */
export const toReceiptOccurrence = async (
  node: BinaryNode,
  self: Self,
  lidMap: LidMap,
): Promise<ReceiptOccurrence | undefined> => {
  const { id, from, participant, recipient, type = '', t } = node.attrs
  const receipt = RECEIPTS[type]
  if (!receipt || !id || !from) return undefined
  const reader = bareJid(participant ?? from)
  const fromMe = reader === self.pn || reader === self.lid
  const inGroup = kindOfJid(from) === 'group' || kindOfJid(from) === 'broadcast'
  const chat = bareJid(inGroup ? from : fromMe ? (recipient ?? from) : from)
  const senderParty = fromMe ? self : await partyOf(reader, alternativeOf(node), lidMap)
  const isDirect = !inGroup && (kindOfJid(chat) === 'pn' || kindOfJid(chat) === 'lid')
  const messageIds = [...new Set([id, ...listedIds(node)].map(boundId))]
  const digest = createHash('sha256').update(messageIds.join()).digest('base64url').slice(0, 22)
  return {
    kind: 'receipt',
    key: `r:${type}:${chat}:${bareJid(participant ?? from)}:${digest}`,
    receipt,
    messageIds,
    chat,
    chatParty: isDirect ? (fromMe ? await partyOf(chat, undefined, lidMap) : senderParty) : undefined,
    sender: reader,
    senderParty,
    fromMe,
    isGroup: kindOfJid(from) === 'group',
    timestamp: secondsOf(Number(t)),
  }
}

const unavailableType = (node: BinaryNode): string | undefined =>
  // a node without a type still says that there is no content for this device
  Array.isArray(node.content)
    ? node.content.filter((child) => child.tag === 'unavailable').map(({ attrs }) => attrs.type ?? '')[0]
    : undefined

const listedIds = (node: BinaryNode): string[] => {
  const list = Array.isArray(node.content) ? node.content.find((child) => child.tag === 'list') : undefined
  const items = Array.isArray(list?.content) ? list.content : []
  return items.flatMap((item) => (item.tag === 'item' && item.attrs.id ? [item.attrs.id] : []))
}

/** The other name of whoever sent the stanza: a LID sender comes with its PN, a PN sender with its LID. */
const alternativeOf = ({ attrs }: BinaryNode): string | undefined =>
  attrs.participant_pn ?? attrs.sender_pn ?? attrs.participant_lid ?? attrs.sender_lid

const chatPartyOf = (
  node: BinaryNode,
  chat: string,
  fromMe: boolean,
  senderParty: OccurrenceParty,
  lidMap: LidMap,
): Promise<OccurrenceParty> | OccurrenceParty => {
  if (!fromMe) return senderParty
  const { peer_recipient_pn, recipient_pn, peer_recipient_lid, recipient_lid } = node.attrs
  return partyOf(chat, peer_recipient_pn ?? recipient_pn ?? peer_recipient_lid ?? recipient_lid, lidMap)
}

const partyOf = async (jid: string, alternative: string | undefined, lidMap: LidMap): Promise<OccurrenceParty> => {
  const other = alternative && bareJid(alternative)
  if (kindOfJid(jid) === 'lid')
    return { lid: jid, pn: other && kindOfJid(other) === 'pn' ? other : await lidMap.storedPn(jid) }
  if (kindOfJid(jid) === 'pn')
    return { pn: jid, lid: other && kindOfJid(other) === 'lid' ? other : await lidMap.storedLid(jid) }
  return { pn: undefined, lid: undefined }
}
