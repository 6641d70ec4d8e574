import { Type } from 'typebox'
import { NOT_BLANK, ok, type Route, route } from '../../http/route.ts'
import type { Clock } from '../../kernel/clock.ts'
import { ParleyError } from '../../kernel/errors.ts'
import { kindOfJid, parseChat } from '../../kernel/jid.ts'
import type { Sessions } from '../../sessions/index.ts'
import type { ChatRepository, MessageRepository, MessageRow } from '../../storage/index.ts'
import {
  assertThere,
  CONNECTION_ERRORS,
  chatField,
  findMessage,
  findOnlyMessage,
  hasSentAbout,
  LIMITED_ERRORS,
  MessageParams,
  NO_SUCH_MESSAGE,
  referenceTo,
  SENDING_ERRORS,
  SENT_EXAMPLE,
  SentMessage,
  senderField,
  sentReply,
  simulationFields,
  simulationOf,
} from '../messaging.ts'

export interface MessageActionDeps {
  readonly sessions: Pick<Sessions, 'send' | 'connection'>
  readonly storage: {
    readonly messages: Pick<MessageRepository, 'find' | 'describe'>
    readonly chats: Pick<ChatRepository, 'markRead'>
  }
  readonly clock: Pick<Clock, 'now'>
}

/** WhatsApp takes edits for this long. */
const EDIT_WINDOW_MS = 15 * 60_000
const MOST_TEXT_BYTES = 65_536

const Text = Type.String({ pattern: NOT_BLANK, description: `Not blank, at most ${MOST_TEXT_BYTES} bytes of UTF-8` })

/** @throws bad_request */
const checkText = (text: string): void => {
  if (Buffer.byteLength(text) > MOST_TEXT_BYTES)
    throw new ParleyError('bad_request', `text: must have at most ${MOST_TEXT_BYTES} bytes`, { field: 'text' })
}

/** One emoji as people see it, or none. @throws bad_request */
const checkEmoji = (emoji: string): void => {
  const shown = [...new Intl.Segmenter('und', { granularity: 'grapheme' }).segment(emoji)].length
  if (
    emoji === '' ||
    (shown === 1 && /^[\p{Emoji}\p{Extended_Pictographic}\p{RI}]/u.test(emoji) && !/^\d$/.test(emoji))
  )
    return
  throw new ParleyError('bad_request', 'emoji: must be one emoji, or empty to take the reaction back', {
    field: 'emoji',
  })
}

const sendUnder = (messageId: string | undefined) => (messageId === undefined ? {} : { messageId })

export const messageActionRoutes = (deps: MessageActionDeps): Route[] => {
  const { sessions, storage, clock } = deps
  const { messages, chats } = storage

  /** @throws conflict, forbidden, bad_request, unprocessable */
  const assertEditable = (row: MessageRow): void => {
    assertThere(row)
    if (!row.fromMe) throw new ParleyError('forbidden', 'only your own messages can be edited')
    if (row.type !== 'text')
      throw new ParleyError('bad_request', `message_id: only texts can be edited, not ${row.type}`, {
        field: 'message_id',
      })
    if (clock.now() - row.timestamp * 1000 > EDIT_WINDOW_MS)
      throw new ParleyError('unprocessable', 'the message is older than 15 minutes: WhatsApp takes no edit any more')
  }

  /** @throws conflict, forbidden */
  const assertDeletable = async (deviceId: string, row: MessageRow): Promise<void> => {
    assertThere(row)
    if (row.fromMe) return
    if (kindOfJid(row.chat) !== 'group')
      throw new ParleyError('forbidden', "another person's message can be deleted for yourself only (for_me)")
    const connection = await sessions.connection(deviceId)
    if ((await connection.roleIn(row.chat)) !== 'admin')
      throw new ParleyError('forbidden', "only admins of the group can delete another member's message")
  }

  return [
    route({
      id: 'readMessage',
      method: 'POST',
      path: '/messages/{message_id}/read',
      auth: 'jwt',
      tag: 'Message Actions',
      summary: 'Tell the author that a message was read',
      params: MessageParams,
      body: Type.Object({
        ...chatField,
        sender_jid: Type.String({ minLength: 1, maxLength: 255, description: 'Who wrote the message' }),
      }),
      bodyExample: { chat_jid: '6281234567890@s.whatsapp.net', sender_jid: '6281234567890@s.whatsapp.net' },
      errors: [...CONNECTION_ERRORS, NO_SUCH_MESSAGE],
      handler: async ({ auth, params, body }) => {
        const { deviceId } = auth.device
        parseChat(body.sender_jid, 'sender_jid')
        const row = await findMessage(messages, deviceId, params.message_id, body.chat_jid)
        if (row.fromMe)
          throw new ParleyError('bad_request', 'message_id: it is your own message', { field: 'message_id' })
        const connection = await sessions.connection(deviceId)
        await connection.markRead(row.chat, row.sender, [row.messageId])
        await chats.markRead(deviceId, row.conversationId, [row.messageId])
        return ok('Message marked as read')
      },
    }),
    route({
      id: 'reactToMessage',
      method: 'POST',
      path: '/messages/{message_id}/reaction',
      auth: 'jwt',
      tag: 'Message Actions',
      summary: 'React with an emoji; an empty one takes the reaction back',
      idempotent: true,
      params: MessageParams,
      body: Type.Object({
        ...chatField,
        emoji: Type.Optional(Type.String({ maxLength: 64, description: 'One emoji; empty = take it back' })),
        ...senderField,
      }),
      bodyExample: { chat_jid: '6281234567890@s.whatsapp.net', emoji: '👍' },
      data: SentMessage,
      success: { example: SENT_EXAMPLE },
      errors: [...SENDING_ERRORS, NO_SUCH_MESSAGE, { code: 'conflict', when: 'the message was deleted' }],
      handler: async ({ auth, params, body, request }) => {
        const { deviceId } = auth.device
        const emoji = body.emoji ?? ''
        checkEmoji(emoji)
        if (body.sender_jid !== undefined) parseChat(body.sender_jid, 'sender_jid')
        const row = await findMessage(messages, deviceId, params.message_id, body.chat_jid)
        assertThere(row)
        const sent = await sessions.send(deviceId, {
          chat: row.chat,
          content: { kind: 'reaction', target: referenceTo(row), emoji },
          ...sendUnder(request.messageId),
        })
        return sentReply(sent)
      },
    }),
    route({
      id: 'editMessage',
      method: 'PATCH',
      path: '/messages/{message_id}',
      auth: 'jwt',
      tag: 'Message Actions',
      summary: 'Edit a text of your own, within 15 minutes',
      idempotent: true,
      params: MessageParams,
      body: Type.Object({ ...chatField, text: Text }),
      bodyExample: { chat_jid: '6281234567890@s.whatsapp.net', text: 'Updated message text' },
      data: Type.Object({
        message_id: Type.String({ description: 'Id of the edit itself' }),
        target_message_id: Type.String({ description: 'The message that was edited' }),
        edited_at: Type.Integer({ description: 'Seconds since the epoch' }),
      }),
      success: {
        example: {
          message_id: '3EB0C431C26A1916E07E',
          target_message_id: '3EB0AA11BB22CC33DD44',
          edited_at: 1_795_338_000,
        },
      },
      errors: [
        ...SENDING_ERRORS,
        NO_SUCH_MESSAGE,
        { code: 'conflict', when: 'the message was deleted' },
        { code: 'unprocessable', when: 'it is older than 15 minutes' },
      ],
      handler: async ({ auth, params, body, request }) => {
        const { deviceId } = auth.device
        checkText(body.text)
        const row = await findMessage(messages, deviceId, params.message_id, body.chat_jid)
        assertEditable(row)
        const sent = await sessions.send(deviceId, {
          chat: row.chat,
          content: { kind: 'edit', target: referenceTo(row), text: body.text },
          presenceSimulation: false,
          ...sendUnder(request.messageId),
        })
        return ok('Message edited', {
          message_id: sent.messageId,
          target_message_id: row.messageId,
          edited_at: sent.timestamp,
        })
      },
    }),
    route({
      id: 'deleteMessage',
      method: 'DELETE',
      path: '/messages/{message_id}',
      auth: 'jwt',
      tag: 'Message Actions',
      summary: 'Delete a message for everybody, or for this account only',
      description: "In a group an admin may delete another member's message for everybody.",
      idempotent: true,
      params: MessageParams,
      body: Type.Object({
        ...chatField,
        ...senderField,
        for_me: Type.Optional(
          Type.Boolean({ description: 'Deletes it on the devices of this account only; false unless given' }),
        ),
      }),
      bodyExample: { chat_jid: '6281234567890@s.whatsapp.net' },
      errors: [...SENDING_ERRORS, NO_SUCH_MESSAGE, { code: 'conflict', when: 'it was deleted already' }],
      handler: async ({ auth, params, body, request }) => {
        const { deviceId } = auth.device
        if (body.sender_jid !== undefined) parseChat(body.sender_jid, 'sender_jid')
        const row = await findMessage(messages, deviceId, params.message_id, body.chat_jid)
        if (body.for_me === true) {
          const connection = await sessions.connection(deviceId)
          const message = { messageId: row.messageId, fromMe: row.fromMe, sender: row.sender }
          await connection.changeChat(row.chat, { kind: 'delete_for_me', message, deleteMedia: true }, [row])
          return ok('Message deleted for this account')
        }
        if (!(await hasSentAbout(messages, row, request.messageId))) await assertDeletable(deviceId, row)
        await sessions.send(deviceId, {
          chat: row.chat,
          content: { kind: 'revoke', target: referenceTo(row) },
          ...sendUnder(request.messageId),
        })
        return ok('Message deleted for everybody')
      },
    }),
    route({
      id: 'replyToMessage',
      method: 'POST',
      path: '/messages/{message_id}/reply',
      auth: 'jwt',
      tag: 'Message Actions',
      summary: 'Answer a message, which is shown above the answer',
      idempotent: true,
      params: MessageParams,
      body: Type.Object({ ...chatField, text: Text, ...senderField, ...simulationFields }),
      bodyExample: { chat_jid: '6281234567890@s.whatsapp.net', text: 'This is my reply' },
      data: SentMessage,
      success: { example: SENT_EXAMPLE },
      errors: [...LIMITED_ERRORS, NO_SUCH_MESSAGE, { code: 'conflict', when: 'the message was deleted' }],
      handler: async ({ auth, params, body, request }) => {
        const { deviceId } = auth.device
        checkText(body.text)
        if (body.sender_jid !== undefined) parseChat(body.sender_jid, 'sender_jid')
        const row = await findMessage(messages, deviceId, params.message_id, body.chat_jid)
        assertThere(row)
        const sent = await sessions.send(deviceId, {
          chat: row.chat,
          content: { kind: 'text', text: body.text },
          replyToMessageId: row.messageId,
          ...sendUnder(request.messageId),
          ...simulationOf(body),
        })
        return sentReply(sent)
      },
    }),
    route({
      id: 'forwardMessage',
      method: 'POST',
      path: '/messages/{message_id}/forward',
      auth: 'jwt',
      tag: 'Message Actions',
      summary: 'Forward a stored message to another chat',
      idempotent: true,
      params: MessageParams,
      body: Type.Object({
        to_chat_jid: Type.String({ minLength: 1, maxLength: 255, description: 'Where it goes' }),
        chat_jid: Type.Optional(
          Type.String({
            minLength: 1,
            maxLength: 255,
            description: 'The chat of the message; needed only when several chats have one of that id',
          }),
        ),
      }),
      bodyExample: { to_chat_jid: '6281234567890@s.whatsapp.net' },
      data: SentMessage,
      success: { example: SENT_EXAMPLE },
      errors: [
        ...LIMITED_ERRORS,
        { code: 'not_found', when: 'there is no such message' },
        { code: 'conflict', when: 'the message was deleted, or cannot be read here' },
      ],
      handler: async ({ auth, params, body, request }) => {
        const { deviceId } = auth.device
        const to = parseChat(body.to_chat_jid, 'to_chat_jid')
        const row = await findOnlyMessage(messages, deviceId, params.message_id, body.chat_jid)
        assertThere(row)
        const { content, fromMe, type, text, details } = row
        if (!content) throw new ParleyError('conflict', 'the content of the message is not known here')
        const sent = await sessions.send(deviceId, {
          chat: to,
          content: { kind: 'forward', content, fromMe, type, text, ...(details ? { details } : {}) },
          ...sendUnder(request.messageId),
        })
        return sentReply(sent)
      },
    }),
    route({
      id: 'starMessage',
      method: 'POST',
      path: '/messages/{message_id}/star',
      auth: 'jwt',
      tag: 'Message Actions',
      summary: 'Star or unstar a message, on every device of the account',
      params: MessageParams,
      body: Type.Object({
        ...chatField,
        star: Type.Boolean(),
        ...senderField,
        from_me: Type.Optional(Type.Boolean({ description: 'Parley knows it and needs no telling' })),
      }),
      bodyExample: { chat_jid: '6281234567890@s.whatsapp.net', star: true },
      errors: [
        ...CONNECTION_ERRORS,
        NO_SUCH_MESSAGE,
        { code: 'conflict', when: 'the phone has not shared its keys yet, or the message was deleted' },
      ],
      handler: async ({ auth, params, body }) => {
        const { deviceId } = auth.device
        const row = await findMessage(messages, deviceId, params.message_id, body.chat_jid)
        assertThere(row)
        const connection = await sessions.connection(deviceId)
        const message = { messageId: row.messageId, fromMe: row.fromMe, sender: row.sender }
        await connection.changeChat(row.chat, { kind: 'star', message, starred: body.star })
        return ok(body.star ? 'Message starred' : 'Message unstarred')
      },
    }),
  ]
}
