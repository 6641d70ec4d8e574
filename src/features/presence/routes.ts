import { Type } from 'typebox'
import { ok, type Route, route } from '../../http/route.ts'
import { ParleyError } from '../../kernel/errors.ts'
import { kindOfJid, parseChat } from '../../kernel/jid.ts'
import type { Sessions } from '../../sessions/index.ts'
import { ChatParams, CONNECTION_ERRORS } from '../messaging.ts'

export interface PresenceDeps {
  readonly sessions: Pick<Sessions, 'connection' | 'resolve' | 'watchPresence'>
}

const NOT_ON_WHATSAPP = { code: 'not_on_whatsapp', when: 'the number is not on WhatsApp' } as const

const ChatPresenceBody = Type.Object({
  state: Type.Optional(Type.Enum(['composing', 'paused', 'recording'])),
  media: Type.Optional(Type.Enum(['text', 'audio'], { description: 'audio: a voice note is recorded' })),
  presence_type: Type.Optional(Type.Enum(['composing', 'paused', 'recording'], { description: 'The same as state' })),
  media_type: Type.Optional(Type.Enum(['text', 'audio', 'video'], { description: 'The same as media' })),
})

export const presenceRoutes = ({ sessions }: PresenceDeps): Route[] => [
  route({
    id: 'showChatPresence',
    method: 'POST',
    path: '/chats/{chat_jid}/presence',
    auth: 'jwt',
    tag: 'Presence & Status',
    summary: 'Show in a chat that you type or record, or have stopped',
    params: ChatParams,
    body: ChatPresenceBody,
    bodyExample: { state: 'composing' },
    errors: [...CONNECTION_ERRORS, NOT_ON_WHATSAPP],
    handler: async ({ auth, params, body }) => {
      const { deviceId } = auth.device
      const state = body.state ?? body.presence_type
      if (state === undefined) throw new ParleyError('bad_request', 'state: is required', { field: 'state' })
      const audio = (body.media ?? body.media_type) === 'audio'
      const chat = parseChat(params.chat_jid, 'chat_jid')
      const { jid } = await sessions.resolve(deviceId, chat, 'chat_jid')
      const connection = await sessions.connection(deviceId)
      await connection.sendChatState(jid, state === 'composing' && audio ? 'recording' : state)
      return ok('Shown')
    },
  }),
  route({
    id: 'setPresence',
    method: 'POST',
    path: '/presence/status',
    auth: 'jwt',
    tag: 'Presence & Status',
    summary: 'Be online or offline for others',
    description: 'While online the phone shows no notifications of its own.',
    body: Type.Object({ status: Type.Enum(['available', 'unavailable']) }),
    bodyExample: { status: 'available' },
    errors: [
      ...CONNECTION_ERRORS,
      { code: 'conflict', when: "right after linking: the phone has not told the account's name yet" },
    ],
    handler: async ({ auth, body }) => {
      const connection = await sessions.connection(auth.device.deviceId)
      await connection.sendPresence(body.status)
      return ok(body.status === 'available' ? 'Online' : 'Offline')
    },
  }),
  route({
    id: 'watchPresence',
    method: 'POST',
    path: '/presence/subscribe',
    auth: 'jwt',
    tag: 'Presence & Status',
    summary: 'Watch when somebody comes online and goes offline',
    description: 'Told by the event `presence.update`. Holds over reconnections, until the gateway is restarted.',
    body: Type.Object({
      jid: Type.String({ minLength: 1, maxLength: 255, description: 'A person: JID or phone number' }),
    }),
    bodyExample: { jid: '6281234567890@s.whatsapp.net' },
    errors: [...CONNECTION_ERRORS, NOT_ON_WHATSAPP],
    handler: async ({ auth, body }) => {
      const { deviceId } = auth.device
      const person = parseChat(body.jid, 'jid')
      if (kindOfJid(person) !== 'pn' && kindOfJid(person) !== 'lid')
        throw new ParleyError('bad_request', 'jid: must be a person', { field: 'jid' })
      const { jid } = await sessions.resolve(deviceId, person, 'jid')
      await sessions.watchPresence(deviceId, jid)
      return ok('Watched')
    },
  }),
]
