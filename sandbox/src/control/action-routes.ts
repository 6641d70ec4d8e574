// What people do to messages and chats on their phones.
import type { proto } from 'baileys/WAProto/index.js'
import { edit, reactTo, revoke, voteIn } from '../phone/deeds.ts'
import type { PhoneMessage } from '../phone/entries.ts'
import type { Phone } from '../phone/phone.ts'
import { makePoll, readPoll } from '../phone/polls.ts'
import { isGroup } from '../wire/jid.ts'
import { ApiError } from './api-error.ts'
import { type Context, findChat, findMessage, findPerson } from './context.ts'
import { assertOnline, READING, read, sent, to } from './message-routes.ts'
import type { Call, Route } from './router.ts'
import type { Schema } from './schema.ts'
import { makeTimerRoutes } from './timer-routes.ts'
import { listOf, OK, reply } from './views.ts'

const id = { type: 'string', minLength: 1, maxLength: 128 } as const
const SENT = reply({ message_id: { type: 'string' } })
const REFUSALS = {
  404: ['unknown_person', 'unknown_message'],
  409: ['phone_offline'],
  422: ['refused', 'unknown_recipient', 'unknown_group'],
  504: ['no_answer'],
} as const

const MUTATION = reply({
  seq: { type: 'integer' },
  collection: { type: 'string' },
  operation: { type: 'string', enum: ['set', 'remove'] },
  index: listOf({ type: 'string' }),
  value: { type: 'object', properties: {} },
  own: { type: 'boolean', description: 'made on the phone itself' },
})

export function makeActionRoutes(context: Context): Route[] {
  const clock = Date.now
  const onMessage = (
    path: string,
    summary: string,
    properties: Readonly<Record<string, Schema>>,
    act: (phone: Phone, message: PhoneMessage, body: Readonly<Record<string, unknown>>) => Promise<string>,
  ): Route => ({
    method: 'POST',
    path: `/sandbox/people/{phone}/${path}`,
    tag: 'messages',
    summary,
    body: {
      type: 'object',
      properties: { message_id: id, ...properties },
      required: ['message_id', ...Object.keys(properties)],
    },
    reply: SENT,
    refusals: REFUSALS,
    handle: async ({ params, body }: Call) => {
      const { phone } = findPerson(context, params.phone!)
      assertOnline(phone.online)
      const message = findMessage(phone, body.message_id as string)
      if (message === undefined)
        throw new ApiError(404, 'unknown_message', `the phone has no message ${body.message_id}`)
      return sent(act(phone, message, body))
    },
  })
  return [
    ...makeTimerRoutes(context),
    onMessage(
      'react',
      'React to a message; an empty emoji takes it back',
      { emoji: { type: 'string', maxLength: 64 } },
      (phone, message, { emoji }) => phone.perform(reactTo(message, emoji as string, clock())),
    ),
    onMessage(
      'edit',
      'Edit a message',
      { text: { type: 'string', minLength: 1, maxLength: 65_536 } },
      (phone, message, { text }) => phone.perform(edit(message, text as string, clock())),
    ),
    onMessage('revoke', 'Delete a message for everybody', {}, (phone, message) => phone.perform(revoke(message))),
    onMessage(
      'vote',
      'Vote in a poll; no options withdraw the vote',
      { options: { type: 'array', items: { type: 'string', maxLength: 1_000 }, maxItems: 12 } },
      (phone, message, { options }) => {
        if (readPoll(message.content) === undefined) {
          throw new ApiError(404, 'unknown_message', `${message.messageId} is no poll`)
        }
        return phone.perform(voteIn(message, options as string[], phone.account.lidJid, clock()))
      },
    ),
    {
      method: 'POST',
      path: '/sandbox/people/{phone}/poll',
      tag: 'messages',
      summary: 'Set a poll',
      body: {
        type: 'object',
        properties: {
          to,
          question: { type: 'string', minLength: 1, maxLength: 255 },
          options: {
            type: 'array',
            items: { type: 'string', minLength: 1, maxLength: 100 },
            minItems: 2,
            maxItems: 12,
          },
          selectable: { type: 'integer', minimum: 0, maximum: 12, description: '0 = any number; 1 unless given' },
        },
        required: ['to', 'question', 'options'],
      },
      reply: SENT,
      refusals: REFUSALS,
      handle: async ({ params, body }) => {
        const { phone } = findPerson(context, params.phone!)
        const chat = findChat(context, body.to as string)
        assertOnline(phone.online)
        const poll = {
          question: body.question as string,
          options: body.options as string[],
          selectable: (body.selectable as number | undefined) ?? 1,
        }
        return sent(phone.perform({ chat, content: makePoll(poll) }))
      },
    },
    {
      method: 'POST',
      path: '/sandbox/people/{phone}/availability',
      tag: 'messages',
      summary: 'Be online or offline for others',
      body: { type: 'object', properties: { available: { type: 'boolean' } }, required: ['available'] },
      reply: OK,
      refusals: { 404: ['unknown_person'], 409: ['phone_offline'] },
      handle: ({ params, body }) => {
        const { phone } = findPerson(context, params.phone!)
        assertOnline(phone.online)
        phone.setAvailable(body.available as boolean)
        return { ok: true }
      },
    },
    {
      method: 'POST',
      path: '/sandbox/people/{phone}/chat',
      tag: 'messages',
      summary: 'Change how a chat stands, on all devices of the account',
      body: {
        type: 'object',
        properties: {
          chat: to,
          action: {
            type: 'string',
            enum: ['archive', 'pin', 'mute', 'mark_read', 'star', 'delete', 'clear', 'delete_for_me'],
          },
          on: { type: 'boolean', description: 'false undoes it; true unless given' },
          until: { type: 'integer', minimum: -1, description: 'of mute: ms since 1970; -1 = for ever' },
          message_id: { ...id, description: 'of star and delete_for_me' },
        },
        required: ['chat', 'action'],
      },
      reply: OK,
      refusals: REFUSALS,
      handle: async ({ params, body }) => {
        const { phone } = findPerson(context, params.phone!)
        const named = findChat(context, body.chat as string)
        // A phone that has not moved a chat over to LIDs calls it by its number.
        const chat = (body.chat as string).endsWith('@s.whatsapp.net') ? (body.chat as string) : named
        assertOnline(phone.online)
        const message = body.message_id === undefined ? undefined : findMessage(phone, body.message_id as string)
        const { collection, index, value, version } = mutationOf(chat, body, message)
        await sent(phone.changeChat(collection, index, value, version).then(() => ''))
        return { ok: true }
      },
    },
    {
      method: 'GET',
      path: '/sandbox/people/{phone}/chat-changes',
      tag: 'messages',
      summary:
        'How chats were changed, by the phone and by its companions: app state, decrypted and with its MACs verified',
      query: READING,
      reply: reply({ changes: listOf(MUTATION) }),
      refusals: { 404: ['unknown_person'] },
      handle: async (call) => {
        const { phone } = findPerson(context, call.params.phone!)
        return { changes: await read(phone.chatChanges, call, () => true) }
      },
    },
  ]
}

interface Mutation {
  readonly collection: string
  readonly index: readonly string[]
  readonly value: proto.ISyncActionValue
  readonly version: number
}

/** As WhatsApp's phones write them. */
function mutationOf(
  chat: string,
  body: Readonly<Record<string, unknown>>,
  message: PhoneMessage | undefined,
): Mutation {
  const on = body.on !== false
  const low = (index: readonly string[], value: proto.ISyncActionValue, version: number) => ({
    collection: 'regular_low',
    index,
    value,
    version,
  })
  const high = (index: readonly string[], value: proto.ISyncActionValue, version: number) => ({
    collection: 'regular_high',
    index,
    value,
    version,
  })
  switch (body.action) {
    case 'archive':
      return low(['archive', chat], { archiveChatAction: { archived: on } }, 3)
    case 'pin':
      return low(['pin_v1', chat], { pinAction: { pinned: on } }, 5)
    case 'mark_read':
      return low(['markChatAsRead', chat], { markChatAsReadAction: { read: on } }, 3)
    case 'mute':
      return high(
        ['mute', chat],
        { muteAction: { muted: on, ...(on && { muteEndTimestamp: (body.until as number | undefined) ?? -1 }) } },
        2,
      )
    case 'delete':
      return high(['deleteChat', chat, '0'], { deleteChatAction: {} }, 6)
    case 'clear':
      return high(['clearChat', chat, '1', '0'], { clearChatAction: {} }, 6)
    default: {
      if (message === undefined) throw new ApiError(404, 'unknown_message', 'the phone has no such message')
      const author = isGroup(chat) && !message.fromMe ? message.from.lidJid : '0'
      const named = [chat, message.messageId, message.fromMe ? '1' : '0', author]
      return body.action === 'star'
        ? low(['star', ...named], { starAction: { starred: on } }, 2)
        : high(
            ['deleteMessageForMe', ...named],
            { deleteMessageForMeAction: { deleteMedia: false, messageTimestamp: message.timestamp } },
            3,
          )
    }
  }
}
