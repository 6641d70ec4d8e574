import { Type } from 'typebox'
import { ok, type Route, route, STORAGE_AWAY } from '../../http/route.ts'
import type { Clock } from '../../kernel/clock.ts'
import { ParleyError } from '../../kernel/errors.ts'
import { parseChat } from '../../kernel/jid.ts'
import type { ChatChange } from '../../kernel/message-facts.ts'
import type { Sessions } from '../../sessions/index.ts'
import type { ChatRepository } from '../../storage/index.ts'
import { rfc3339OrNull } from '../common.ts'
import { ChatParams, CONNECTION_ERRORS, SENDING_ERRORS, StoredMessage, showStored } from '../messaging.ts'
import { readChatCursor, readMessageCursor, writeChatCursor } from './cursors.ts'

export interface ChatDeps {
  readonly sessions: Pick<Sessions, 'connection' | 'resolve' | 'send'>
  readonly storage: { readonly chats: ChatRepository }
  readonly clock: Pick<Clock, 'now'>
}

const MOST = 200
/** The newest messages that a change of a chat names, as WhatsApp's clients do. */
const COVERED = 1
/** Read receipts of one call; what is older is read by the change itself. */
const MOST_RECEIPTS = 500

const limit = (fallback: number) =>
  Type.Optional(Type.Integer({ minimum: 1, maximum: MOST, default: fallback, description: `At most ${MOST}` }))
const text = (description: string) => Type.Optional(Type.String({ maxLength: 255, description }))
const textOrNull = (description: string) => Type.Union([Type.String(), Type.Null()], { description })

const Chat = Type.Object(
  {
    chat_jid: Type.String({ description: 'The chat as WhatsApp addressed it' }),
    conversation_id: Type.String({ format: 'uuid', description: 'As in events; stays when the chat changes its JID' }),
    pn: textOrNull('Phone number JID of the other person'),
    lid: textOrNull('LID of the other person'),
    name: textOrNull('The name the other person gives themselves'),
    is_group: Type.Boolean(),
    unread_count: Type.Integer({ minimum: 0 }),
    marked_unread: Type.Boolean({ description: 'Marked as unread by hand' }),
    archived: Type.Boolean(),
    pinned: Type.Boolean(),
    muted: Type.Boolean(),
    muted_until: textOrNull('Null when not muted, or for ever'),
    disappearing_seconds: Type.Union([Type.Integer(), Type.Null()], {
      description: 'After which messages disappear; null when not known',
    }),
    last_message_at: Type.Integer({ description: 'Seconds since the epoch' }),
    last_message: Type.Union([StoredMessage, Type.Null()]),
  },
  { title: 'Chat' },
)

const DISAPPEARING = { off: 0, '24h': 86_400, '7d': 604_800, '90d': 7_776_000 } as const

export const chatRoutes = (deps: ChatDeps): Route[] => {
  const { sessions, clock } = deps
  const { chats } = deps.storage

  /** Changes a chat that is known here, or that exists on WhatsApp. */
  const change = async (deviceId: string, given: string, what: ChatChange): Promise<void> => {
    const chat = parseChat(given, 'chat_jid')
    const connection = await sessions.connection(deviceId)
    const known = await chats.find(deviceId, chat)
    const jid = known?.chat ?? (await sessions.resolve(deviceId, chat, 'chat_jid')).jid
    const last = known ? await chats.history(deviceId, known.conversationId, { limit: COVERED }) : []
    await connection.changeChat(jid, what, last === 'unknown_cursor' ? [] : last)
  }

  const changed = (specific: {
    readonly id: string
    readonly path: string
    readonly summary: string
    readonly field: 'archive' | 'pin'
    readonly make: (on: boolean) => ChatChange
    readonly words: readonly [string, string]
  }): Route =>
    route({
      id: specific.id,
      method: 'POST',
      path: specific.path,
      auth: 'jwt',
      tag: 'Messaging',
      summary: specific.summary,
      description: 'Holds on every device of the account.',
      params: ChatParams,
      body: Type.Object({ [specific.field]: Type.Boolean() } as Record<
        'archive' | 'pin',
        ReturnType<typeof Type.Boolean>
      >),
      bodyExample: { [specific.field]: true },
      errors: CHANGE_ERRORS,
      handler: async ({ auth, params, body }) => {
        const on = (body as Record<string, unknown>)[specific.field] === true
        await change(auth.device.deviceId, params.chat_jid, specific.make(on))
        return ok(specific.words[on ? 0 : 1])
      },
    })

  return [
    route({
      id: 'listChats',
      method: 'GET',
      path: '/chats',
      auth: 'jwt',
      tag: 'Messaging',
      summary: 'Chats that have messages, newest first',
      description: 'Answered from the database, connected or not.',
      query: Type.Object({
        limit: limit(50),
        before: text('`next` of the page before'),
        archived: Type.Optional(
          Type.Boolean({ description: 'Only those that are archived, or only those that are not' }),
        ),
      }),
      data: Type.Object({
        chats: Type.Array(Chat),
        next: textOrNull('Give it as `before` for the next page; null at the end'),
      }),
      success: { example: { chats: [], next: null } },
      errors: [{ code: 'bad_request', when: 'limit or before is malformed' }, STORAGE_AWAY],
      handler: async ({ auth, query }) => {
        const size = query.limit ?? 50
        const rows = await chats.list(auth.device.deviceId, {
          limit: size,
          ...(query.before ? { before: readChatCursor(query.before) } : {}),
          ...(query.archived === undefined ? {} : { archived: query.archived }),
        })
        const now = clock.now()
        return ok('Chats', {
          chats: rows.map((row) => ({
            chat_jid: row.chat,
            conversation_id: row.conversationId,
            pn: row.pn ?? null,
            lid: row.lid ?? null,
            name: row.pushName ?? null,
            is_group: row.chat.endsWith('@g.us'),
            unread_count: row.unreadCount,
            marked_unread: row.markedUnread,
            archived: row.archived,
            pinned: row.pinnedAt !== undefined,
            muted: row.mutedUntil !== undefined && (row.mutedUntil < 0 || row.mutedUntil > now),
            muted_until: row.mutedUntil !== undefined && row.mutedUntil > now ? rfc3339OrNull(row.mutedUntil) : null,
            disappearing_seconds: row.disappearing ?? null,
            last_message_at: row.lastAt ?? 0,
            last_message: row.lastMessage ? showStored(row.lastMessage) : null,
          })),
          next: rows.length === size ? writeChatCursor(rows.at(-1)!.cursor) : null,
        })
      },
    }),
    route({
      id: 'listMessages',
      method: 'GET',
      path: '/chats/{chat_jid}/messages',
      auth: 'jwt',
      tag: 'Messaging',
      summary: 'Stored messages of a chat, newest first',
      description:
        'Answered from the database, connected or not. A person is found by phone number and by LID. For older messages give the last `message_id` as `before`. Reactions, edits and revocations are shown on the message they are about.',
      params: ChatParams,
      query: Type.Object({
        limit: limit(50),
        before: text('Only older ones: than this message, or than this time (seconds since the epoch)'),
        after: text('Only newer ones: than this message, or than this time; alone it gives the oldest of those'),
        q: Type.Optional(
          Type.String({ maxLength: 500, description: 'Words of the text, or their beginnings, in any script' }),
        ),
      }),
      data: Type.Object({
        chat_jid: Type.String(),
        limit: Type.Integer(),
        before: Type.String(),
        after: Type.String(),
        messages: Type.Array(StoredMessage),
      }),
      success: {
        example: { chat_jid: '6281234567890@s.whatsapp.net', limit: 50, before: '', after: '', messages: [] },
      },
      errors: [
        { code: 'bad_request', when: 'chat_jid is malformed, or before or after names no message' },
        STORAGE_AWAY,
      ],
      handler: async ({ auth, params, query }) => {
        const { deviceId } = auth.device
        const chat = parseChat(params.chat_jid, 'chat_jid')
        const { limit: size = 50, before = '', after = '', q } = query
        const known = await chats.find(deviceId, chat)
        const rows = known
          ? await chats.history(deviceId, known.conversationId, {
              limit: size,
              ...(await cursor('before', before, deviceId, known.conversationId)),
              ...(await cursor('after', after, deviceId, known.conversationId)),
              ...(q?.trim() ? { search: q } : {}),
            })
          : []
        if (rows === 'unknown_cursor')
          throw new ParleyError('bad_request', 'before: names no message of this chat', { field: 'before' })
        return ok('Messages', {
          chat_jid: known?.chat ?? chat,
          limit: size,
          before,
          after,
          messages: rows.map(showStored),
        })
      },
    }),
    changed({
      id: 'archiveChat',
      path: '/chats/{chat_jid}/archive',
      summary: 'Archive a chat, or take it back',
      field: 'archive',
      make: (archived) => ({ kind: 'archive', archived }),
      words: ['Chat archived', 'Chat unarchived'],
    }),
    changed({
      id: 'pinChat',
      path: '/chats/{chat_jid}/pin',
      summary: 'Pin or unpin a chat',
      field: 'pin',
      make: (pinned) => ({ kind: 'pin', pinned }),
      words: ['Chat pinned', 'Chat unpinned'],
    }),
    route({
      id: 'muteChat',
      method: 'POST',
      path: '/chats/{chat_jid}/mute',
      auth: 'jwt',
      tag: 'Messaging',
      summary: 'Mute or unmute a chat',
      description: 'Holds on every device of the account.',
      params: ChatParams,
      body: Type.Object({
        muted: Type.Boolean(),
        duration: Type.Optional(
          Type.Integer({ minimum: 0, maximum: 3_153_600_000, description: 'Seconds; 0 = for ever' }),
        ),
      }),
      bodyExample: { muted: true, duration: 28_800 },
      errors: CHANGE_ERRORS,
      handler: async ({ auth, params, body }) => {
        const duration = body.duration ?? 0
        const until = !body.muted ? undefined : duration === 0 ? -1 : clock.now() + duration * 1000
        await change(auth.device.deviceId, params.chat_jid, { kind: 'mute', until })
        return ok(body.muted ? 'Chat muted' : 'Chat unmuted')
      },
    }),
    route({
      id: 'markChatRead',
      method: 'POST',
      path: '/chats/{chat_jid}/mark-read',
      auth: 'jwt',
      tag: 'Messaging',
      summary: 'Mark a chat as read or unread',
      description: 'As read: the authors of unread messages get read receipts. Holds on every device of the account.',
      params: ChatParams,
      body: Type.Object({
        read: Type.Boolean(),
        last_message_ts: Type.Optional(
          Type.Integer({ minimum: 0, description: 'Parley knows the last message and needs no telling' }),
        ),
      }),
      bodyExample: { read: true },
      errors: CHANGE_ERRORS,
      handler: async ({ auth, params, body }) => {
        const { deviceId } = auth.device
        const known = await chats.find(deviceId, parseChat(params.chat_jid, 'chat_jid'))
        if (body.read && known) await sendReceipts(deviceId, known.conversationId)
        await change(deviceId, params.chat_jid, { kind: 'mark_read', read: body.read })
        return ok(body.read ? 'Chat marked as read' : 'Chat marked as unread')
      },
    }),
    route({
      id: 'deleteChat',
      method: 'DELETE',
      path: '/chats/{chat_jid}',
      auth: 'jwt',
      tag: 'Messaging',
      summary: 'Delete a chat with its messages',
      description: 'On every device of the account and here; the others keep theirs.',
      params: ChatParams,
      body: Type.Object({
        delete_media: Type.Optional(Type.Boolean({ description: 'Files too; false unless given' })),
      }),
      bodyOptional: true,
      bodyExample: { delete_media: false },
      errors: CHANGE_ERRORS,
      handler: async ({ auth, params, body }) => {
        await change(auth.device.deviceId, params.chat_jid, {
          kind: 'delete',
          deleteMedia: body.delete_media === true,
        })
        return ok('Chat deleted')
      },
    }),
    route({
      id: 'setChatTimer',
      method: 'PATCH',
      path: '/chats/{chat_jid}/disappearing-timer',
      auth: 'jwt',
      tag: 'Presence & Status',
      summary: 'Set after how long messages of a chat disappear',
      params: ChatParams,
      body: Type.Object({ timer: Type.Enum(['off', '24h', '7d', '90d']) }),
      bodyExample: { timer: '24h' },
      errors: SENDING_ERRORS,
      handler: async ({ auth, params, body }) => {
        const { deviceId } = auth.device
        const chat = parseChat(params.chat_jid, 'chat_jid')
        const seconds = DISAPPEARING[body.timer]
        if (chat.endsWith('@g.us')) {
          await (await sessions.connection(deviceId)).setGroupDisappearing(chat, seconds)
          await chats.setTimer(deviceId, chat, { seconds, setAt: Math.floor(clock.now() / 1000) })
        } else await sessions.send(deviceId, { chat, content: { kind: 'disappearing', seconds } })
        return ok(seconds === 0 ? 'Messages of this chat stay' : `Messages of this chat disappear after ${body.timer}`)
      },
    }),
    route({
      id: 'setDefaultTimer',
      method: 'PATCH',
      path: '/users/me/disappearing-timer',
      auth: 'jwt',
      tag: 'Presence & Status',
      summary: 'Set after how long messages of new chats disappear',
      body: Type.Object({ timer: Type.Enum(['off', '24h', '7d', '90d']) }),
      bodyExample: { timer: '24h' },
      errors: CONNECTION_ERRORS,
      handler: async ({ auth, body }) => {
        const connection = await sessions.connection(auth.device.deviceId)
        await connection.setDefaultDisappearing(DISAPPEARING[body.timer])
        return ok('Default timer set')
      },
    }),
  ]

  async function cursor(name: 'before' | 'after', given: string, deviceId: string, conversationId: string) {
    if (given === '') return {}
    const found = await readMessageCursor(given, (one) =>
      chats.history(deviceId, conversationId, { limit: 1, before: one }),
    )
    if (!found) throw new ParleyError('bad_request', `${name}: names no message of this chat`, { field: name })
    return { [name]: found }
  }

  async function sendReceipts(deviceId: string, conversationId: string): Promise<void> {
    const connection = await sessions.connection(deviceId)
    const unread = await chats.unread(deviceId, conversationId, MOST_RECEIPTS)
    for (const [, rows] of Map.groupBy(unread, ({ chat, sender }) => `${chat} ${sender}`)) {
      const ids = rows.map(({ messageId }) => messageId)
      await connection.markRead(rows[0]!.chat, rows[0]!.sender, ids)
      await chats.markRead(deviceId, conversationId, ids)
    }
  }
}

const CHANGE_ERRORS = [
  ...CONNECTION_ERRORS,
  { code: 'not_on_whatsapp', when: 'the number is not on WhatsApp' },
  { code: 'conflict', when: 'the phone has not shared its keys yet, or others keep changing chats at the same time' },
] as const
