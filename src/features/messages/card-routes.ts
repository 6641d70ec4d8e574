import { Type } from 'typebox'
import { NOT_BLANK, type Route, route } from '../../http/route.ts'
import { ParleyError } from '../../kernel/errors.ts'
import { parseChat, parsePhone } from '../../kernel/jid.ts'
import type { Sessions } from '../../sessions/index.ts'
import {
  ChatParams,
  LIMITED_ERRORS,
  SENT_EXAMPLE,
  SentMessage,
  sentReply,
  simulationFields,
  simulationOf,
} from '../messaging.ts'
import { buildVcard } from './vcard.ts'

const LocationBody = Type.Object(
  {
    latitude: Type.Number({ minimum: -90, maximum: 90 }),
    longitude: Type.Number({ minimum: -180, maximum: 180 }),
    name: Type.Optional(Type.String({ maxLength: 1_000, description: 'Of the place' })),
    address: Type.Optional(Type.String({ maxLength: 1_000 })),
    ...simulationFields,
  },
  { title: 'LocationMessage' },
)

const cardFields = {
  name: Type.String({ pattern: NOT_BLANK, maxLength: 256, description: 'One line' }),
  phone: Type.String({ pattern: NOT_BLANK, maxLength: 32, description: 'In international form' }),
  organization: Type.Optional(Type.String({ maxLength: 256, description: 'One line' })),
}
const MOST_CARDS = 257

const ContactBody = Type.Object(
  {
    name: Type.Optional(cardFields.name),
    phone: Type.Optional(cardFields.phone),
    organization: cardFields.organization,
    contacts: Type.Optional(
      Type.Array(Type.Object(cardFields), {
        minItems: 1,
        maxItems: MOST_CARDS,
        description: 'Several cards in one message, instead of name and phone',
      }),
    ),
    ...simulationFields,
  },
  { title: 'ContactMessage' },
)

/** @throws bad_request */
const cardsOf = (body: {
  readonly name?: string
  readonly phone?: string
  readonly organization?: string
  readonly contacts?: readonly { readonly name: string; readonly phone: string; readonly organization?: string }[]
}) => {
  const { name, phone, organization, contacts } = body
  const bad = (field: string, why: string) => new ParleyError('bad_request', `${field}: ${why}`, { field })
  if (contacts && (name !== undefined || phone !== undefined))
    throw bad('contacts', 'give either contacts, or name and phone')
  if (!contacts && name === undefined) throw bad('name', 'is required')
  if (!contacts && phone === undefined) throw bad('phone', 'is required')
  const given = contacts ?? [{ name: name!, phone: phone!, ...(organization === undefined ? {} : { organization }) }]
  return given.map((card, i) => {
    const prefix = contacts ? `contacts[${i}].` : ''
    const digits = parsePhone(card.phone.replace(/[\s().-]/g, ''), `${prefix}phone`)
    return { displayName: card.name.trim(), vcard: buildVcard({ ...card, phone: digits }, prefix) }
  })
}

export const cardRoutes = (deps: { readonly sessions: Pick<Sessions, 'send'> }): Route[] => [
  route({
    id: 'sendLocation',
    method: 'POST',
    path: '/chats/{chat_jid}/locations',
    auth: 'jwt',
    tag: 'Messaging',
    summary: 'Send a place on the map',
    idempotent: true,
    params: ChatParams,
    body: LocationBody,
    bodyExample: { latitude: -6.2088, longitude: 106.8456, name: 'Jakarta' },
    data: SentMessage,
    success: { example: SENT_EXAMPLE },
    errors: LIMITED_ERRORS,
    handler: async ({ auth, params, body, request }) => {
      const { latitude, longitude, name, address } = body
      const sent = await deps.sessions.send(auth.device.deviceId, {
        chat: parseChat(params.chat_jid, 'chat_jid'),
        content: {
          kind: 'location',
          latitude,
          longitude,
          ...(name ? { name } : {}),
          ...(address ? { address } : {}),
        },
        ...(request.messageId === undefined ? {} : { messageId: request.messageId }),
        ...simulationOf(body),
      })
      return sentReply(sent)
    },
  }),
  route({
    id: 'sendContacts',
    method: 'POST',
    path: '/chats/{chat_jid}/contacts',
    auth: 'jwt',
    tag: 'Messaging',
    summary: 'Send one contact card or several',
    idempotent: true,
    params: ChatParams,
    body: ContactBody,
    bodyExample: { name: 'John Doe', phone: '6281234567890' },
    data: SentMessage,
    success: { example: SENT_EXAMPLE },
    errors: LIMITED_ERRORS,
    handler: async ({ auth, params, body, request }) => {
      const sent = await deps.sessions.send(auth.device.deviceId, {
        chat: parseChat(params.chat_jid, 'chat_jid'),
        content: { kind: 'contacts', contacts: cardsOf(body) },
        ...(request.messageId === undefined ? {} : { messageId: request.messageId }),
        ...simulationOf(body),
      })
      return sentReply(sent)
    },
  }),
]
