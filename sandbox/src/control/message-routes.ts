import type { TypingState } from '../phone/entries.ts'
import type { EventLog } from '../phone/event-log.ts'
import { NoAnswerError, OfflineError, StanzaError } from '../phone/stanza-client.ts'
import { ApiError } from './api-error.ts'
import { type Context, findAccount, findChat, findMessage, findPerson } from './context.ts'
import type { Call, Route } from './router.ts'
import { listOf, MESSAGE, OK, PRESENCE, RECEIPT, reply, showMessage, showPresence, showReceipt } from './views.ts'

const MAX_WAIT_MS = 60_000

export const READING = {
  after: { type: 'integer', minimum: 0, description: 'only what is newer than this seq' },
  wait_ms: {
    type: 'integer',
    minimum: 0,
    maximum: MAX_WAIT_MS,
    description: 'how long to wait for something when there is nothing',
  },
} as const

export const to = {
  type: 'string',
  minLength: 1,
  maxLength: 100,
  description: 'phone number, address (by phone number or LID) or group',
} as const

export function makeMessageRoutes(context: Context): Route[] {
  const { accounts } = context.service
  return [
    {
      method: 'POST',
      path: '/sandbox/people/{phone}/send',
      tag: 'messages',
      summary: 'Write a text',
      body: {
        type: 'object',
        properties: {
          to,
          text: { type: 'string', minLength: 1, maxLength: 65_536 },
          quoted_message_id: { type: 'string', minLength: 1, maxLength: 128 },
        },
        required: ['to', 'text'],
      },
      reply: reply({ message_id: { type: 'string' } }),
      refusals: {
        404: ['unknown_person'],
        409: ['phone_offline'],
        422: ['unknown_recipient', 'unknown_group', 'refused'],
        504: ['no_answer'],
      },
      handle: async ({ params, body }) => {
        const { phone } = findPerson(context, params.phone!)
        const chat = findChat(context, body.to as string)
        assertOnline(phone.online)
        return sent(phone.sendText(chat, body.text as string, body.quoted_message_id as string))
      },
    },
    {
      method: 'GET',
      path: '/sandbox/people/{phone}/messages',
      tag: 'messages',
      summary: 'What the phone received, decrypted',
      query: {
        ...READING,
        from: { ...to, description: 'only what this person wrote' },
        include_sent: { type: 'boolean', description: 'also what was written on the phone itself' },
      },
      reply: reply({ messages: listOf(MESSAGE) }),
      refusals: { 404: ['unknown_person'], 422: ['unknown_recipient'] },
      handle: async (call) => {
        const { phone } = findPerson(context, call.params.phone!)
        const { from, include_sent } = call.query
        const author = from === undefined ? undefined : findAccount(context, String(from))
        if (from !== undefined && author === undefined) {
          throw new ApiError(422, 'unknown_recipient', `nobody has the number or address ${from}`)
        }
        const found = await read(
          phone.messages,
          call,
          (message) =>
            (include_sent === true || !message.sentHere) && (author === undefined || message.from === author),
        )
        return { messages: found.map((message) => showMessage(message, accounts, (id) => findMessage(phone, id))) }
      },
    },
    {
      method: 'GET',
      path: '/sandbox/people/{phone}/receipts',
      tag: 'messages',
      summary: 'The receipts that the phone got for its messages',
      query: READING,
      reply: reply({ receipts: listOf(RECEIPT) }),
      refusals: { 404: ['unknown_person'] },
      handle: async (call) => {
        const { phone } = findPerson(context, call.params.phone!)
        const found = await read(phone.receipts, call, () => true)
        return { receipts: found.map(showReceipt) }
      },
    },
    {
      method: 'GET',
      path: '/sandbox/people/{phone}/presences',
      tag: 'messages',
      summary: 'Who typed to the phone, and who of those it watches went online or offline',
      query: READING,
      reply: reply({ presences: listOf(PRESENCE) }),
      refusals: { 404: ['unknown_person'] },
      handle: async (call) => {
        const { phone } = findPerson(context, call.params.phone!)
        const found = await read(phone.presences, call, () => true)
        return { presences: found.map(showPresence) }
      },
    },
    {
      method: 'POST',
      path: '/sandbox/people/{phone}/watch',
      tag: 'messages',
      summary: 'Let the phone be told when somebody goes online and offline',
      body: { type: 'object', properties: { to }, required: ['to'] },
      reply: OK,
      refusals: { 404: ['unknown_person'], 409: ['phone_offline'], 422: ['unknown_recipient'] },
      handle: ({ params, body }) => {
        const { phone } = findPerson(context, params.phone!)
        const chat = findChat(context, body.to as string)
        assertOnline(phone.online)
        phone.watch(chat)
        return { ok: true }
      },
    },
    {
      method: 'POST',
      path: '/sandbox/people/{phone}/read',
      tag: 'messages',
      summary: 'Read messages: their authors get a read receipt',
      body: {
        type: 'object',
        properties: {
          chat: to,
          message_ids: {
            type: 'array',
            items: { type: 'string', minLength: 1, maxLength: 128 },
            minItems: 1,
            maxItems: 1000,
          },
          played: { type: 'boolean', description: 'true: played, as a voice note is; the receipt says so' },
        },
        required: ['chat', 'message_ids'],
      },
      reply: reply({ read: listOf({ type: 'string' }) }),
      refusals: { 404: ['unknown_person', 'unknown_message'], 409: ['phone_offline'], 422: ['unknown_recipient'] },
      handle: ({ params, body }) => {
        const { phone } = findPerson(context, params.phone!)
        const chat = findChat(context, body.chat as string)
        assertOnline(phone.online)
        const wanted = body.message_ids as string[]
        const unknown = phone.markRead(chat, wanted, body.played === true ? 'played' : 'read')
        if (unknown.length > 0) {
          throw new ApiError(404, 'unknown_message', `not received in this chat: ${unknown.join(', ')}`)
        }
        return { read: wanted }
      },
    },
    {
      method: 'POST',
      path: '/sandbox/people/{phone}/typing',
      tag: 'messages',
      summary: 'Show or end "typing..."',
      body: {
        type: 'object',
        properties: { to, state: { type: 'string', enum: ['composing', 'recording', 'paused'] } },
        required: ['to', 'state'],
      },
      reply: OK,
      refusals: { 404: ['unknown_person'], 409: ['phone_offline'], 422: ['unknown_recipient', 'unknown_group'] },
      handle: ({ params, body }) => {
        const { phone } = findPerson(context, params.phone!)
        const chat = findChat(context, body.to as string)
        assertOnline(phone.online)
        phone.sendTyping(chat, body.state as TypingState)
        return { ok: true }
      },
    },
  ]
}

/** The reply to a message that was sent. @throws ApiError when the service did not take it */
export async function sent(sending: Promise<string>): Promise<{ readonly message_id: string }> {
  try {
    return { message_id: await sending }
  } catch (error) {
    if (error instanceof StanzaError) throw new ApiError(422, 'refused', `the service answered ${error.code}`)
    if (error instanceof OfflineError) throw new ApiError(409, 'phone_offline', error.message)
    if (error instanceof NoAnswerError) throw new ApiError(504, 'no_answer', error.message)
    throw error
  }
}

export function assertOnline(online: boolean): void {
  if (!online) throw new ApiError(409, 'phone_offline', 'the phone has no network')
}

/** The entries after `after`; waits up to `wait_ms` for the first one, unless the caller goes away. */
export async function read<Entry extends { readonly seq: number }>(
  log: EventLog<Entry>,
  { query, signal }: Call,
  fits: (entry: Entry) => boolean,
): Promise<readonly Entry[]> {
  const wait = Number(query.wait_ms ?? 0)
  const end = wait === 0 ? AbortSignal.abort() : AbortSignal.any([signal, AbortSignal.timeout(wait)])
  return log.wait(Number(query.after ?? 0), fits, end)
}
