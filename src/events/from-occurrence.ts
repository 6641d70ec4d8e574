import { createHash } from 'node:crypto'
import type { MessageOccurrence, Occurrence, ReceiptOccurrence } from '../engine/index.ts'
import type { IntakeIds, ResolvedParty } from '../storage/index.ts'
import { isMediaType, mediaReceived } from './catalogue/media.ts'
import {
  messageDeleted,
  messageDelivered,
  messagePlayed,
  messageRead,
  messageReceived,
  messageUndecryptable,
} from './catalogue/messages.ts'
import { pollCreated, pollFieldsOf, pollUpdate, pollVote, pollVoteDecrypted } from './catalogue/polls.ts'
import { pushNameUpdate } from './catalogue/profile.ts'
import { draft, type EventDraft } from './draft.ts'
import { eventOfChatChange } from './from-chat-change.ts'
import { eventOfMerger } from './from-merger.ts'
import { eventOfMessageState } from './from-message-state.ts'
import { namesOf } from './identity.ts'
import { type OwnAccount, ownDigits } from './own-account.ts'

const RECEIPTS = { delivered: messageDelivered, read: messageRead, played: messagePlayed } as const

/**
 * The events of one occurrence, in order. Pure: it runs inside the intake's transaction, once the ids are known.
 * A message whose row we had already (our own send coming back, the same content under another stanza) gives none.
 */
export const eventsOfOccurrence = (
  occurrence: Occurrence,
  ids: IntakeIds,
  account: OwnAccount | undefined,
): readonly EventDraft[] => [
  ...mergersOf(occurrence, ids, account),
  ...renamingOf(occurrence, ids, account),
  ...eventsOfKind(occurrence, ids, account),
]

const eventsOfKind = (
  occurrence: Occurrence,
  ids: IntakeIds,
  account: OwnAccount | undefined,
): readonly EventDraft[] => {
  switch (occurrence.kind) {
    case 'message':
      return eventsOfMessage(occurrence, ids, account)
    case 'receipt':
      return eventsOfReceipt(occurrence, ids)
    case 'chat_change':
      return [eventOfChatChange(occurrence, ids, ownDigits(account))]
    case 'group_timer':
      return []
  }
}

const eventsOfMessage = (
  message: MessageOccurrence,
  ids: IntakeIds,
  account: OwnAccount | undefined,
): readonly EventDraft[] => {
  // Key shares, history notifications and the like are talk between our own devices.
  if (!ids.isNew || message.type === 'protocol') return []
  const common = { message_id: message.messageId, ...chatOf(message, ids), ...personOf(message, ids) }
  const when = (type: string) => ({
    orderKey: ids.conversationId,
    occurredAt: message.timestamp * 1000,
    // The message under its unchanging names, so that the same one by another stanza or JID is not told twice.
    dedupeKey: [type, ids.conversationId, message.fromMe ? 'me' : whoOf(message, ids), message.messageId].join(' '),
  })

  if (message.type === 'undecryptable')
    return [
      draft(
        messageUndecryptable,
        {
          jid: ownDigits(account),
          ...common,
          timestamp: message.timestamp,
          is_unavailable: message.unavailable !== undefined,
          unavailable_type: message.unavailable ?? '',
          fail_mode: '',
          failure: message.failure ?? null,
        },
        when(messageUndecryptable.name),
      ),
    ]

  if (message.type === 'revoke' && message.targetMessageId !== undefined)
    return [
      draft(
        messageDeleted,
        { ...common, message_id: message.targetMessageId, deleted_by: message.sender, timestamp: message.timestamp },
        when(messageDeleted.name),
      ),
    ]

  return [
    draft(
      messageReceived,
      {
        ...common,
        from_device: message.senderDevice,
        push_name: message.pushName ?? null,
        timestamp: message.timestamp,
        type: message.type,
        text: message.text ?? null,
        quoted_message_id: message.quotedMessageId ?? null,
        target_message_id: message.targetMessageId ?? null,
        mentions: [...message.mentions],
        offline: message.offline,
      },
      when(messageReceived.name),
    ),
    ...(isMediaType(message.type)
      ? [
          draft(
            mediaReceived,
            {
              jid: ownDigits(account),
              ...common,
              media_type: message.type,
            },
            when(mediaReceived.name),
          ),
        ]
      : []),
    ...eventsOfPoll(message, common, ownDigits(account), when),
  ]
}

/** A poll and its votes are told under names of their own as well. */
const eventsOfPoll = (
  message: MessageOccurrence,
  common: { readonly message_id: string } & ReturnType<typeof chatOf> & ReturnType<typeof personOf>,
  jid: string,
  when: (type: string) => { orderKey: string; occurredAt: number; dedupeKey: string },
): readonly EventDraft[] => {
  const { action, details, timestamp } = message
  const facts = { jid, ...common, timestamp }
  if (details?.poll) {
    return [draft(pollCreated, { ...facts, ...pollFieldsOf(details.poll) }, when(pollCreated.name))]
  }
  if (action?.kind !== 'poll_vote') return []
  const chosen = action.options ?? []
  const vote = {
    ...facts,
    poll_id: action.target.messageId,
    decrypted: action.options !== undefined,
    selected_options: [...chosen],
  }
  const told = [draft(pollVote, vote, when(pollVote.name)), draft(pollUpdate, vote, when(pollUpdate.name))]
  if (action.options === undefined) return told
  const hashes = chosen.map((name) => createHash('sha256').update(name, 'utf8').digest('base64'))
  const { decrypted: _, ...rest } = vote
  return [...told, draft(pollVoteDecrypted, { ...rest, selected_options: hashes }, when(pollVoteDecrypted.name))]
}

const eventsOfReceipt = (receipt: ReceiptOccurrence, ids: IntakeIds): readonly EventDraft[] => {
  const definition = RECEIPTS[receipt.receipt]
  const common = { ...chatOf(receipt, ids), sender: receipt.sender, ...personOf(receipt, ids) }
  const told = receipt.messageIds.map((messageId) =>
    draft(
      definition,
      { message_id: messageId, ...common, timestamp: receipt.timestamp },
      {
        orderKey: ids.conversationId,
        occurredAt: receipt.timestamp * 1000,
        dedupeKey: [definition.name, ids.conversationId, whoOf(receipt, ids), messageId].join(' '),
      },
    ),
  )
  const moved = ids.moved.map(({ messageId, state }) =>
    eventOfMessageState(
      { messageId, state, chat: receipt.chat, conversationId: ids.conversationId, failureCode: undefined },
      ids.chatParty,
      receipt.timestamp * 1000,
    ),
  )
  return [...told, ...moved]
}

const mergersOf = (occurrence: Occurrence, ids: IntakeIds, account: OwnAccount | undefined): readonly EventDraft[] => {
  const merged = new Map<string, ResolvedParty>()
  for (const party of [ids.chatParty, ids.senderParty])
    if (party?.mergedContactId !== undefined) merged.set(party.mergedContactId, party)
  return [...merged].map(([mergedContactId, party]) =>
    eventOfMerger({
      account,
      party: { ...party, mergedContactId },
      conversationId: party.contactId === ids.chatParty?.contactId ? ids.conversationId : party.conversationId,
      orderKey: ids.conversationId,
      at: occurrence.timestamp * 1000,
    }),
  )
}

const renamingOf = (occurrence: Occurrence, ids: IntakeIds, account: OwnAccount | undefined): readonly EventDraft[] => {
  const { senderParty } = ids
  if (occurrence.kind !== 'message' || occurrence.fromMe || senderParty?.formerPushName === undefined) return []
  const { pn, lid } = namesOf(occurrence.sender, senderParty)
  return [
    draft(
      pushNameUpdate,
      {
        jid: ownDigits(account),
        target: occurrence.sender,
        target_alt: (occurrence.sender === lid ? pn : lid) ?? '',
        target_pn: pn,
        target_lid: lid,
        contact_id: senderParty.contactId,
        conversation_id: senderParty.contactId === ids.chatParty?.contactId ? ids.conversationId : null,
        old: senderParty.formerPushName,
        new: occurrence.pushName ?? '',
      },
      { orderKey: ids.conversationId, occurredAt: occurrence.timestamp * 1000 },
    ),
  ]
}

const chatOf = (occurrence: Occurrence, ids: IntakeIds) => ({
  chat: occurrence.chat,
  chat_pn: ids.chatParty?.pn ?? occurrence.chatParty?.pn ?? null,
  chat_lid: ids.chatParty?.lid ?? occurrence.chatParty?.lid ?? null,
  conversation_id: ids.conversationId,
  is_group: occurrence.isGroup,
})

const personOf = (occurrence: Occurrence, ids: IntakeIds) => ({
  from: occurrence.sender,
  from_pn: ids.senderParty?.pn ?? occurrence.senderParty.pn ?? null,
  from_lid: ids.senderParty?.lid ?? occurrence.senderParty.lid ?? null,
  contact_id: ids.senderParty?.contactId ?? null,
  is_from_me: occurrence.fromMe,
})

const whoOf = (occurrence: Occurrence, ids: IntakeIds): string => ids.senderParty?.contactId ?? occurrence.sender
