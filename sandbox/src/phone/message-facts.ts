// What a phone shows of a message beside its text.
import { proto } from 'baileys/WAProto/index.js'
import type { PhoneMessage } from './entries.ts'
import { summarize, unwrap } from './message-content.ts'
import { openVote, readPoll } from './polls.ts'

/** @param find a message that the phone knows, by id */
export function factsOf(message: PhoneMessage, find: (id: string) => PhoneMessage | undefined) {
  const content = unwrap(message.content)
  const part = Object.values(content).find(
    (value): value is { contextInfo: proto.IContextInfo } =>
      typeof value === 'object' && value !== null && 'contextInfo' in value && Boolean(value.contextInfo),
  )
  const context = part?.contextInfo
  const place = content.locationMessage
  const cards = content.contactMessage ? [content.contactMessage] : (content.contactsArrayMessage?.contacts ?? [])
  const quoted = context?.quotedMessage ? summarize(context.quotedMessage)?.text : undefined
  const timer = content.protocolMessage?.ephemeralExpiration
  return {
    mentions: context?.mentionedJid ?? [],
    quoted_text: quoted ?? null,
    quoted_chat: context?.remoteJid || null,
    forwarded: context?.isForwarded === true,
    location: place
      ? {
          latitude: place.degreesLatitude ?? 0,
          longitude: place.degreesLongitude ?? 0,
          name: place.name || null,
          address: place.address || null,
        }
      : null,
    vcards: cards.map(({ vcard }) => vcard ?? ''),
    poll: readPoll(content) ?? null,
    vote: voteOf(message, content, find),
    disappearing_seconds: timer ?? null,
    expires_after: context?.expiration || null,
    timer_set_at: Number(context?.ephemeralSettingTimestamp ?? 0) || null,
    timer_by_default: context?.disappearingMode?.trigger === proto.DisappearingMode.Trigger.ACCOUNT_SETTING,
  }
}

function voteOf(message: PhoneMessage, content: proto.IMessage, find: (id: string) => PhoneMessage | undefined) {
  const update = content.pollUpdateMessage
  const pollId = update?.pollCreationMessageKey?.id
  if (!update?.vote || !pollId) return null
  const poll = find(pollId)
  const names = ({ from }: PhoneMessage) => [from.lidJid, from.jid]
  const options = poll && openVote(poll.content, pollId, update.vote, names(poll), names(message))
  return { poll_id: pollId, options: options ?? null }
}
