import { Type } from 'typebox'
import { NOT_BLANK, ok, type Route, route, STORAGE_AWAY } from '../../http/route.ts'
import { ParleyError } from '../../kernel/errors.ts'
import { parseChat } from '../../kernel/jid.ts'
import type { Sessions } from '../../sessions/index.ts'
import type { ChatRepository, MessageRepository, MessageRow } from '../../storage/index.ts'
import {
  assertThere,
  ChatParams,
  chatField,
  findMessage,
  findOnlyMessage,
  hasSentAbout,
  LIMITED_ERRORS,
  referenceTo,
  SENDING_ERRORS,
  SENT_EXAMPLE,
  SentMessage,
  senderField,
  sentReply,
  showSent,
} from '../messaging.ts'

export interface PollDeps {
  readonly sessions: Pick<Sessions, 'send'>
  readonly storage: {
    readonly messages: Pick<MessageRepository, 'find' | 'describe'>
    readonly chats: Pick<ChatRepository, 'votes'>
  }
}

const PollParams = Type.Object({
  poll_id: Type.String({ minLength: 1, maxLength: 128, description: '`message_id` of the poll' }),
})

const NO_SUCH_POLL = { code: 'not_found', when: 'there is no such poll' } as const

/** @throws not_found when it is another kind of message, conflict when it was deleted */
const pollOf = (row: MessageRow) => {
  if (row.type !== 'poll') throw new ParleyError('not_found', `message ${row.messageId} is not a poll`)
  assertThere(row)
  if (!row.details?.poll || !row.content) throw new ParleyError('conflict', 'the content of the poll is not known here')
  return { ...row.details.poll, content: row.content }
}

/** @throws bad_request */
const checkOptions = (options: readonly string[]): void => {
  const seen = new Set<string>()
  for (const [i, option] of options.entries()) {
    if (seen.has(option))
      throw new ParleyError('bad_request', `options[${i}]: is there twice`, { field: `options[${i}]` })
    seen.add(option)
  }
}

export const pollRoutes = ({ sessions, storage }: PollDeps): Route[] => {
  const { messages, chats } = storage
  return [
    route({
      id: 'createPoll',
      method: 'POST',
      path: '/chats/{chat_jid}/polls',
      auth: 'jwt',
      tag: 'Polls',
      summary: 'Create a poll',
      idempotent: true,
      params: ChatParams,
      body: Type.Object({
        question: Type.String({ pattern: NOT_BLANK, maxLength: 255 }),
        options: Type.Array(Type.String({ pattern: NOT_BLANK, maxLength: 100 }), {
          minItems: 2,
          maxItems: 12,
          description: '2 to 12, all different',
        }),
        multi_answer: Type.Optional(Type.Boolean({ description: 'Any number may be chosen; false unless given' })),
      }),
      bodyExample: { question: 'Favourite colour?', options: ['Red', 'Blue'] },
      data: Type.Object({
        ...SentMessage.properties,
        question: Type.String(),
        options: Type.Array(Type.String()),
      }),
      success: { example: { ...SENT_EXAMPLE, question: 'Favourite colour?', options: ['Red', 'Blue'] } },
      errors: LIMITED_ERRORS,
      handler: async ({ auth, params, body, request }) => {
        checkOptions(body.options)
        const sent = await sessions.send(auth.device.deviceId, {
          chat: parseChat(params.chat_jid, 'chat_jid'),
          content: {
            kind: 'poll',
            name: body.question,
            options: body.options,
            selectableCount: body.multi_answer === true ? 0 : 1,
          },
          presenceSimulation: false,
          ...(request.messageId === undefined ? {} : { messageId: request.messageId }),
        })
        return ok('Poll created', { ...showSent(sent), question: body.question, options: [...body.options] })
      },
    }),
    route({
      id: 'voteInPoll',
      method: 'POST',
      path: '/polls/{poll_id}/vote',
      auth: 'jwt',
      tag: 'Polls',
      summary: 'Vote in a poll, change the vote or withdraw it',
      idempotent: true,
      params: PollParams,
      body: Type.Object({
        ...chatField,
        options: Type.Array(Type.String({ maxLength: 1_000 }), {
          maxItems: 12,
          description: 'Names of the chosen options; they replace an earlier choice',
        }),
        withdraw: Type.Optional(Type.Boolean({ description: 'With no options: takes the vote back' })),
        ...senderField,
      }),
      bodyExample: { chat_jid: '120363040000000000@g.us', options: ['Blue'] },
      data: SentMessage,
      success: { example: SENT_EXAMPLE },
      errors: [...LIMITED_ERRORS, NO_SUCH_POLL, { code: 'conflict', when: 'the poll was deleted' }],
      handler: async ({ auth, params, body, request }) => {
        const { deviceId } = auth.device
        if (body.sender_jid !== undefined) parseChat(body.sender_jid, 'sender_jid')
        const bad = (why: string) => new ParleyError('bad_request', `options: ${why}`, { field: 'options' })
        const withdraws = body.withdraw === true
        if (withdraws !== (body.options.length === 0))
          throw bad(
            withdraws ? 'must be empty to withdraw the vote' : 'must have at least one; `withdraw` takes the vote back',
          )
        checkOptions(body.options)
        const row = await findMessage(messages, deviceId, params.poll_id, body.chat_jid)
        const poll = pollOf(row)
        for (const [i, option] of body.options.entries())
          if (!poll.options.includes(option))
            throw new ParleyError('bad_request', `options[${i}]: the poll has no such option`, {
              field: `options[${i}]`,
            })
        if (poll.selectable > 0 && body.options.length > poll.selectable)
          throw bad(`at most ${poll.selectable} may be chosen`)
        const sent = await sessions.send(deviceId, {
          chat: row.chat,
          content: { kind: 'poll_vote', poll: referenceTo(row), pollContent: poll.content, options: body.options },
          ...(request.messageId === undefined ? {} : { messageId: request.messageId }),
        })
        return sentReply(sent)
      },
    }),
    route({
      id: 'getPollResults',
      method: 'GET',
      path: '/polls/{poll_id}/results',
      auth: 'jwt',
      tag: 'Polls',
      summary: 'How a poll stands, with its voters',
      description: 'Counted from the votes that this device received; answered from the database, connected or not.',
      params: PollParams,
      query: Type.Object({
        chat_jid: Type.Optional(
          Type.String({ maxLength: 255, description: 'Needed only when several chats have a message of that id' }),
        ),
      }),
      data: Type.Object({
        poll_id: Type.String(),
        chat_jid: Type.String(),
        question: Type.String(),
        selectable: Type.Integer({ description: 'How many may be chosen; 0 = any number' }),
        options: Type.Array(
          Type.Object({ name: Type.String(), votes: Type.Integer(), voters: Type.Array(Type.String()) }),
        ),
        total_voters: Type.Integer(),
      }),
      success: {
        example: {
          poll_id: '3EB0C431C26A1916E07E',
          chat_jid: '120363040000000000@g.us',
          question: 'Favourite colour?',
          selectable: 1,
          options: [
            { name: 'Red', votes: 0, voters: [] },
            { name: 'Blue', votes: 1, voters: ['6281234567890@s.whatsapp.net'] },
          ],
          total_voters: 1,
        },
      },
      errors: [
        { code: 'bad_request', when: 'several chats have a message of this id, and chat_jid is not given' },
        NO_SUCH_POLL,
        { code: 'conflict', when: 'the poll was deleted' },
        STORAGE_AWAY,
      ],
      handler: async ({ auth, params, query }) => {
        const { deviceId } = auth.device
        const row = await findOnlyMessage(messages, deviceId, params.poll_id, query.chat_jid || undefined)
        const poll = pollOf(row)
        const votes = await chats.votes(deviceId, row.conversationId, row.messageId)
        return ok('Poll results', {
          poll_id: row.messageId,
          chat_jid: row.chat,
          question: poll.question,
          selectable: poll.selectable,
          options: poll.options.map((name) => {
            const voters = votes.filter(({ options }) => options.includes(name)).map(({ voter }) => voter)
            return { name, votes: voters.length, voters }
          }),
          total_voters: votes.length,
        })
      },
    }),
    route({
      id: 'deletePoll',
      method: 'DELETE',
      path: '/polls/{poll_id}',
      auth: 'jwt',
      tag: 'Polls',
      summary: 'Delete a poll of your own for everybody',
      idempotent: true,
      params: PollParams,
      body: Type.Object({ ...chatField }),
      bodyExample: { chat_jid: '120363040000000000@g.us' },
      errors: [...SENDING_ERRORS, NO_SUCH_POLL, { code: 'conflict', when: 'it was deleted already' }],
      handler: async ({ auth, params, body, request }) => {
        const { deviceId } = auth.device
        const row = await findMessage(messages, deviceId, params.poll_id, body.chat_jid)
        if (!(await hasSentAbout(messages, row, request.messageId))) pollOf(row)
        if (!row.fromMe) throw new ParleyError('forbidden', 'only your own polls can be deleted here')
        await sessions.send(deviceId, {
          chat: row.chat,
          content: { kind: 'revoke', target: referenceTo(row) },
          ...(request.messageId === undefined ? {} : { messageId: request.messageId }),
        })
        return ok('Poll deleted')
      },
    }),
  ]
}
