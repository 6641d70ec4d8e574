import { newUuid } from '../kernel/ids.ts'
import { decideContact } from './contact-decision.ts'
import { mergeConversations } from './conversations.ts'
import { query, sql, type Work } from './database.ts'
import { conversationOfPerson } from './identities.ts'
import type { PartyNames, ResolvedParty } from './port/messages.ts'

interface ContactRecord {
  readonly id: number
  readonly contact_id: string
  readonly pn: string | null
  readonly lid: string | null
  readonly push_name: string | null
}

const find = sql(
  'contacts_find',
  `select id, contact_id, pn, lid, push_name from contacts where device_id = ? and pn = ?
   union all
   select id, contact_id, pn, lid, push_name from contacts where device_id = ? and lid = ?`,
)
const insert = sql(
  'contacts_insert',
  'insert into contacts (device_id, contact_id, pn, lid, push_name, created_at) values (?, ?, ?, ?, ?, ?)',
)
const rename = sql('contacts_rename', 'update contacts set pn = ?, lid = ?, push_name = ? where id = ?')
const release = sql('contacts_release', 'update contacts set pn = null where id = ?')
const retire = sql('contacts_retire', 'update contacts set pn = null, lid = null, alias_of = ? where id = ?')
const flatten = sql('contacts_flatten', 'update contacts set alias_of = ? where device_id = ? and alias_of = ?')

/**
 * Inside a unit that holds the device's lock: the contact behind the names, made, completed or merged as they demand.
 * Undefined when there is no name at all.
 */
export function* resolveParty(deviceId: string, names: PartyNames, now: number): Work<ResolvedParty | undefined> {
  const { pn, lid, pushName } = names
  if (pn === undefined && lid === undefined) return undefined
  const found = yield* query<ContactRecord>(find, deviceId, pn, deviceId, lid)
  const byPn = pn === undefined ? undefined : found.find((contact) => contact.pn === pn)
  const byLid = lid === undefined ? undefined : found.find((contact) => contact.lid === lid)
  const decision = decideContact(pn, lid, byPn, byLid)
  if (decision.release) yield* query(release, decision.release.id)
  if (decision.keep === undefined) {
    const contactId = newUuid()
    yield* query(insert, deviceId, contactId, pn, lid, pushName, now)
    return { contactId, pn, lid, mergedContactId: undefined }
  }
  const { keep, merge, names: settled } = decision
  let mergedConversationId: string | undefined
  let conversationId: string | undefined
  if (merge) {
    yield* query(retire, keep.contact_id, merge.id)
    yield* query(flatten, keep.contact_id, deviceId, merge.contact_id)
    mergedConversationId = yield* mergeConversations(deviceId, keep.contact_id, merge.contact_id)
    conversationId = yield* conversationOfPerson(deviceId, keep.contact_id)
  }
  const settledPushName = pushName ?? keep.push_name ?? merge?.push_name ?? null
  if (settled.pn !== keep.pn || settled.lid !== keep.lid || settledPushName !== keep.push_name)
    yield* query(rename, settled.pn, settled.lid, settledPushName, keep.id)
  const isRenamed = keep.push_name !== null && settledPushName !== keep.push_name
  return {
    contactId: keep.contact_id,
    pn: settled.pn ?? undefined,
    lid: settled.lid ?? undefined,
    mergedContactId: merge?.contact_id,
    ...(mergedConversationId !== undefined && { mergedConversationId }),
    ...(conversationId !== undefined && { conversationId }),
    ...(isRenamed && { formerPushName: keep.push_name ?? '' }),
  }
}

export interface ResolvedParties {
  readonly chatParty: ResolvedParty | undefined
  readonly senderParty: ResolvedParty | undefined
}

/** Both parties of a stanza. In an incoming one-to-one message they are one person, looked up once. */
export function* resolveParties(
  deviceId: string,
  chat: PartyNames | undefined,
  sender: PartyNames | undefined,
  now: number,
): Work<ResolvedParties> {
  if (chat && sender && areSamePerson(chat, sender)) {
    const union = {
      pn: sender.pn ?? chat.pn,
      lid: sender.lid ?? chat.lid,
      pushName: sender.pushName ?? chat.pushName,
    }
    const party = yield* resolveParty(deviceId, union, now)
    return { chatParty: party, senderParty: party }
  }
  const chatParty = chat && (yield* resolveParty(deviceId, chat, now))
  const senderParty = sender && (yield* resolveParty(deviceId, sender, now))
  // The sender's names may have shown that the chat's contact is an alias.
  if (chatParty && senderParty && senderParty.mergedContactId === chatParty.contactId)
    return { chatParty: { ...chatParty, contactId: senderParty.contactId }, senderParty }
  return { chatParty, senderParty }
}

/** They share a name, and no name contradicts it. */
const areSamePerson = (a: PartyNames, b: PartyNames): boolean => {
  const agree = (x: string | undefined, y: string | undefined) => x === undefined || y === undefined || x === y
  const share = (x: string | undefined, y: string | undefined) => x !== undefined && x === y
  return agree(a.pn, b.pn) && agree(a.lid, b.lid) && (share(a.pn, b.pn) || share(a.lid, b.lid))
}
