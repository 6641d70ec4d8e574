import { partyOfChat } from './conversations.ts'
import { type Database, queryOne, sql, type Work } from './database.ts'
import type { IdentityRepository, KnownChat, KnownParty } from './port/identities.ts'

interface PartyRecord {
  readonly contact_id: string
  readonly pn: string | null
  readonly lid: string | null
}

const byName = sql(
  'identities_by_name',
  `select contact_id, pn, lid from contacts where device_id = ? and pn = ?
   union all select contact_id, pn, lid from contacts where device_id = ? and lid = ? limit 1`,
)
// Not a join: SQLite plans that one anew at every call, because an index of `conversations` is partial.
const byConversation = sql(
  'identities_by_conversation',
  `select contact_id, pn, lid from contacts where device_id = ? and contact_id = (
     select contact_id from conversations where device_id = ? and conversation_id = ?)`,
)
const conversationOfContact = sql(
  'identities_conversation_of_contact',
  'select conversation_id from conversations where device_id = ? and contact_id = ? and alias_of is null',
)
const conversationOfChat = sql(
  'identities_conversation_of_chat',
  'select conversation_id from conversations where device_id = ? and chat = ? and contact_id is null',
)

const toParty = ({ contact_id, pn, lid }: PartyRecord): KnownParty => ({
  contactId: contact_id,
  pn: pn ?? undefined,
  lid: lid ?? undefined,
})

/** Inside a unit: the person behind a conversation; undefined when it is not a person's. */
export function* partyOfConversation(deviceId: string, conversationId: string): Work<KnownParty | undefined> {
  const found = yield* queryOne<PartyRecord>(byConversation, deviceId, deviceId, conversationId)
  return found && toParty(found)
}

/** Inside a unit: whoever is known by that name. */
export function* findPerson(deviceId: string, jid: string): Work<KnownParty | undefined> {
  if (!partyOfChat(jid)) return undefined
  const found = yield* queryOne<PartyRecord>(byName, deviceId, jid, deviceId, jid)
  return found && toParty(found)
}

/** Inside a unit: the conversation of a person, if there is one. */
export function* conversationOfPerson(deviceId: string, contactId: string): Work<string | undefined> {
  const found = yield* queryOne<{ conversation_id: string }>(conversationOfContact, deviceId, contactId)
  return found?.conversation_id
}

function* chatOf(deviceId: string, chat: string): Work<KnownChat> {
  const party = yield* findPerson(deviceId, chat)
  if (party) return { conversationId: yield* conversationOfPerson(deviceId, party.contactId), party }
  const found = yield* queryOne<{ conversation_id: string }>(conversationOfChat, deviceId, chat)
  return { conversationId: found?.conversation_id, party }
}

export class IdentityStore implements IdentityRepository {
  readonly #database: Database

  constructor(parts: { readonly database: Database }) {
    this.#database = parts.database
  }

  person(deviceId: string, jid: string): Promise<KnownParty | undefined> {
    return this.#database.readAll(findPerson(deviceId, jid))
  }

  chat(deviceId: string, chat: string): Promise<KnownChat> {
    return this.#database.readAll(chatOf(deviceId, chat))
  }
}
