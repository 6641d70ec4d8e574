// What people do with disappearing messages.
import { setTimer, timedText } from '../phone/deeds.ts'
import { ApiError } from './api-error.ts'
import { type Context, findChat, findPerson } from './context.ts'
import { assertOnline, sent, to } from './message-routes.ts'
import type { Route } from './router.ts'
import { OK, reply } from './views.ts'

const seconds = { type: 'integer', minimum: 0, maximum: 7_776_000, description: '0 = messages stay' } as const

export function makeTimerRoutes(context: Context): Route[] {
  const { service } = context
  return [
    {
      method: 'POST',
      path: '/sandbox/people/{phone}/timer',
      tag: 'messages',
      summary: 'Set after how long messages of a chat or a group disappear',
      body: { type: 'object', properties: { to, seconds }, required: ['to', 'seconds'] },
      reply: OK,
      refusals: {
        404: ['unknown_person'],
        409: ['phone_offline'],
        422: ['refused', 'unknown_recipient', 'unknown_group'],
        504: ['no_answer'],
      },
      handle: async ({ params, body }) => {
        const { phone } = findPerson(context, params.phone!)
        const chat = findChat(context, body.to as string)
        assertOnline(phone.online)
        const group = service.groups.byJid(chat)
        if (group === undefined) await sent(phone.perform(setTimer(chat, body.seconds as number, Date.now())))
        else if (
          !group.members.has(phone.account) ||
          !service.groups.setTimer(group, phone.account.phone, body.seconds as number)
        )
          throw new ApiError(422, 'refused', 'only admins set the timer of this group')
        return { ok: true }
      },
    },
    {
      method: 'POST',
      path: '/sandbox/people/{phone}/send-timed',
      tag: 'messages',
      summary: 'Write a text that says itself after how long it disappears',
      body: {
        type: 'object',
        properties: {
          to,
          text: { type: 'string', minLength: 1, maxLength: 65_536 },
          seconds,
          set_at: {
            type: 'integer',
            minimum: 0,
            description: 'seconds since 1970: when the timer was set; 0 = not said',
          },
        },
        required: ['to', 'text', 'seconds', 'set_at'],
      },
      reply: reply({ message_id: { type: 'string' } }),
      refusals: {
        404: ['unknown_person'],
        409: ['phone_offline'],
        422: ['refused', 'unknown_recipient', 'unknown_group'],
        504: ['no_answer'],
      },
      handle: async ({ params, body }) => {
        const { phone } = findPerson(context, params.phone!)
        const chat = findChat(context, body.to as string)
        assertOnline(phone.online)
        const { text, seconds: after, set_at: setAt } = body as { text: string; seconds: number; set_at: number }
        return sent(phone.perform(timedText(chat, text, after, setAt)))
      },
    },
    {
      method: 'POST',
      path: '/sandbox/people/{phone}/default-timer',
      tag: 'messages',
      summary: 'Set after how long messages of new chats disappear',
      body: { type: 'object', properties: { seconds }, required: ['seconds'] },
      reply: OK,
      refusals: { 404: ['unknown_person'], 409: ['phone_offline'] },
      handle: ({ params, body }) => {
        const { phone } = findPerson(context, params.phone!)
        assertOnline(phone.online)
        service.setDefaultTimer(phone.account.phone, body.seconds as number)
        return { ok: true }
      },
    },
  ]
}
