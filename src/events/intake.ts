import type { Intake, MessageOccurrence, Occurrence } from '../engine/index.ts'
import { ParleyError } from '../kernel/errors.ts'
import type { IntakeRecord, IntakeRepository, NewEvent, NewMessage, ReceiptChange } from '../storage/index.ts'
import type { Events } from './events.ts'
import { eventsOfOccurrence } from './from-occurrence.ts'
import type { OwnAccount } from './own-account.ts'

interface Dependencies {
  readonly repository: Pick<IntakeRepository, 'commit'>
  readonly events: Events
  /** The account of a device from memory: called for every stanza. */
  accountOf(deviceId: string): OwnAccount | undefined
}

/** Rule 1 of durability: what happened becomes one transaction, then the dispatcher hears of it. */
export const createIntake =
  ({ repository, events, accountOf }: Dependencies): Intake =>
  async (deviceId, occurrence, mayCommit) => {
    let committed: readonly NewEvent[] = []
    const record: IntakeRecord = {
      ...writesOf(occurrence),
      events: (ids) => {
        if (mayCommit?.() === false)
          throw new ParleyError('storage_unavailable', 'what came before this could not be stored')
        committed = events.prepare(deviceId, eventsOfOccurrence(occurrence, ids, accountOf(deviceId)))
        return committed
      },
    }
    await repository.commit(deviceId, record)
    events.committed(deviceId, committed)
  }

const writesOf = (occurrence: Occurrence): Omit<IntakeRecord, 'events'> => {
  const common = {
    key: occurrence.key,
    chat: occurrence.chat,
    chatParty: occurrence.chatParty,
    senderParty: occurrence.senderParty,
  }
  if (occurrence.kind === 'chat_change') {
    const { change, at } = occurrence
    return { ...common, chatChange: { change, at }, named: 'message' in change ? change.message.sender : undefined }
  }
  if (occurrence.kind === 'group_timer') return { ...common, timer: occurrence.timer }
  if (occurrence.kind === 'receipt') {
    const receipts = occurrence.messageIds.map(
      (messageId): ReceiptChange => ({
        messageId,
        receipt: occurrence.receipt,
        recipient: occurrence.sender,
        at: occurrence.timestamp * 1000,
      }),
    )
    return { ...common, receipts }
  }
  return {
    ...common,
    senderParty: { ...occurrence.senderParty, pushName: occurrence.pushName },
    // Talk between our own devices (key shares, history notifications) is no message of the chat.
    ...(occurrence.type === 'protocol' ? {} : { message: messageOf(occurrence) }),
    ...(occurrence.timer ? { timer: occurrence.timer } : {}),
  }
}

const messageOf = (occurrence: MessageOccurrence): NewMessage => ({
  chat: occurrence.chat,
  messageId: occurrence.messageId,
  sender: occurrence.sender,
  fromMe: occurrence.fromMe,
  type: occurrence.type,
  text: occurrence.text,
  quotedMessageId: occurrence.quotedMessageId,
  pushName: occurrence.pushName,
  timestamp: occurrence.timestamp,
  // What we sent from the phone or another device is at WhatsApp already.
  state: occurrence.fromMe ? 'server_ack' : 'received',
  failureCode: undefined,
  content: occurrence.content,
  ...(occurrence.action ? { action: occurrence.action } : {}),
  ...(occurrence.details ? { details: occurrence.details } : {}),
  ...(occurrence.mentions.length > 0 ? { mentions: occurrence.mentions } : {}),
})
