// What a person does to messages, as the messages that tell the others of it.
import { proto } from 'baileys/WAProto/index.js'
import { isGroup } from '../wire/jid.ts'
import type { PhoneMessage } from './entries.ts'
import { sealVote } from './polls.ts'

/** A message and the `edit` attribute of its stanza. */
export interface Deed {
  readonly chat: string
  readonly content: proto.IMessage
  readonly edit?: string
}

const { Type } = proto.Message.ProtocolMessage

function keyOf({ chat, messageId, fromMe, from }: PhoneMessage): proto.IMessageKey {
  return { remoteJid: chat, id: messageId, fromMe, ...(isGroup(chat) && { participant: from.lidJid }) }
}

/** An empty emoji takes the reaction back. */
export function reactTo(target: PhoneMessage, emoji: string, now: number): Deed {
  const reactionMessage = { key: keyOf(target), text: emoji, senderTimestampMs: now }
  return { chat: target.chat, content: { reactionMessage } }
}

export function edit(target: PhoneMessage, text: string, now: number): Deed {
  const editedMessage = { conversation: text }
  const protocolMessage = { key: keyOf(target), type: Type.MESSAGE_EDIT, editedMessage, timestampMs: now }
  return { chat: target.chat, content: { protocolMessage }, edit: '1' }
}

/** Deletes for everybody; another's message in a group as its admin. */
export function revoke(target: PhoneMessage): Deed {
  const protocolMessage = { key: keyOf(target), type: Type.REVOKE }
  return { chat: target.chat, content: { protocolMessage }, edit: target.fromMe ? '7' : '8' }
}

/** Sets after how long messages of a one-to-one chat disappear; 0 = they stay. */
export function setTimer(chat: string, seconds: number, now: number): Deed {
  const ephemeralSettingTimestamp = Math.floor(now / 1000)
  const protocolMessage = { type: Type.EPHEMERAL_SETTING, ephemeralExpiration: seconds, ephemeralSettingTimestamp }
  return { chat, content: { protocolMessage } }
}

/** A text under a timer, as clients write it in a chat that has one. */
export function timedText(chat: string, text: string, seconds: number, setAt: number): Deed {
  const contextInfo = { expiration: seconds, ephemeralSettingTimestamp: setAt }
  return { chat, content: { extendedTextMessage: { text, contextInfo } } }
}

/** @param voter LID address of the person who votes */
export function voteIn(poll: PhoneMessage, options: readonly string[], voter: string, now: number): Deed {
  const vote = sealVote(poll.content, poll.messageId, { creator: poll.from.lidJid, voter }, options)
  const pollUpdateMessage = { pollCreationMessageKey: keyOf(poll), vote, senderTimestampMs: now }
  return { chat: poll.chat, content: { pollUpdateMessage } }
}
