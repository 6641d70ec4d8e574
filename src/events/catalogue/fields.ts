import { type TSchema, Type } from 'typebox'

/**
 * Fields that payloads share. A field of the contract is never null (an unknown text is empty); a field that Parley
 * adds is null when the fact is not known.
 */
export const orNull = <T extends TSchema>(schema: T, description: string) =>
  Type.Union([schema, Type.Null()], { description })

export const text = (description: string) => Type.String({ description })
export const textOrNull = (description: string) => orNull(Type.String(), description)
export const instant = (description: string) => Type.String({ format: 'date-time', description })
export const unixSeconds = (description: string) => Type.Integer({ minimum: 0, description })

export const ownJid = text("The device's own phone number, digits only; empty before it is linked")

/** The chat of a message or receipt: as WhatsApp addressed it, and what does not change. */
export const chatFields = {
  chat: text('JID of the chat as WhatsApp addressed it: a person (PN or LID), a group, a channel, a broadcast list'),
  chat_pn: textOrNull('Phone number JID behind a one-to-one chat'),
  chat_lid: textOrNull('LID behind a one-to-one chat'),
  conversation_id: Type.String({
    format: 'uuid',
    description: 'The conversation; stays the same when the chat changes its JID',
  }),
  is_group: Type.Boolean(),
} as const

const conversation = Type.String({ format: 'uuid' })

/** The same where the chat may have no conversation here yet. */
export const chatFieldsOrNone = {
  ...chatFields,
  conversation_id: orNull(conversation, 'The conversation; null when there is none here yet'),
} as const

/** Whoever is behind a one-to-one chat, for what nobody in particular did. */
export const chatContact = {
  contact_id: orNull(Type.String({ format: 'uuid' }), 'The person behind a one-to-one chat; null for others'),
} as const

/** A person named as `sender`, under both names. */
export const senderNames = {
  sender_pn: textOrNull("The sender's phone number JID"),
  sender_lid: textOrNull("The sender's LID"),
} as const

/** The person who acted: as the stanza named them, and under both names. */
export const personFields = {
  from: text('JID of the person as WhatsApp named them'),
  from_pn: textOrNull("The person's phone number JID"),
  from_lid: textOrNull("The person's LID"),
  contact_id: orNull(Type.String({ format: 'uuid' }), 'The person; stays the same whatever JID is used'),
  is_from_me: Type.Boolean({ description: 'True when this account acted, on this or another of its devices' }),
} as const

/** What the original says when a time is not known: Go's zero time. */
export const NEVER = '0001-01-01T00:00:00Z'
