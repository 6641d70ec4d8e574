import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { MessageOccurrence, ReceiptOccurrence } from '../engine/index.ts'
import type { IntakeIds } from '../storage/index.ts'
import { eventsOfOccurrence } from './from-occurrence.ts'
import { faultsOfPayload } from './validate.ts'

const PN = '6281234567890@s.whatsapp.net'
const LID = '182736455463728@lid'
const account = { jid: '6289876543210:12@s.whatsapp.net' }
const CONVERSATION = '0b1f6a52-2f0e-4c39-8f0c-4be3f1b4a5d1'
const OTHER = '2b1f6a52-2f0e-4c39-8f0c-4be3f1b4a5d3'
const CONTACT = '5f0c7d1e-9a53-4f0b-8f1d-2d9b8a6c7e10'
const party = { contactId: CONTACT, pn: PN, lid: LID, mergedContactId: undefined }

const ids: IntakeIds = {
  conversationId: CONVERSATION,
  chatParty: party,
  senderParty: party,
  changed: [],
  moved: [],
  isNew: true,
}

const message: MessageOccurrence = {
  kind: 'message',
  key: 'k1',
  messageId: '3EB0AA',
  chat: LID,
  chatParty: { pn: undefined, lid: LID },
  sender: LID,
  senderParty: { pn: undefined, lid: LID },
  senderDevice: 0,
  fromMe: false,
  isGroup: false,
  timestamp: 1795348800,
  pushName: 'Ayu',
  type: 'text',
  text: 'hello',
  quotedMessageId: '3EB0Q',
  mentions: [PN],
  offline: true,
  failure: undefined,
  content: new Uint8Array([1]),
}

const receipt: ReceiptOccurrence = {
  kind: 'receipt',
  key: 'r1',
  receipt: 'delivered',
  messageIds: ['3EB0AA', '3EB0AB'],
  chat: PN,
  chatParty: { pn: PN, lid: undefined },
  sender: PN,
  senderParty: { pn: PN, lid: undefined },
  fromMe: false,
  isGroup: false,
  timestamp: 1795348801,
}

const eventsOf = (...given: Parameters<typeof eventsOfOccurrence>) => {
  const drafts = eventsOfOccurrence(...given)
  for (const draft of drafts) assert.deepEqual(faultsOfPayload(draft.type, draft.payload), [])
  return drafts
}

describe('a message', () => {
  test('becomes message.received with its content, both names of the person, and what does not change', () => {
    const [draft, ...more] = eventsOf(message, ids, account)
    assert.deepEqual(more, [])
    assert.deepEqual(draft, {
      type: 'message.received',
      orderKey: CONVERSATION,
      occurredAt: 1795348800000,
      dedupeKey: `message.received ${CONVERSATION} ${CONTACT} 3EB0AA`,
      payload: {
        message_id: '3EB0AA',
        chat: LID,
        chat_pn: PN,
        chat_lid: LID,
        conversation_id: CONVERSATION,
        is_group: false,
        from: LID,
        from_pn: PN,
        from_lid: LID,
        contact_id: CONTACT,
        is_from_me: false,
        from_device: 0,
        push_name: 'Ayu',
        timestamp: 1795348800,
        type: 'text',
        text: 'hello',
        quoted_message_id: '3EB0Q',
        target_message_id: null,
        mentions: [PN],
        offline: true,
      },
    })
  })

  test('in a group names the sender, and the chat is nobody', () => {
    const [draft] = eventsOf(
      { ...message, chat: '120363041234567890@g.us', chatParty: undefined, isGroup: true },
      { ...ids, chatParty: undefined },
      account,
    )
    assert.equal(draft?.payload.chat, '120363041234567890@g.us')
    assert.equal(draft?.payload.chat_pn, null)
    assert.equal(draft?.payload.from_pn, PN)
    assert.equal(draft?.payload.is_group, true)
  })

  test('falls back on the names of the stanza when storage knows no party', () => {
    const [draft] = eventsOf(message, { ...ids, senderParty: undefined, chatParty: undefined }, undefined)
    assert.equal(draft?.payload.from_lid, LID)
    assert.equal(draft?.payload.from_pn, null)
    assert.equal(draft?.payload.contact_id, null)
  })

  test('that could not be decrypted says why and whose device this is', () => {
    const broken = { ...message, type: 'undecryptable', text: undefined, content: undefined, failure: 'no session' }
    const [draft] = eventsOf(broken, ids, account)
    assert.equal(draft?.type, 'message.undecryptable')
    assert.equal(draft?.payload.jid, '6289876543210')
    assert.equal(draft?.payload.failure, 'no session')
    assert.equal(draft?.payload.is_unavailable, false)
    const [absent] = eventsOf({ ...broken, unavailable: 'view_once' }, ids, undefined)
    assert.equal(absent?.payload.is_unavailable, true)
    assert.equal(absent?.payload.unavailable_type, 'view_once')
    assert.equal(absent?.payload.jid, '')
  })

  test('that revokes another becomes message.deleted of that other', () => {
    const [draft] = eventsOf({ ...message, type: 'revoke', text: undefined, targetMessageId: '3EB0OLD' }, ids, account)
    assert.equal(draft?.type, 'message.deleted')
    assert.equal(draft?.payload.message_id, '3EB0OLD')
    assert.equal(draft?.payload.deleted_by, LID)
  })

  test('gives nothing when we had it, or when it is talk between our own devices', () => {
    assert.deepEqual(eventsOf(message, { ...ids, isNew: false }, account), [])
    assert.deepEqual(eventsOf({ ...message, type: 'protocol' }, ids, account), [])
  })

  test('has the same dedupe key whatever JID the chat has, and another when it is our own', () => {
    const keyOf = (more: Partial<MessageOccurrence>) => eventsOf({ ...message, ...more }, ids, account)[0]?.dedupeKey
    assert.equal(keyOf({ chat: PN, sender: PN }), keyOf({}))
    assert.notEqual(keyOf({ fromMe: true }), keyOf({}))
  })
})

describe('a receipt', () => {
  test('gives one event for each message, in the order of the stanza', () => {
    const drafts = eventsOf(receipt, ids, account)
    assert.deepEqual(
      drafts.map((draft) => [draft.type, draft.payload.message_id, draft.payload.sender, draft.payload.from_lid]),
      [
        ['message.delivered', '3EB0AA', PN, LID],
        ['message.delivered', '3EB0AB', PN, LID],
      ],
    )
    assert.notEqual(drafts[0]?.dedupeKey, drafts[1]?.dedupeKey)
    assert.equal(drafts[0]?.occurredAt, 1795348801000)
  })

  test('that brings a message of ours to its next state tells that too, after the receipt', () => {
    const drafts = eventsOf(receipt, { ...ids, moved: [{ messageId: '3EB0AB', state: 'delivered' }] }, account)
    assert.deepEqual(
      drafts.map((draft) => [draft.type, draft.payload.message_id]),
      [
        ['message.delivered', '3EB0AA'],
        ['message.delivered', '3EB0AB'],
        ['message.status', '3EB0AB'],
      ],
    )
    const { payload, orderKey, dedupeKey } = drafts[2]!
    assert.deepEqual(payload, {
      message_id: '3EB0AB',
      chat: PN,
      chat_pn: PN,
      chat_lid: LID,
      is_group: false,
      conversation_id: CONVERSATION,
      contact_id: CONTACT,
      status: 'delivered',
      failure_code: null,
      failure: null,
      timestamp: 1795348801,
    })
    assert.deepEqual([orderKey, dedupeKey], [CONVERSATION, `message.status ${CONVERSATION} 3EB0AB delivered`])
  })

  test('of each kind has its own event', () => {
    const typeOf = (kind: ReceiptOccurrence['receipt']) =>
      eventsOf({ ...receipt, receipt: kind }, ids, account)[0]?.type
    assert.equal(typeOf('read'), 'message.read')
    assert.equal(typeOf('played'), 'message.played')
  })
})

test('who goes by another name is told so, before the message that shows it; we ourselves are not', () => {
  const renamed = { ...party, formerPushName: 'Ay' }
  const drafts = eventsOf(message, { ...ids, chatParty: renamed, senderParty: renamed }, account)
  assert.deepEqual(
    drafts.map((draft) => draft.type),
    ['pushname.update', 'message.received'],
  )
  assert.deepEqual(drafts[0]?.payload, {
    jid: '6289876543210',
    target: LID,
    target_alt: PN,
    target_pn: PN,
    target_lid: LID,
    contact_id: CONTACT,
    conversation_id: CONVERSATION,
    old: 'Ay',
    new: 'Ayu',
  })
  const group = { ...message, chat: '120363040000000000@g.us', chatParty: undefined, isGroup: true }
  const [inGroup] = eventsOf(group, { ...ids, chatParty: undefined, senderParty: renamed }, account)
  assert.equal(inGroup?.payload.conversation_id, null)
  const [own] = eventsOf({ ...message, fromMe: true }, { ...ids, senderParty: renamed }, account)
  assert.equal(own?.type, 'message.received')
})

test('two contacts that turned out to be one are told before the message, once', () => {
  const merged = { ...party, mergedContactId: 'd3b1a1c4-7f0f-4b57-9a3c-0d8f6e5b4a32' }
  const drafts = eventsOf(message, { ...ids, chatParty: merged, senderParty: merged }, account)
  assert.deepEqual(
    drafts.map((draft) => draft.type),
    ['contact.merged', 'message.received'],
  )
  assert.deepEqual(drafts[0]?.payload, {
    jid: '6289876543210',
    contact_id: CONTACT,
    merged_contact_id: merged.mergedContactId,
    pn: PN,
    lid: LID,
    conversation_id: CONVERSATION,
    merged_conversation_id: null,
  })
  const group = { ...message, chat: '120363040000000000@g.us', chatParty: undefined, isGroup: true }
  const member = { ...merged, conversationId: '1b1f6a52-2f0e-4c39-8f0c-4be3f1b4a5d2', mergedConversationId: OTHER }
  const [inGroup] = eventsOf(group, { ...ids, chatParty: undefined, senderParty: member }, account)
  assert.deepEqual(
    [inGroup?.payload.conversation_id, inGroup?.payload.merged_conversation_id],
    [member.conversationId, OTHER],
    'their own conversations, not that of the group',
  )
})
