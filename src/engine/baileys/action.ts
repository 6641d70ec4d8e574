import { normalizeMessageContent, type proto, toNumber, type WAMessage } from 'baileys'
import { boundId } from '../../kernel/ids.ts'
import type { MessageAction } from '../../kernel/message-facts.ts'
import type { LidMap } from './lid-map.ts'
import type { Self } from './occurrence.ts'
import { openPollVote } from './poll-vote.ts'

/** How far ahead of WhatsApp's clock a sender's own may be; beyond that WhatsApp's counts. */
const CLOCK_SKEW_MS = 60_000

export interface ActionContext {
  readonly self: Self
  readonly lidMap: LidMap
  /** `edit` of the stanza: 8 = an admin of the group takes back another's message, which WhatsApp has checked. */
  readonly editAttribute: string | undefined
  /** The encoded content of a stored message. */
  readonly contentOf: (chat: string, messageId: string) => Promise<Uint8Array | undefined>
}

/** What a message does to another one; undefined when it is one to read. `message` as Baileys has cleaned it. */
export const actionOf = async (message: WAMessage, context: ActionContext): Promise<MessageAction | undefined> => {
  const content = normalizeMessageContent(message.message ?? undefined)
  const { reactionMessage: reaction, protocolMessage: protocol, pollUpdateMessage: vote } = content ?? {}
  const stamp = toNumber(message.messageTimestamp) * 1000
  const timed = (ms: number | Long | null | undefined): number => {
    const given = toNumber(ms)
    return given > 0 && given <= stamp + CLOCK_SKEW_MS ? given : stamp
  }
  if (reaction?.key?.id)
    return {
      kind: 'reaction',
      target: { messageId: boundId(reaction.key.id), fromMe: reaction.key.fromMe === true },
      emoji: reaction.text ?? '',
      at: timed(reaction.senderTimestampMs),
    }
  if (protocol?.key?.id && protocol.type === 14)
    return {
      kind: 'edit',
      target: { messageId: boundId(protocol.key.id) },
      text: textOf(protocol.editedMessage),
      at: timed(protocol.timestampMs),
    }
  if (protocol?.key?.id && (protocol.type ?? 0) === 0)
    return {
      kind: 'revoke',
      target: { messageId: boundId(protocol.key.id) },
      byAdmin: context.editAttribute === '8',
      at: stamp,
    }
  if (vote?.pollCreationMessageKey?.id)
    return {
      kind: 'poll_vote',
      target: { messageId: boundId(vote.pollCreationMessageKey.id) },
      options: await readVote(message, vote, context),
      at: timed(vote.senderTimestampMs),
    }
  return undefined
}

type Long = Parameters<typeof toNumber>[0]

const textOf = (message: proto.IMessage | null | undefined): string => {
  const content = normalizeMessageContent(message ?? undefined)
  const { imageMessage, videoMessage, documentMessage } = content ?? {}
  return (
    content?.conversation ||
    content?.extendedTextMessage?.text ||
    imageMessage?.caption ||
    videoMessage?.caption ||
    documentMessage?.caption ||
    ''
  )
}

/** The chosen options of a vote; undefined when the poll is unknown or the vote does not open. */
const readVote = async (
  { key }: WAMessage,
  update: proto.Message.IPollUpdateMessage,
  { self, lidMap, contentOf }: ActionContext,
): Promise<readonly string[] | undefined> => {
  const pollKey = update.pollCreationMessageKey!
  const poll = await contentOf(key.remoteJid ?? '', pollKey.id!)
  if (!poll || !update.vote) return undefined
  const own = [self.pn, self.lid]
  const author = key.fromMe ? own : [key.participant || key.remoteJid, key.participantAlt, key.remoteJidAlt]
  const creator = pollKey.fromMe ? own : [pollKey.participant, pollKey.remoteJid]
  return openPollVote(poll, pollKey.id!, update.vote, {
    // either may have been named by number or by LID when the vote was sealed
    voters: await bothNames(author, lidMap),
    creators: await bothNames([...creator, ...own, ...author], lidMap),
  })
}

const bothNames = async (jids: readonly (string | null | undefined)[], lidMap: LidMap): Promise<readonly string[]> => {
  const names = new Set<string>()
  for (const given of jids) {
    if (!given) continue
    const jid = given.replace(/:\d+@/, '@')
    names.add(jid)
    const other = jid.endsWith('@lid')
      ? await lidMap.storedPn(jid)
      : jid.endsWith('@s.whatsapp.net')
        ? await lidMap.storedLid(jid)
        : undefined
    if (other) names.add(other.replace(/:\d+@/, '@'))
  }
  return [...names].filter((name) => /@(lid|s\.whatsapp\.net)$/.test(name))
}
