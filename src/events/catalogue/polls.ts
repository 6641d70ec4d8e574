import { Type } from 'typebox'
import type { MessageDetails } from '../../kernel/message-facts.ts'
import { event } from '../event.ts'
import { chatFields, ownJid, personFields, text, unixSeconds } from './fields.ts'

const common = { jid: ownJid, message_id: text('WhatsApp id of this message'), ...chatFields, ...personFields }
const example = {
  jid: '6289876543210',
  message_id: '3EB0C767D26A1B4F5A83',
  chat: '120363040000000000@g.us',
  chat_pn: null,
  chat_lid: null,
  conversation_id: '0b1f6a52-2f0e-4c39-8f0c-4be3f1b4a5d1',
  is_group: true,
  from: '182736455463728@lid',
  from_pn: '6281234567890@s.whatsapp.net',
  from_lid: '182736455463728@lid',
  contact_id: '5f0c7d1e-9a53-4f0b-8f1d-2d9b8a6c7e10',
  is_from_me: false,
}
const pollId = text('`message_id` of the poll')
const names = (description: string) => Type.Array(Type.String(), { description })

export const pollCreated = event({
  name: 'poll.created',
  category: 'Polls',
  description: 'A poll was received; `message.received` with type `poll` comes as well.',
  payload: Type.Object({
    ...common,
    poll_name: text('The question'),
    options: names('What can be chosen'),
    options_count: Type.Integer({ minimum: 0 }),
    selectable_options: Type.Integer({ minimum: 0, description: 'How many may be chosen; 0 = any number' }),
    timestamp: unixSeconds('Seconds since the epoch'),
  }),
  example: {
    ...example,
    poll_name: 'When shall we meet?',
    options: ['Today', 'Tomorrow'],
    options_count: 2,
    selectable_options: 1,
    timestamp: 1795348800,
  },
})

const votePayload = Type.Object({
  ...common,
  poll_id: pollId,
  decrypted: Type.Boolean({ description: 'False when the poll is not stored here, so that its votes cannot be read' }),
  selected_options: names('Names of the options chosen now; none = the vote was withdrawn'),
  timestamp: unixSeconds('Seconds since the epoch'),
})
const voteExample = {
  ...example,
  poll_id: '3EB0AA11BB22CC33DD44',
  decrypted: true,
  selected_options: ['Tomorrow'],
  timestamp: 1795348860,
}

export const pollVote = event({
  name: 'poll.vote',
  category: 'Polls',
  description: 'Somebody voted, changed or withdrew a vote. `message_id` is the vote itself.',
  payload: votePayload,
  example: voteExample,
})

export const pollUpdate = event({
  name: 'poll.update',
  category: 'Polls',
  description: 'The result of a poll changed by a vote: see `GET /polls/{poll_id}/results`.',
  payload: votePayload,
  example: voteExample,
})

export const pollVoteDecrypted = event({
  name: 'poll.vote_decrypted',
  category: 'Polls',
  description: 'A vote could be decrypted.',
  payload: Type.Object({
    ...common,
    poll_id: pollId,
    selected_options: names('SHA-256 of the name of each chosen option, base64'),
    timestamp: unixSeconds('Seconds since the epoch'),
  }),
  example: {
    ...example,
    poll_id: '3EB0AA11BB22CC33DD44',
    selected_options: ['HzIkVkhl8A1ojvsOHLoWXN1ZfsMWDTJHHJGE+lgWZbQ='],
    timestamp: 1795348860,
  },
})

/** What `poll.created` says of a poll, whoever made it. */
export const pollFieldsOf = ({ question, options, selectable }: NonNullable<MessageDetails['poll']>) => ({
  poll_name: question,
  options: [...options],
  options_count: options.length,
  selectable_options: selectable,
})
