import type { MessageAction } from '../kernel/message-facts.ts'
import { setTimer } from './conversations.ts'
import { query, queryOne, sql, sqlPair, type Work } from './database.ts'
import { scopeTerm, termsOf } from './search-terms.ts'

/** Who acts. */
export interface Actor {
  readonly jid: string
  readonly contactId: string | undefined
  readonly fromMe: boolean
}

interface Candidate {
  readonly id: number
  readonly chat: string
  readonly sender: string
  readonly sender_contact_id: string | null
  readonly from_me: unknown
  readonly text: string | null
  readonly revoked_at: number | null
}

const findTargets = sql(
  'actions_targets',
  `select m.id, m.chat, m.sender, coalesce(c.alias_of, m.sender_contact_id) as sender_contact_id, m.from_me, m.text,
     m.revoked_at
   from messages m left join contacts c on c.device_id = m.device_id and c.contact_id = m.sender_contact_id
   where m.device_id = ? and m.message_id = ? and m.conversation_id = ? order by m.id limit 50`,
)
const react = sql(
  'actions_react',
  `insert into message_reactions (message_row, reactor_key, reactor, from_me, emoji, reacted_at) values (?, ?, ?, ?, ?, ?)
   on conflict (message_row, reactor_key) do update set reactor = excluded.reactor, emoji = excluded.emoji,
     reacted_at = excluded.reacted_at where excluded.reacted_at >= message_reactions.reacted_at`,
)
const vote = sql(
  'actions_vote',
  `insert into poll_votes (message_row, voter_key, voter, from_me, options, voted_at) values (?, ?, ?, ?, ?, ?)
   on conflict (message_row, voter_key) do update set voter = excluded.voter, options = excluded.options,
     voted_at = excluded.voted_at where excluded.voted_at >= poll_votes.voted_at`,
)
const findLaterEdit = sql(
  'actions_later_edit',
  'select 1 as later from message_edits where message_row = ? and edited_at >= ? limit 1',
)
const keepEarlier = sql(
  'actions_keep_earlier',
  'insert into message_edits (message_row, edited_at, text) values (?, ?, ?) on conflict (message_row, edited_at) do nothing',
)
const edit = sql('actions_edit', 'update messages set text = ?, edited_at = ? where id = ?')
const revoke = sql(
  'actions_revoke',
  `update messages set text = null, content = null, details = null, mentions = null, quoted_message_id = null,
     revoked_at = ?, revoked_by = ? where id = ?`,
)
const forgetEdits = sql('actions_forget_edits', 'delete from message_edits where message_row = ?')
const forgetReactions = sql('actions_forget_reactions', 'delete from message_reactions where message_row = ?')
const forgetVotes = sql('actions_forget_votes', 'delete from poll_votes where message_row = ?')

const index = sqlPair('search_put', {
  sqlite: 'insert into message_search (rowid, terms) values (?, ?)',
  postgres: "insert into message_search (message_row, terms) values (?, array_to_tsvector(string_to_array(?, ' ')))",
})
const unindex = sqlPair('search_drop', {
  sqlite: 'delete from message_search where rowid = ?',
  postgres: 'delete from message_search where message_row = ?',
})
const findPending = sql(
  'actions_pending',
  `select conversation_id, sender, sender_contact_id, from_me, details from messages
   where id = ? and hidden = ? and details is not null`,
)

/** Inside a unit: lets a shown text be found. */
export function* indexText(row: number, conversationId: string, text: string | null | undefined): Work<void> {
  const terms = text ? termsOf(text) : []
  if (terms.length > 0) yield* query(index, row, [scopeTerm(conversationId), ...terms].join(' '))
}

export function* unindexText(row: number): Work<void> {
  yield* query(unindex, row)
}

const isAuthor = (actor: Actor, target: Candidate): boolean =>
  Boolean(target.from_me) === actor.fromMe &&
  (actor.fromMe ||
    target.sender === actor.jid ||
    (actor.contactId !== undefined && target.sender_contact_id === actor.contactId))

/**
 * Which message an action may change. Nobody edits another's message, and only an admin of a group takes back another's:
 * what comes otherwise is somebody's forgery and changes nothing.
 */
const chooseTarget = (action: MessageAction, actor: Actor, found: readonly Candidate[]): Candidate | undefined => {
  const { kind, target } = action
  if (kind === 'edit') return found.find((one) => isAuthor(actor, one))
  if (kind === 'revoke')
    return (
      found.find((one) => isAuthor(actor, one)) ??
      (action.byAdmin ? found.find(({ chat }) => chat.endsWith('@g.us')) : undefined)
    )
  return found.find((one) => target.fromMe === undefined || Boolean(one.from_me) === target.fromMe) ?? found[0]
}

/** Inside a unit that holds the device's lock: does to a stored message what an action says. False when it changes nothing. */
export function* applyAction(
  deviceId: string,
  conversationId: string,
  actor: Actor,
  action: MessageAction,
): Work<boolean> {
  if (action.kind === 'timer') {
    yield* setTimer(deviceId, conversationId, action.timer)
    return true
  }
  const found = yield* query<Candidate>(findTargets, deviceId, action.target.messageId, conversationId)
  const target = chooseTarget(action, actor, found)
  if (!target || target.revoked_at !== null) return false
  const key = actor.fromMe ? 'me' : (actor.contactId ?? actor.jid)
  const seconds = Math.floor(action.at / 1000)
  switch (action.kind) {
    case 'reaction':
      yield* query(react, target.id, key, actor.jid, actor.fromMe, action.emoji, action.at)
      return true
    case 'poll_vote':
      if (action.options === undefined) return false
      yield* query(vote, target.id, key, actor.jid, actor.fromMe, JSON.stringify(action.options), action.at)
      return true
    case 'edit':
      if (yield* queryOne(findLaterEdit, target.id, action.at)) return false
      yield* query(keepEarlier, target.id, action.at, target.text)
      yield* query(edit, action.text, seconds, target.id)
      yield* unindexText(target.id)
      yield* indexText(target.id, conversationId, action.text)
      return true
    case 'revoke':
      yield* query(revoke, seconds, actor.jid, target.id)
      for (const forget of [forgetEdits, forgetReactions, forgetVotes]) yield* query(forget, target.id)
      yield* unindexText(target.id)
      return true
  }
}

/** Inside a unit: an action of ours has reached WhatsApp, so it holds here as well. Does nothing for other messages. */
export function* applyAccepted(deviceId: string, row: number): Work<void> {
  const found = yield* queryOne<Omit<Candidate, 'id'> & { conversation_id: string; details: string }>(
    findPending,
    row,
    true,
  )
  const { action } = JSON.parse(found?.details ?? '{}') as { action?: MessageAction }
  if (!found || !action) return
  const actor = {
    jid: found.sender,
    contactId: found.sender_contact_id ?? undefined,
    fromMe: Boolean(found.from_me),
  }
  yield* applyAction(deviceId, found.conversation_id, actor, action)
}
