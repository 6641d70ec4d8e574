import type { Clock } from '../kernel/clock.ts'
import type { MergedParty, NewEvent } from '../storage/index.ts'
import { contactMerged } from './catalogue/contact.ts'
import { draft, type EventDraft } from './draft.ts'
import type { Events } from './events.ts'
import { type OwnAccount, ownDigits } from './own-account.ts'

interface Merger {
  readonly account: OwnAccount | undefined
  readonly party: MergedParty
  /** Their one-to-one conversation, if there is one. */
  readonly conversationId: string | undefined
  /** Goes out in the order of this conversation. */
  readonly orderKey: string
  /** ms */
  readonly at: number
}

/** Two contacts turned out to be one. */
export const eventOfMerger = ({ account, party, conversationId, orderKey, at }: Merger): EventDraft =>
  draft(
    contactMerged,
    {
      jid: ownDigits(account),
      contact_id: party.contactId,
      merged_contact_id: party.mergedContactId,
      pn: party.pn ?? null,
      lid: party.lid ?? null,
      conversation_id: conversationId ?? null,
      merged_conversation_id: party.mergedConversationId ?? null,
    },
    { orderKey, occurredAt: at, dedupeKey: `${contactMerged.name} ${party.mergedContactId}` },
  )

/** For sends: looking up the number of a one-to-one chat may show who is behind it. */
export const tellMergers = (deps: {
  readonly events: Pick<Events, 'prepare' | 'committed'>
  readonly clock: Pick<Clock, 'now'>
  accountOf(deviceId: string): OwnAccount | undefined
}) => ({
  eventsOf: (deviceId: string, party: MergedParty, conversationId: string): readonly NewEvent[] => {
    const facts = { account: deps.accountOf(deviceId), party, conversationId, orderKey: conversationId }
    return deps.events.prepare(deviceId, [eventOfMerger({ ...facts, at: deps.clock.now() })])
  },
  onEvents: (deviceId: string, committed: readonly NewEvent[]): void => deps.events.committed(deviceId, committed),
})
