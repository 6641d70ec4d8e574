import { Type } from 'typebox'
import { event } from '../event.ts'
import { chatFieldsOrNone, instant, NEVER, orNull, ownJid, senderNames, text, textOrNull } from './fields.ts'

const PN = '6281234567890@s.whatsapp.net'
const LID = '182736455463728@lid'
const CONTACT = '5f0c7d1e-9a53-4f0b-8f1d-2d9b8a6c7e10'
const CONVERSATION = '0b1f6a52-2f0e-4c39-8f0c-4be3f1b4a5d1'
const contactId = orNull(Type.String({ format: 'uuid' }), 'The person; null when nothing else is known of them yet')

export const chatPresence = event({
  name: 'chat.presence',
  category: 'Presence and Profile',
  description: 'Somebody types or records in a chat, or has stopped.',
  payload: Type.Object({
    jid: ownJid,
    ...chatFieldsOrNone,
    sender: text('JID of who types'),
    ...senderNames,
    contact_id: contactId,
    is_from_me: Type.Boolean(),
    state: Type.Union([Type.Literal('composing'), Type.Literal('paused')]),
    media: Type.Union([Type.Literal(''), Type.Literal('audio')], { description: '`audio`: a voice note is recorded' }),
  }),
  example: {
    jid: '6289876543210',
    chat: LID,
    chat_pn: PN,
    chat_lid: LID,
    conversation_id: CONVERSATION,
    is_group: false,
    sender: LID,
    sender_pn: PN,
    sender_lid: LID,
    contact_id: CONTACT,
    is_from_me: false,
    state: 'composing',
    media: '',
  },
})

export const presenceUpdate = event({
  name: 'presence.update',
  category: 'Presence and Profile',
  description: 'Somebody whose presence is watched (`POST /presence/subscribe`) came online or went offline.',
  payload: Type.Object({
    jid: ownJid,
    from: text('JID of the person'),
    from_pn: textOrNull('Their phone number JID'),
    from_lid: textOrNull('Their LID'),
    contact_id: contactId,
    conversation_id: orNull(
      Type.String({ format: 'uuid' }),
      'The one-to-one conversation with them; null when there is none here yet',
    ),
    unavailable: Type.Boolean({ description: 'True when offline' }),
    last_seen: instant(`When they were last online; ${NEVER} when hidden or online now`),
  }),
  example: {
    jid: '6289876543210',
    from: LID,
    from_pn: PN,
    from_lid: LID,
    contact_id: CONTACT,
    conversation_id: CONVERSATION,
    unavailable: true,
    last_seen: '2026-11-22T10:00:00.000Z',
  },
})
