import { type BinaryNode, node } from '../wire/node.ts'
import type { Account, Device } from './account.ts'
import type { Mailroom } from './mailroom.ts'

export type Role = 'member' | 'admin' | 'superadmin'

/** Group ids on WhatsApp begin so. */
const ID_PREFIX = '120363'
const FIRST_ID = 400_000_000_000

export interface Group {
  /** Without `@g.us`. */
  readonly id: string
  readonly creator: Account
  readonly createdAt: number
  readonly members: Map<Account, Role>
  subject: string
  subjectAt: number
  subjectBy: Account
  participantVersion: number
  /** Seconds after which messages disappear; 0 = they stay. */
  timer: number
  /** Only admins change what the group is like. */
  locked: boolean
}

/** Groups, their members, and who is told of a change. */
export class GroupRegistry {
  readonly #clock: () => number
  readonly #mailroom: Mailroom
  readonly #groups = new Map<string, Group>()
  #counter = 0

  constructor(options: { readonly clock: () => number; readonly mailroom: Mailroom }) {
    this.#clock = options.clock
    this.#mailroom = options.mailroom
  }

  create(creator: Account, subject: string, members: readonly Account[], locked = false): Group {
    this.#counter += 1
    const now = this.#clock()
    const group: Group = {
      id: `${ID_PREFIX}${FIRST_ID + this.#counter}`,
      creator,
      createdAt: now,
      members: new Map([[creator, 'superadmin'], ...members.map((member): [Account, Role] => [member, 'member'])]),
      subject,
      subjectAt: now,
      subjectBy: creator,
      participantVersion: now,
      timer: 0,
      locked,
    }
    this.#groups.set(group.id, group)
    return group
  }

  /** Puts back a group saved by an earlier process. */
  restore(group: Group): void {
    this.#groups.set(group.id, group)
    this.#counter = Math.max(this.#counter, Number(group.id.slice(ID_PREFIX.length)) - FIRST_ID)
  }

  byJid(jid: string | undefined): Group | undefined {
    return jid?.endsWith('@g.us') === true ? this.#groups.get(jid.slice(0, -'@g.us'.length)) : undefined
  }

  of(account: Account): readonly Group[] {
    return [...this.#groups.values()].filter((group) => group.members.has(account))
  }

  list(): readonly Group[] {
    return [...this.#groups.values()]
  }

  add(group: Group, member: Account): void {
    group.members.set(member, 'member')
    group.participantVersion += 1
  }

  /** Takes a member out; the oldest member becomes admin when no admin is left, and an empty group ends. */
  remove(group: Group, member: Account): void {
    group.members.delete(member)
    group.participantVersion += 1
    if (group.members.size === 0) this.#groups.delete(group.id)
    else if (![...group.members.values()].some((role) => role !== 'member')) {
      const [eldest] = group.members.keys()
      group.members.set(eldest!, 'admin')
    }
  }

  /** Sets after how long messages disappear, and tells the others. False when the group lets only admins do so. */
  setTimer(group: Group, actor: Device, seconds: number): boolean {
    if (group.locked && group.members.get(actor.account) === 'member') return false
    group.timer = seconds
    const change = seconds > 0 ? node('ephemeral', { expiration: seconds }) : node('not_ephemeral')
    this.announce(group, actor, change)
    return true
  }

  /** Tells every device of the members (and of `also`) but the one that made the change. */
  announce(group: Group, actor: Device, change: BinaryNode, also: readonly Account[] = []): void {
    const { account } = actor
    const attrs = {
      from: jidOf(group),
      participant: account.lidJid,
      participant_pn: account.jid,
      addressing_mode: 'lid',
      notify: account.pushName,
      t: Math.floor(this.#clock() / 1000),
    }
    for (const member of new Set([...group.members.keys(), ...also])) {
      for (const device of member.devices.values()) {
        if (device !== actor) this.#mailroom.notify(device, 'w:gp2', attrs, [change])
      }
    }
  }
}

export const jidOf = (group: Group): string => `${group.id}@g.us`

/** A member as clients see it: by LID, with the number beside it. */
export function participantNode(account: Account, role: Role = 'member'): BinaryNode {
  const type = role === 'member' ? undefined : role
  return node('participant', { jid: account.lidJid, phone_number: account.jid, type })
}

/** `<group>`: all that clients learn about a group. */
export function groupNode(group: Group): BinaryNode {
  const attrs = {
    id: group.id,
    subject: group.subject,
    creation: Math.floor(group.createdAt / 1000),
    creator: group.creator.lidJid,
    creator_pn: group.creator.jid,
    s_t: Math.floor(group.subjectAt / 1000),
    s_o: group.subjectBy.lidJid,
    s_o_pn: group.subjectBy.jid,
    addressing_mode: 'lid',
    size: group.members.size,
    p_v_id: group.participantVersion,
    a_v_id: group.createdAt,
  }
  return node('group', attrs, [
    ...Array.from(group.members, ([account, role]) => participantNode(account, role)),
    ...(group.locked ? [node('locked')] : []),
    ...(group.timer > 0 ? [node('ephemeral', { expiration: group.timer })] : []),
  ])
}
