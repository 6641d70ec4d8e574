import { Type } from 'typebox'
import { NOT_BLANK } from '../../http/route.ts'

/** WhatsApp's own clients stop here. */
export const MOST_TEXT_BYTES = 65_536

export const ChatParams = Type.Object({
  chat_jid: Type.String({
    minLength: 1,
    maxLength: 255,
    description: 'JID of a person or group, or a phone number in international form',
  }),
})

export const TextBody = Type.Object(
  {
    text: Type.String({ pattern: NOT_BLANK, description: `Not blank, at most ${MOST_TEXT_BYTES} bytes of UTF-8` }),
    reply_to_message_id: Type.Optional(
      Type.String({ minLength: 1, maxLength: 128, description: 'The message of this chat to quote' }),
    ),
    typing_simulation: Type.Optional(
      Type.Boolean({ description: 'Shows "typing" first; WHATSAPP_AUTO_TYPING_ENABLED unless given' }),
    ),
    presence_simulation: Type.Optional(
      Type.Boolean({
        description:
          'Goes online while sending; WHATSAPP_AUTO_PRESENCE_ENABLED unless given. False turns typing off too',
      }),
    ),
  },
  { title: 'TextMessage' },
)

export const SentMessage = Type.Object(
  {
    message_id: Type.String(),
    chat_jid: Type.String({ description: 'The chat as WhatsApp addresses it' }),
    status: Type.Enum(['accepted', 'server_ack'], {
      description: 'server_ack: WhatsApp has it; accepted: it is stored here and will go out',
    }),
    timestamp: Type.Integer({ description: 'Seconds since the epoch' }),
  },
  { title: 'SentMessage' },
)
