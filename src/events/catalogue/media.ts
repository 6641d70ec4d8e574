import { type Static, Type } from 'typebox'
import { event } from '../event.ts'
import { chatFields, chatFieldsOrNone, instant, orNull, ownJid, personFields, senderNames, text } from './fields.ts'

const MediaType = Type.Union(
  [
    Type.Literal('image'),
    Type.Literal('video'),
    Type.Literal('audio'),
    Type.Literal('document'),
    Type.Literal('sticker'),
  ],
  { description: 'Kind of file' },
)

export const isMediaType = (type: string): type is Static<typeof MediaType> =>
  /^(image|video|audio|document|sticker)$/.test(type)

const base = { jid: ownJid, message_id: text('WhatsApp id of the message') } as const
const ofMessage = { ...base, ...chatFields, ...personFields } as const

const PN = '6281234567890@s.whatsapp.net'
const LID = '182736455463728@lid'
const CONTACT = '5f0c7d1e-9a53-4f0b-8f1d-2d9b8a6c7e10'
const example = {
  jid: '6289876543210',
  message_id: '3EB0C767D26A1B4F5A83',
  chat: PN,
  chat_pn: PN,
  chat_lid: LID,
  conversation_id: '0b1f6a52-2f0e-4c39-8f0c-4be3f1b4a5d1',
  is_group: false,
} as const
const personExample = { from: PN, from_pn: PN, from_lid: LID, contact_id: CONTACT, is_from_me: false } as const

export const mediaReceived = event({
  name: 'media.received',
  category: 'Media',
  description:
    'A message with a file came in; `message.received` tells the rest, `GET /messages/{message_id}/media` has the file.',
  payload: Type.Object({ ...ofMessage, media_type: MediaType }),
  example: { ...example, ...personExample, media_type: 'image' },
})

export const mediaDownloaded = event({
  name: 'media.downloaded',
  category: 'Media',
  description: 'The file of a message was downloaded, decrypted, and lies in the media store.',
  payload: Type.Object({
    ...ofMessage,
    media_type: MediaType,
    mime_type: text('What the file is, found out from its content'),
    size: Type.Integer({ minimum: 0, description: 'Bytes' }),
    sha256: text('Hash of the file, hex'),
  }),
  example: {
    ...example,
    ...personExample,
    media_type: 'image',
    mime_type: 'image/jpeg',
    size: 48_211,
    sha256: 'b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9',
  },
})

export const mediaRetry = event({
  name: 'media.retry',
  category: 'Media',
  description: 'The phone answered a request to upload a file once more.',
  payload: Type.Object({
    ...base,
    ...chatFieldsOrNone,
    sender: text('JID of who wrote the message'),
    ...senderNames,
    contact_id: orNull(Type.String({ format: 'uuid' }), 'The sender; stays the same whatever JID is used'),
    timestamp: instant('When the answer came'),
    from_me: Type.Boolean({ description: 'True for a message of this account' }),
    error: Type.Optional(
      Type.Object(
        { code: Type.Integer({ description: "WhatsApp's number: 2 = the phone does not have it any more" }) },
        { description: 'Absent when the file can be downloaded again' },
      ),
    ),
  }),
  example: {
    ...example,
    sender: PN,
    sender_pn: PN,
    sender_lid: LID,
    contact_id: CONTACT,
    timestamp: '2026-11-22T12:00:00.000Z',
    from_me: false,
  },
})
