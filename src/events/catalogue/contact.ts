import { Type } from 'typebox'
import { event } from '../event.ts'
import { ownJid, text, textOrNull } from './fields.ts'

export const contactMerged = event({
  name: 'contact.merged',
  category: 'Contact',
  description:
    'Two contacts turned out to be one person, known until now as a phone number and as a LID apart. The older id stays; the other is an alias from now on.',
  payload: Type.Object({
    jid: ownJid,
    contact_id: text('The id that stays'),
    merged_contact_id: text('The id that became an alias'),
    pn: textOrNull("The person's phone number JID"),
    lid: textOrNull("The person's LID"),
  }),
  example: {
    jid: '6289876543210',
    contact_id: '5f0c7d1e-9a53-4f0b-8f1d-2d9b8a6c7e10',
    merged_contact_id: 'd3b1a1c4-7f0f-4b57-9a3c-0d8f6e5b4a32',
    pn: '6281234567890@s.whatsapp.net',
    lid: '182736455463728@lid',
  },
})
