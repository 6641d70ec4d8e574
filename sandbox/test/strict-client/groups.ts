import type { Connection } from './connection.ts'
import { check } from './inspection.ts'
import { make, part, partsOf, type Stanza } from './stanza.ts'
import { demand } from './violation.ts'

const SERVICE = '@g.us'

export interface GroupInfo {
  readonly jid: string
  readonly subject: string
  /** LIDs. */
  readonly members: readonly string[]
}

export async function fetchGroup(connection: Connection, group: string): Promise<GroupInfo> {
  const answer = await connection.query('get', 'w:g2', [make('query', { request: 'interactive' })], group)
  return readGroup(part(answer, 'group'))
}

export async function createGroup(
  connection: Connection,
  subject: string,
  members: readonly string[],
): Promise<GroupInfo> {
  const participants = members.map((jid) => make('participant', { jid }))
  const request = make('create', { subject, key: `key${Date.now()}` }, participants)
  return readGroup(part(await connection.query('set', 'w:g2', [request], SERVICE), 'group'))
}

/** @throws Violation `stanza` */
export function readGroup(group: Stanza | undefined): GroupInfo {
  demand(group?.tag === 'group', 'stanza', 'no group')
  const lid = /^\d+@lid$/
  const pn = /^\d+@s\.whatsapp\.net$/
  check(group, {
    id: /^\d{10,20}$/,
    subject: /^.{1,100}$/,
    creation: /^\d+$/,
    creator: lid,
    creator_pn: pn,
    s_t: /^\d+$/,
    s_o: lid,
    s_o_pn: pn,
    addressing_mode: /^lid$/,
    size: /^\d+$/,
    p_v_id: /^\d+$/,
    a_v_id: /^\d+$/,
  })
  const participants = partsOf(group, 'participant')
  for (const participant of participants) {
    check(participant, { jid: lid, phone_number: pn, 'type?': /^(admin|superadmin)$/ })
  }
  demand(participants.length === Number(group.attrs.size), 'stanza', `a group of size ${group.attrs.size}`)
  demand(
    participants.some(({ attrs }) => attrs.type !== undefined),
    'stanza',
    'a group without admin',
  )
  const { id, subject } = group.attrs
  return { jid: `${id}@g.us`, subject: subject!, members: participants.map(({ attrs }) => attrs.jid!) }
}
