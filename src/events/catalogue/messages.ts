import { Type } from 'typebox'
import { event } from '../event.ts'
import { chatContact, chatFields, orNull, ownJid, personFields, text, textOrNull, unixSeconds } from './fields.ts'

const CONVERSATION = '0b1f6a52-2f0e-4c39-8f0c-4be3f1b4a5d1'
const CONTACT = '5f0c7d1e-9a53-4f0b-8f1d-2d9b8a6c7e10'

const chatExample = {
  chat: '6281234567890@s.whatsapp.net',
  chat_pn: '6281234567890@s.whatsapp.net',
  chat_lid: '182736455463728@lid',
  conversation_id: CONVERSATION,
  is_group: false,
}
const personExample = {
  from: '6281234567890@s.whatsapp.net',
  from_pn: '6281234567890@s.whatsapp.net',
  from_lid: '182736455463728@lid',
  contact_id: CONTACT,
  is_from_me: false,
}

export const messageReceived = event({
  name: 'message.received',
  category: 'Messages',
  description:
    'A message was decrypted: from somebody else, or sent by this account on another of its devices. Edits and reactions come under this name too, with their `type`.',
  payload: Type.Object({
    message_id: text('WhatsApp id of the message, unique within its chat and sender'),
    ...chatFields,
    ...personFields,
    from_device: Type.Integer({ minimum: 0, description: 'Device number of the sender, 0 = phone' }),
    push_name: textOrNull('The name the sender gives themselves'),
    timestamp: unixSeconds('Seconds since the epoch, as WhatsApp stamped it'),
    type: text(
      'text, image, video, audio, document, sticker, location, contact, poll, reaction, edit, revoke or unknown',
    ),
    text: textOrNull('The text or caption'),
    quoted_message_id: textOrNull('The message this one answers'),
    target_message_id: textOrNull('The message that an edit or reaction is about'),
    mentions: Type.Array(Type.String(), { description: 'JIDs mentioned in the text' }),
    offline: Type.Boolean({ description: 'True when it waited on the server while the device was away' }),
  }),
  example: {
    message_id: '3EB0C767D26A1B4F5A83',
    ...chatExample,
    ...personExample,
    from_device: 0,
    push_name: 'Ayu',
    timestamp: 1795348800,
    type: 'text',
    text: 'Is the order on its way?',
    quoted_message_id: null,
    target_message_id: null,
    mentions: [],
    offline: false,
  },
})

const receiptPayload = Type.Object({
  message_id: text('The message the receipt is about'),
  ...chatFields,
  sender: text('JID of who received, read or played; the same as `from`'),
  ...personFields,
  timestamp: unixSeconds('Seconds since the epoch of the receipt'),
})
const receiptExample = {
  message_id: '3EB0C767D26A1B4F5A83',
  ...chatExample,
  sender: personExample.from,
  ...personExample,
  timestamp: 1795348802,
}

export const messageDelivered = event({
  name: 'message.delivered',
  category: 'Messages',
  description: "A message reached a recipient's device. One event per message and recipient.",
  payload: receiptPayload,
  example: receiptExample,
})

export const messageRead = event({
  name: 'message.read',
  category: 'Messages',
  description: 'A recipient read a message, or this account read one on another of its devices (`is_from_me`).',
  payload: receiptPayload,
  example: receiptExample,
})

export const messagePlayed = event({
  name: 'message.played',
  category: 'Messages',
  description: 'A recipient played a voice or video note.',
  payload: receiptPayload,
  example: receiptExample,
})

export const messageDeleted = event({
  name: 'message.deleted',
  category: 'Messages',
  description: 'A message was deleted for everybody.',
  payload: Type.Object({
    message_id: text('The deleted message'),
    ...chatFields,
    ...personFields,
    deleted_by: text('JID of who deleted it; the same as `from`'),
    timestamp: unixSeconds('Seconds since the epoch of the deletion'),
  }),
  example: {
    message_id: '3EB0C767D26A1B4F5A83',
    ...chatExample,
    ...personExample,
    deleted_by: personExample.from,
    timestamp: 1795348860,
  },
})

export const messageUndecryptable = event({
  name: 'message.undecryptable',
  category: 'Messages',
  description:
    'A message arrived that could not be decrypted. The sender is asked to send it again; if that works, `message.received` follows with the same `message_id`.',
  payload: Type.Object({
    jid: ownJid,
    message_id: text('WhatsApp id of the message'),
    ...chatFields,
    ...personFields,
    timestamp: unixSeconds('Seconds since the epoch, as WhatsApp stamped it'),
    is_unavailable: Type.Boolean({ description: 'True when no content was sent to this device at all' }),
    unavailable_type: text('Why, when unavailable: `view_once`, ...; else empty'),
    fail_mode: text('Empty: the message is shown as waiting'),
    failure: textOrNull('What went wrong, in words'),
  }),
  example: {
    jid: '6289876543210',
    message_id: '3EB0C767D26A1B4F5A83',
    ...chatExample,
    ...personExample,
    timestamp: 1795348800,
    is_unavailable: false,
    unavailable_type: '',
    fail_mode: '',
    failure: 'No session to decrypt with',
  },
})

export const messageStatus = event({
  name: 'message.status',
  category: 'Messages',
  description:
    'A message that this account sent reached its next state, or failed for good. In a group the first recipient to get there counts.',
  payload: Type.Object({
    message_id: text('The id that the send answered'),
    ...chatFields,
    ...chatContact,
    status: Type.Union(
      [
        Type.Literal('accepted'),
        Type.Literal('server_ack'),
        Type.Literal('delivered'),
        Type.Literal('read'),
        Type.Literal('played'),
        Type.Literal('failed'),
      ],
      { description: '`server_ack`: WhatsApp has it; `failed`: it will not be sent' },
    ),
    failure_code: orNull(Type.Integer(), "WhatsApp's code when `failed`"),
    failure: textOrNull('Why, in words, when `failed`'),
    timestamp: unixSeconds('Seconds since the epoch of the change'),
  }),
  example: {
    message_id: '3EB0C767D26A1B4F5A83',
    ...chatExample,
    contact_id: CONTACT,
    status: 'server_ack',
    failure_code: null,
    failure: null,
    timestamp: 1795348801,
  },
})
