import { Type } from 'typebox'
import { event } from '../event.ts'
import { orNull, ownJid, text, textOrNull } from './fields.ts'

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
    conversation_id: orNull(
      Type.String({ format: 'uuid' }),
      'The one-to-one conversation with them that stays; null when neither had one',
    ),
    merged_conversation_id: orNull(
      Type.String({ format: 'uuid' }),
      'The conversation that became an alias of it; null when only one of the two had one',
    ),
  }),
  example: {
    jid: '6289876543210',
    contact_id: '5f0c7d1e-9a53-4f0b-8f1d-2d9b8a6c7e10',
    merged_contact_id: 'd3b1a1c4-7f0f-4b57-9a3c-0d8f6e5b4a32',
    pn: '6281234567890@s.whatsapp.net',
    lid: '182736455463728@lid',
    conversation_id: '0b1f6a52-2f0e-4c39-8f0c-4be3f1b4a5d1',
    merged_conversation_id: null,
  },
})
