import { ok, type Route, route, STORAGE_AWAY } from '../../http/route.ts'
import { ParleyError } from '../../kernel/errors.ts'
import { kindOfJid, parseChat } from '../../kernel/jid.ts'
import type { Sessions } from '../../sessions/index.ts'
import type { DescribedMessage, MessageRepository } from '../../storage/index.ts'
import { rfc3339OrNull } from '../common.ts'
import {
  ChatParams,
  LIMITED_ERRORS,
  MessageParams,
  SENT_EXAMPLE,
  SentMessage,
  sentReply,
  simulationOf,
} from '../messaging.ts'
import { cardRoutes } from './card-routes.ts'
import { MessageQuery, MessageState, MOST_TEXT_BYTES, TextBody } from './schema.ts'

export interface MessageDeps {
  readonly sessions: Pick<Sessions, 'send'>
  readonly storage: { readonly messages: Pick<MessageRepository, 'describe'> }
}

export const messageRoutes = (deps: MessageDeps): Route[] => [
  route({
    id: 'sendText',
    method: 'POST',
    path: '/chats/{chat_jid}/messages',
    auth: 'jwt',
    tag: 'Messaging',
    summary: 'Send plain text',
    description:
      'The message is stored before it leaves, so an accepted one is never lost. `GET /messages/{message_id}` tells what became of it, and so does the event `message.status`.',
    idempotent: true,
    params: ChatParams,
    body: TextBody,
    bodyExample: { text: 'Hello from WhatsApp API!' },
    data: SentMessage,
    success: { example: SENT_EXAMPLE },
    errors: [...LIMITED_ERRORS, { code: 'not_found', when: 'there is no message reply_to_message_id' }],
    handler: async ({ auth, params, body, request }) => {
      const chat = parseChat(params.chat_jid, 'chat_jid')
      if (Buffer.byteLength(body.text) > MOST_TEXT_BYTES)
        throw new ParleyError('bad_request', `text: must have at most ${MOST_TEXT_BYTES} bytes`, { field: 'text' })
      const sent = await deps.sessions.send(auth.device.deviceId, {
        chat,
        content: { kind: 'text', text: body.text },
        ...(request.messageId === undefined ? {} : { messageId: request.messageId }),
        ...(body.reply_to_message_id === undefined ? {} : { replyToMessageId: body.reply_to_message_id }),
        ...(body.mentions === undefined ? {} : { mentions: body.mentions.map(personOf) }),
        ...simulationOf(body),
      })
      return sentReply(sent)
    },
  }),
  ...cardRoutes(deps),
  route({
    id: 'getMessage',
    method: 'GET',
    path: '/messages/{message_id}',
    auth: 'jwt',
    tag: 'Messaging',
    summary: 'What became of a message',
    description: 'Of this device: one it sent, or one it received. Answered from the database, connected or not.',
    params: MessageParams,
    query: MessageQuery,
    data: MessageState,
    success: {
      example: {
        message_id: '3EB0C431C26A1916E07E',
        chat_jid: '6281234567890@s.whatsapp.net',
        conversation_id: '0b1f6a52-2f0e-4c39-8f0c-4be3f1b4a5d1',
        from_me: true,
        type: 'text',
        text: 'Hello from WhatsApp API!',
        timestamp: 1_795_338_000,
        status: 'delivered',
        failure: null,
        receipts: [
          {
            recipient: '6281234567890@s.whatsapp.net',
            delivered_at: '2026-11-22T09:00:01.000Z',
            read_at: null,
            played_at: null,
          },
        ],
      },
    },
    errors: [
      { code: 'bad_request', when: 'several chats have a message of this id, and chat_jid is not given' },
      { code: 'not_found', when: 'the device has no such message' },
      STORAGE_AWAY,
    ],
    handler: async ({ auth, params, query }) => {
      const chat = query.chat_jid === undefined ? undefined : parseChat(query.chat_jid, 'chat_jid')
      const found = await deps.storage.messages.describe(auth.device.deviceId, params.message_id, chat)
      if (found === undefined)
        throw new ParleyError('not_found', `no message ${params.message_id} is known${chat ? ' in this chat' : ''}`)
      if (found === 'ambiguous')
        throw new ParleyError('bad_request', 'chat_jid: several chats have a message of this id; say which one', {
          field: 'chat_jid',
        })
      return ok('Message state', showMessage(found))
    },
  }),
]

/** @throws bad_request for what is no person */
const personOf = (given: string, i: number): string => {
  const field = `mentions[${i}]`
  const jid = parseChat(given, field)
  if (kindOfJid(jid) === 'pn' || kindOfJid(jid) === 'lid') return jid
  throw new ParleyError('bad_request', `${field}: must be a person`, { field })
}

const showMessage = ({ message, receipts }: DescribedMessage) => ({
  message_id: message.messageId,
  chat_jid: message.chat,
  conversation_id: message.conversationId,
  from_me: message.fromMe,
  type: message.type,
  text: message.text ?? null,
  timestamp: message.timestamp,
  status: message.state,
  failure:
    message.state === 'failed'
      ? {
          whatsapp_code: message.failureCode ?? null,
          message: message.failureReason ?? 'the message failed',
        }
      : null,
  receipts: receipts.map(({ recipient, deliveredAt, readAt, playedAt }) => ({
    recipient,
    delivered_at: rfc3339OrNull(deliveredAt),
    read_at: rfc3339OrNull(readAt),
    played_at: rfc3339OrNull(playedAt),
  })),
})
