import { Type } from 'typebox'
import { event } from '../event.ts'
import { chatContact, chatFields, instant, ownJid, senderNames, text, textOrNull } from './fields.ts'

const base = {
  jid: ownJid,
  ...chatFields,
  ...chatContact,
  timestamp: instant('When the change was made'),
  from_full: Type.Boolean({ description: 'True when it came with a first synchronisation: it may be long ago' }),
  action_raw: Type.Record(Type.String(), Type.Unknown(), { description: "WhatsApp's own record of the change" }),
}
const example = {
  jid: '6289876543210',
  chat: '6281234567890@s.whatsapp.net',
  chat_pn: '6281234567890@s.whatsapp.net',
  chat_lid: '182736455463728@lid',
  conversation_id: '0b1f6a52-2f0e-4c39-8f0c-4be3f1b4a5d1',
  contact_id: '5f0c7d1e-9a53-4f0b-8f1d-2d9b8a6c7e10',
  is_group: false,
  timestamp: '2026-11-22T10:00:00.000Z',
  from_full: false,
  action_raw: { timestamp: 1795341600000 },
}
const onMessage = {
  message_id: text('The message'),
  sender: textOrNull('Who wrote it: a JID; null when the change does not say'),
  ...senderNames,
  is_from_me: Type.Boolean({ description: 'True when the message is our own' }),
}
const messageExample = {
  message_id: '3EB0C767D26A1B4F5A83',
  sender: null,
  sender_pn: null,
  sender_lid: null,
  is_from_me: false,
}
const category = 'Chat and Label State' as const
const anywhere = 'on any device of the account, this one included.'

export const chatArchive = event({
  name: 'chat.archive',
  category,
  description: `A chat was archived or taken back ${anywhere}`,
  payload: Type.Object({ ...base, archived: Type.Boolean() }),
  example: { ...example, archived: true },
})

export const chatPin = event({
  name: 'chat.pin',
  category,
  description: `A chat was pinned or unpinned ${anywhere}`,
  payload: Type.Object({ ...base, pinned: Type.Boolean() }),
  example: { ...example, pinned: true },
})

export const chatMute = event({
  name: 'chat.mute',
  category,
  description: `A chat was muted or unmuted ${anywhere}`,
  payload: Type.Object({
    ...base,
    muted: Type.Boolean(),
    muted_until: Type.Union([Type.String({ format: 'date-time' }), Type.Null()], {
      description: 'Null when it is not muted, or for ever',
    }),
  }),
  example: { ...example, muted: true, muted_until: null },
})

export const chatMarkRead = event({
  name: 'chat.mark_read',
  category,
  description: `A chat was marked read or unread ${anywhere}`,
  payload: Type.Object({ ...base, read: Type.Boolean() }),
  example: { ...example, read: true },
})

export const chatDelete = event({
  name: 'chat.delete',
  category,
  description: `A chat was deleted ${anywhere}`,
  payload: Type.Object({ ...base, delete_media: Type.Boolean() }),
  example: { ...example, delete_media: false },
})

export const chatClear = event({
  name: 'chat.clear',
  category,
  description: `The messages of a chat were deleted ${anywhere}`,
  payload: Type.Object({ ...base, delete_media: Type.Boolean() }),
  example: { ...example, delete_media: false },
})

export const chatStar = event({
  name: 'chat.star',
  category,
  description: `A message was starred or unstarred ${anywhere}`,
  payload: Type.Object({ ...base, ...onMessage, starred: Type.Boolean() }),
  example: { ...example, ...messageExample, starred: true },
})

export const chatDeleteForMe = event({
  name: 'chat.delete_for_me',
  category,
  description: `A message was deleted for this account only, ${anywhere}`,
  payload: Type.Object({ ...base, ...onMessage }),
  example: { ...example, ...messageExample },
})
