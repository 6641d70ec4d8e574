import { Type } from 'typebox'
import { ok, type Reply, type RouteError, STORAGE_AWAY } from '../http/route.ts'
import { ParleyError } from '../kernel/errors.ts'
import { parseChat } from '../kernel/jid.ts'
import type { SendRequest, SentMessage as Sent } from '../sessions/index.ts'
import type { MessageRepository, MessageRow, ShownMessage } from '../storage/index.ts'
import { rfc3339OrNull } from './common.ts'

/** What the areas around messages and chats share. */

const jid = (description: string) => Type.String({ minLength: 1, maxLength: 255, description })

export const ChatParams = Type.Object({
  chat_jid: jid('JID of a person or group, or a phone number in international form'),
})

export const MessageParams = Type.Object({
  message_id: Type.String({ minLength: 1, maxLength: 128, description: 'WhatsApp id of the message' }),
})

export const chatField = {
  chat_jid: jid('The chat of the message: ids are unique within a chat only'),
}
export const senderField = {
  sender_jid: Type.Optional(jid('Who wrote the message; Parley knows it and needs no telling')),
}

export const simulationFields = {
  typing_simulation: Type.Optional(
    Type.Boolean({ description: 'Shows "typing" first; WHATSAPP_AUTO_TYPING_ENABLED unless given' }),
  ),
  presence_simulation: Type.Optional(
    Type.Boolean({
      description: 'Goes online while sending; WHATSAPP_AUTO_PRESENCE_ENABLED unless given. False turns typing off too',
    }),
  ),
}

export const simulationOf = (body: {
  readonly typing_simulation?: boolean
  readonly presence_simulation?: boolean
}): Pick<SendRequest, 'typingSimulation' | 'presenceSimulation'> => ({
  ...(body.typing_simulation === undefined ? {} : { typingSimulation: body.typing_simulation }),
  ...(body.presence_simulation === undefined ? {} : { presenceSimulation: body.presence_simulation }),
})

export const SentMessage = Type.Object(
  {
    message_id: Type.String(),
    chat_jid: Type.String({ description: 'The chat as WhatsApp addresses it' }),
    status: Type.Enum(['accepted', 'server_ack', 'delivered', 'read', 'played'], {
      description:
        'server_ack: WhatsApp has it; accepted: it is stored here and will go out. Further only when a repeat after a crash finds the message on its way',
    }),
    timestamp: Type.Integer({ description: 'Seconds since the epoch' }),
  },
  { title: 'SentMessage' },
)

export const SENT_EXAMPLE = {
  message_id: '3EB0C431C26A1916E07E',
  chat_jid: '6281234567890@s.whatsapp.net',
  status: 'server_ack',
  timestamp: 1_795_338_000,
}

export const showSent = (sent: Sent) => ({
  message_id: sent.messageId,
  chat_jid: sent.chat,
  status: sent.status,
  timestamp: sent.timestamp,
})

export const sentReply = (sent: Sent): Reply<ReturnType<typeof showSent>> =>
  ok(sent.status === 'accepted' ? 'Message accepted; it goes out as soon as it can' : 'Message sent', showSent(sent))

/** What every route may answer that needs the connection. */
export const CONNECTION_ERRORS: readonly RouteError[] = [
  { code: 'bad_request', when: 'the phone number or JID is malformed' },
  { code: 'not_linked', when: 'the device has no WhatsApp account' },
  { code: 'not_connected', when: 'the device is not connected' },
  { code: 'whatsapp_refused', when: 'WhatsApp refused it; its code is in data.whatsapp_code' },
  { code: 'whatsapp_timeout', when: 'WhatsApp did not answer' },
  STORAGE_AWAY,
]

export const SENDING_ERRORS: readonly RouteError[] = [
  ...CONNECTION_ERRORS,
  { code: 'not_on_whatsapp', when: 'the number is not on WhatsApp' },
  { code: 'forbidden', when: 'WhatsApp does not allow it: not a member of the group, say' },
]

/** What sends messages, as far as people count them. */
export const LIMITED_ERRORS: readonly RouteError[] = [
  ...SENDING_ERRORS,
  { code: 'rate_limited', when: 'the device or its API key sends too much' },
]

export const NO_SUCH_MESSAGE: RouteError = { code: 'not_found', when: 'the chat has no such message' }

/** A stored message of a chat. @throws bad_request, not_found */
export const findMessage = async (
  messages: Pick<MessageRepository, 'find'>,
  deviceId: string,
  messageId: string,
  chatGiven: string,
): Promise<MessageRow> => {
  const row = await messages.find(deviceId, messageId, parseChat(chatGiven, 'chat_jid'))
  if (!row || row.targetMessageId !== undefined || row.type === 'protocol')
    throw new ParleyError('not_found', `no message ${messageId} is known in this chat`)
  return row
}

/** A message by its id alone, where no two chats share it. @throws bad_request, not_found */
export const findOnlyMessage = async (
  messages: Pick<MessageRepository, 'describe'>,
  deviceId: string,
  messageId: string,
  chatGiven: string | undefined,
): Promise<MessageRow> => {
  const chat = chatGiven === undefined ? undefined : parseChat(chatGiven, 'chat_jid')
  const found = await messages.describe(deviceId, messageId, chat)
  if (found === 'ambiguous')
    throw new ParleyError('bad_request', 'chat_jid: several chats have a message of this id; say which one', {
      field: 'chat_jid',
    })
  if (!found || found.message.targetMessageId !== undefined)
    throw new ParleyError('not_found', `no message ${messageId} is known${chat ? ' in this chat' : ''}`)
  return found.message
}

/** Whether this very call has sent its message already: it is a repeat, after a crash that came before the reply was kept. */
export const hasSentAbout = async (
  messages: Pick<MessageRepository, 'find'>,
  { deviceId, chat, messageId: target }: MessageRow,
  messageId: string | undefined,
): Promise<boolean> => {
  if (messageId === undefined) return false
  const sent = await messages.find(deviceId, messageId, chat)
  return sent?.fromMe === true && sent.targetMessageId === target
}

/** How WhatsApp is told which message is meant. */
export const referenceTo = ({ messageId, chat, sender, fromMe }: MessageRow) => ({ messageId, chat, sender, fromMe })

/** @throws conflict when it was deleted */
export const assertThere = (row: MessageRow): void => {
  if (row.revokedAt !== undefined) throw new ParleyError('conflict', 'the message was deleted for everybody')
}

const OrNull = (schema: Parameters<typeof Type.Union>[0][number], description?: string) =>
  Type.Union([schema, Type.Null()], description ? { description } : {})

const Poll = Type.Object({
  question: Type.String(),
  options: Type.Array(Type.String()),
  selectable: Type.Integer({ description: 'How many may be chosen; 0 = any number' }),
})
const Place = Type.Object({
  latitude: Type.Number(),
  longitude: Type.Number(),
  name: OrNull(Type.String()),
  address: OrNull(Type.String()),
})
const Card = Type.Object({ name: Type.String(), vcard: Type.String() })

export const StoredMessage = Type.Object(
  {
    message_id: Type.String(),
    chat_jid: Type.String({ description: 'The chat as WhatsApp addressed it' }),
    from: Type.String({ description: 'JID of the author' }),
    from_pn: OrNull(Type.String(), "The author's phone number JID"),
    from_lid: OrNull(Type.String(), "The author's LID"),
    push_name: OrNull(Type.String()),
    is_from_me: Type.Boolean(),
    type: Type.String({ description: 'text, image, ..., poll, undecryptable, unknown: as in `message.received`' }),
    text: OrNull(Type.String(), 'Text or caption as it reads now; null when deleted'),
    timestamp: Type.Integer({ description: 'Seconds since the epoch' }),
    status: Type.String({
      description: 'accepted, server_ack, delivered, read, played, failed; of others received or read',
    }),
    quoted_message_id: OrNull(Type.String()),
    mentions: Type.Array(Type.String()),
    starred: Type.Boolean(),
    edited_at: OrNull(Type.Integer(), 'Seconds since the epoch of the last edit'),
    edits: Type.Array(Type.Object({ text: OrNull(Type.String()), until: Type.String({ format: 'date-time' }) }), {
      description: 'What it said before, oldest first',
    }),
    revoked_at: OrNull(Type.Integer(), 'Seconds since the epoch at which it was deleted for everybody'),
    revoked_by: OrNull(Type.String()),
    reactions: Type.Array(
      Type.Object({
        emoji: Type.String(),
        from: Type.String({ description: 'JID' }),
        is_from_me: Type.Boolean(),
        reacted_at: Type.String({ format: 'date-time' }),
      }),
    ),
    poll: OrNull(Poll),
    location: OrNull(Place),
    contacts: Type.Array(Card),
  },
  { title: 'StoredMessage' },
)

export const showStored = (row: ShownMessage) => ({
  message_id: row.messageId,
  chat_jid: row.chat,
  from: row.sender,
  from_pn: row.senderPn ?? null,
  from_lid: row.senderLid ?? null,
  push_name: row.pushName ?? null,
  is_from_me: row.fromMe,
  type: row.type,
  text: row.text ?? null,
  timestamp: row.timestamp,
  status: row.state,
  quoted_message_id: row.quotedMessageId ?? null,
  mentions: [...(row.mentions ?? [])],
  starred: row.starred === true,
  edited_at: row.editedAt ?? null,
  edits: row.edits.map(({ text, at }) => ({ text: text ?? null, until: rfc3339OrNull(at)! })),
  revoked_at: row.revokedAt ?? null,
  revoked_by: row.revokedBy ?? null,
  reactions: row.reactions.map(({ emoji, reactor, fromMe, at }) => ({
    emoji,
    from: reactor,
    is_from_me: fromMe,
    reacted_at: rfc3339OrNull(at)!,
  })),
  poll: row.details?.poll ? { ...row.details.poll, options: [...row.details.poll.options] } : null,
  location: row.details?.location
    ? {
        latitude: row.details.location.latitude,
        longitude: row.details.location.longitude,
        name: row.details.location.name ?? null,
        address: row.details.location.address ?? null,
      }
    : null,
  contacts: (row.details?.contacts ?? []).map((card) => ({ ...card })),
})
