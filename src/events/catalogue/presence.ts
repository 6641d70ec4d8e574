import { Type } from 'typebox'
import { event } from '../event.ts'
import { instant, NEVER, ownJid, text, textOrNull } from './fields.ts'

export const chatPresence = event({
  name: 'chat.presence',
  category: 'Presence and Profile',
  description: 'Somebody types or records in a chat, or has stopped.',
  payload: Type.Object({
    jid: ownJid,
    chat: text('JID of the chat'),
    sender: text('JID of who types'),
    sender_pn: textOrNull('Their phone number JID'),
    sender_lid: textOrNull('Their LID'),
    is_group: Type.Boolean(),
    is_from_me: Type.Boolean(),
    state: Type.Union([Type.Literal('composing'), Type.Literal('paused')]),
    media: Type.Union([Type.Literal(''), Type.Literal('audio')], { description: '`audio`: a voice note is recorded' }),
  }),
  example: {
    jid: '6289876543210',
    chat: '182736455463728@lid',
    sender: '182736455463728@lid',
    sender_pn: '6281234567890@s.whatsapp.net',
    sender_lid: '182736455463728@lid',
    is_group: false,
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
    unavailable: Type.Boolean({ description: 'True when offline' }),
    last_seen: instant(`When they were last online; ${NEVER} when hidden or online now`),
  }),
  example: {
    jid: '6289876543210',
    from: '182736455463728@lid',
    from_pn: '6281234567890@s.whatsapp.net',
    from_lid: '182736455463728@lid',
    unavailable: true,
    last_seen: '2026-11-22T10:00:00.000Z',
  },
})
