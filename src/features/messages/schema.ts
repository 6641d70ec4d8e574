import { Type } from 'typebox'
import { NOT_BLANK } from '../../http/route.ts'
import { TimeOrNull } from '../common.ts'
import { simulationFields } from '../messaging.ts'

/** WhatsApp's own clients stop here. */
export const MOST_TEXT_BYTES = 65_536

export const TextBody = Type.Object(
  {
    text: Type.String({ pattern: NOT_BLANK, description: `Not blank, at most ${MOST_TEXT_BYTES} bytes of UTF-8` }),
    reply_to_message_id: Type.Optional(
      Type.String({ minLength: 1, maxLength: 128, description: 'The message of this chat to quote' }),
    ),
    mentions: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 255 }), {
        maxItems: 256,
        description: 'JIDs or phone numbers of people; the text names each as `@` and its digits',
      }),
    ),
    ...simulationFields,
  },
  { title: 'TextMessage' },
)

export const MessageQuery = Type.Object({
  chat_jid: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 255,
      description: 'The chat of the message; needed only when several chats have one of that id',
    }),
  ),
})

export const MessageState = Type.Object(
  {
    message_id: Type.String(),
    chat_jid: Type.String({ description: 'The chat as WhatsApp addresses it' }),
    conversation_id: Type.String({ format: 'uuid', description: 'As in events' }),
    from_me: Type.Boolean(),
    type: Type.String({ description: 'text, image, ..., undecryptable, unknown: as in `message.received`' }),
    text: Type.Union([Type.String(), Type.Null()], { description: 'The text or caption' }),
    timestamp: Type.Integer({ description: 'Seconds since the epoch' }),
    status: Type.Enum(['accepted', 'server_ack', 'delivered', 'read', 'played', 'failed', 'received'], {
      description:
        'Of our own: accepted (stored here), server_ack (WhatsApp has it), delivered, read, played, or failed for good; in a group the furthest that any recipient got. Of others: received, then read or played by us on another device',
    }),
    failure: Type.Union([
      Type.Object({
        whatsapp_code: Type.Union([Type.Integer(), Type.Null()]),
        message: Type.String({ description: 'Why it failed, in words' }),
      }),
      Type.Null(),
    ]),
    receipts: Type.Array(
      Type.Object({
        recipient: Type.String({ description: 'JID of the recipient as the receipt named them' }),
        delivered_at: TimeOrNull,
        read_at: TimeOrNull,
        played_at: TimeOrNull,
      }),
      { description: 'One entry per recipient who has sent a receipt, at most 2000' },
    ),
  },
  { title: 'MessageState' },
)
