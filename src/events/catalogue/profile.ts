import { Type } from 'typebox'
import { event } from '../event.ts'
import { orNull, ownJid, text, textOrNull } from './fields.ts'

export const pushNameUpdate = event({
  name: 'pushname.update',
  category: 'Presence and Profile',
  description: 'Somebody gave themselves another name; a message of theirs shows it, and is told after this.',
  payload: Type.Object({
    jid: ownJid,
    target: text('JID of the person as WhatsApp named them'),
    target_alt: text('Their other JID; empty when not known'),
    target_pn: textOrNull('Their phone number JID'),
    target_lid: textOrNull('Their LID'),
    contact_id: Type.String({ format: 'uuid', description: 'The person; stays the same whatever JID is used' }),
    conversation_id: orNull(
      Type.String({ format: 'uuid' }),
      'The one-to-one conversation with them; null when a message elsewhere showed the name',
    ),
    old: text('The name until now'),
    new: text('The name from now on'),
  }),
  example: {
    jid: '6289876543210',
    target: '182736455463728@lid',
    target_alt: '6281234567890@s.whatsapp.net',
    target_pn: '6281234567890@s.whatsapp.net',
    target_lid: '182736455463728@lid',
    contact_id: '5f0c7d1e-9a53-4f0b-8f1d-2d9b8a6c7e10',
    conversation_id: '0b1f6a52-2f0e-4c39-8f0c-4be3f1b4a5d1',
    old: 'Ayu',
    new: 'Ayu Lestari',
  },
})
