import {
  type BinaryNode,
  getBinaryNodeChild,
  getContentType,
  jidNormalizedUser,
  normalizeMessageContent,
  proto,
  toNumber,
} from 'baileys'
import { boundId } from '../../kernel/ids.ts'
import { bareJid, kindOfJid } from '../../kernel/jid.ts'
import type { ChatTimer } from '../../kernel/message-facts.ts'
import type { GroupTimerOccurrence } from '../index.ts'
import type { LidMap } from './lid-map.ts'
import type { Self } from './occurrence.ts'

const { EPHEMERAL_SETTING } = proto.Message.ProtocolMessage.Type
/** A hundred years: nobody means more. */
const MOST_SECONDS = 3_155_760_000

/** A time that nobody can have meant counts as not said. */
const timeOf = (given: number): number => (Number.isSafeInteger(given) && given > 0 && given < 2 ** 41 ? given : 0)

const secondsOf = (given: unknown): number | undefined => {
  const seconds = Number(given ?? 0)
  return Number.isInteger(seconds) && seconds >= 0 && seconds <= MOST_SECONDS ? seconds : undefined
}

/** True for a message that sets the timer of its chat. */
export const setsTimer = (message: proto.IMessage | null | undefined): boolean =>
  normalizeMessageContent(message ?? undefined)?.protocolMessage?.type === EPHEMERAL_SETTING

/**
 * The timer that a message sets, or that it says its one-to-one chat has: who begins a chat under the default of their
 * account says so in no other way. `sentAt`: seconds since the epoch; nothing is set later than it is sent.
 */
export const timerIn = (message: proto.IMessage | null | undefined, sentAt: number): ChatTimer | undefined => {
  const content = normalizeMessageContent(message ?? undefined)
  const protocol = content?.protocolMessage
  if (protocol) {
    const seconds = protocol.type === EPHEMERAL_SETTING ? secondsOf(protocol.ephemeralExpiration) : undefined
    if (seconds === undefined) return undefined
    return { seconds, setAt: Math.min(timeOf(toNumber(protocol.ephemeralSettingTimestamp)) || sentAt, sentAt) }
  }
  const field = getContentType(content)
  const part = field && content?.[field]
  const context = typeof part === 'object' && part && 'contextInfo' in part ? part.contextInfo : undefined
  const seconds = context?.expiration ? secondsOf(context.expiration) : undefined
  if (seconds === undefined) return undefined
  return { seconds, setAt: Math.min(timeOf(toNumber(context?.ephemeralSettingTimestamp)), sentAt) }
}

/** The timer of a group as `<group>` has it: seconds, 0 = off. */
export const timerOfGroup = (group: BinaryNode | undefined): number =>
  secondsOf(getBinaryNodeChild(group, 'ephemeral')?.attrs.expiration) ?? 0

/** What a notification about a group says of its timer: that it was changed, or what it is in a group that is new to us. */
const timerNotified = (node: BinaryNode): number | undefined => {
  const changed = getBinaryNodeChild(node, 'ephemeral')
  if (changed) return secondsOf(changed.attrs.expiration)
  if (getBinaryNodeChild(node, 'not_ephemeral')) return 0
  const group = getBinaryNodeChild(getBinaryNodeChild(node, 'create'), 'group')
  return group && timerOfGroup(group)
}

/** Undefined when the notification says nothing about the timer of a group. */
export const toGroupTimer = async (
  node: BinaryNode,
  self: Self,
  lidMap: LidMap,
): Promise<GroupTimerOccurrence | undefined> => {
  const { attrs } = node
  const chat = boundId(bareJid(attrs.from ?? ''))
  if (attrs.type !== 'w:gp2' || kindOfJid(chat) !== 'group') return undefined
  const seconds = timerNotified(node)
  if (seconds === undefined) return undefined
  const sender = boundId(attrs.participant ? jidNormalizedUser(attrs.participant) : chat)
  const isLid = kindOfJid(sender) === 'lid'
  const [pn, lid] = isLid
    ? [attrs.participant_pn ? jidNormalizedUser(attrs.participant_pn) : await lidMap.storedPn(sender), sender]
    : [kindOfJid(sender) === 'pn' ? sender : undefined, undefined]
  const fromMe = sender === self.pn || sender === self.lid
  const setAt = timeOf(Number(attrs.t))
  return {
    kind: 'group_timer',
    key: `t:${chat}:${boundId(attrs.id ?? '')}:${setAt}`,
    chat,
    chatParty: undefined,
    sender,
    senderParty: fromMe ? self : { pn: pn && boundId(pn), lid },
    fromMe,
    isGroup: true,
    timestamp: setAt,
    timer: { seconds, setAt },
  }
}
