import { equalBytes } from '../crypto/symmetric.ts'
import { isGroup, parseJid } from '../wire/jid.ts'
import { type BinaryNode, bytesOf, child, children } from '../wire/node.ts'
import type { Account, Device } from './account.ts'
import type { AccountRegistry } from './account-registry.ts'
import { verifyDeviceSignature } from './device-identity.ts'
import type { Group, GroupRegistry } from './groups.ts'
import { readPreKeyMessage } from './pre-key-message.ts'
import type { ProblemKind } from './problem-log.ts'

/** Why a message is not accepted: the code of the error ack, and what the log says. */
export class BadMessage extends Error {
  readonly code: number
  readonly kind: ProblemKind

  /** 479 is what WhatsApp calls a stanza that does not validate. */
  constructor(text: string, kind: ProblemKind = 'malformed', code = 479) {
    super(text)
    this.kind = kind
    this.code = code
  }
}

export type Audience =
  /** A user, by any of its addresses. */
  | { readonly kind: 'user'; readonly account: Account }
  | { readonly kind: 'group'; readonly group: Group }
  /** One device only: a retry, or a message among the account's own devices. */
  | { readonly kind: 'device'; readonly device: Device; readonly group: Group | undefined }
  | { readonly kind: 'status' }

/** One encrypted copy and the device it is for. */
export interface Copy {
  readonly device: Device
  readonly enc: BinaryNode
}

/** A message stanza that was found valid. */
export interface AcceptedMessage {
  readonly id: string
  readonly to: string
  readonly audience: Audience
  readonly copies: readonly Copy[]
  /** The `skmsg` that every device of a group gets. */
  readonly shared: BinaryNode | undefined
  readonly deviceIdentity: BinaryNode | undefined
  /** Devices named that do not exist (any more): their copies are dropped, as WhatsApp does with a stale list. */
  readonly unknownDevices: readonly string[]
}

export interface World {
  readonly accounts: AccountRegistry
  readonly groups: GroupRegistry
}

/** Checks a client's `<message>` against what exists. Throws a `BadMessage`. */
export function readMessage(sender: Device, stanza: BinaryNode, world: World): AcceptedMessage {
  const { id, to, type } = stanza.attrs
  if (!id) throw new BadMessage('a message without an id')
  if (!to || !type) throw new BadMessage('a message without to or type')
  if (child(stanza, 'plaintext') !== undefined) throw new BadMessage('plaintext is for newsletters only', 'forbidden')
  const audience = findAudience(sender, stanza, world)
  const encs = children(stanza, 'enc')
  const lists = children(child(stanza, 'participants'), 'to')
  const copies: Copy[] = []
  const unknownDevices: string[] = []
  let shared: BinaryNode | undefined
  for (const entry of lists) {
    const jid = entry.attrs.jid
    const account = world.accounts.byJid(jid)
    if (account === undefined) throw new BadMessage(`<to> names ${jid}, who has no account`, 'unknown_device')
    if (!belongs(account, sender, audience)) throw new BadMessage(`<to> names ${jid}, who is not a recipient`)
    const [enc] = children(entry, 'enc')
    if (enc === undefined) throw new BadMessage(`<to> ${jid} has no enc`)
    checkEnc(enc, ['msg', 'pkmsg'])
    const device = account.devices.get(parseJid(jid)!.device)
    if (device === sender) {
      // Baileys 7 gives itself a copy of its sender key in every LID group; WhatsApp takes no offence.
      if (audience.kind === 'group') continue
      throw new BadMessage('a copy for the sending device itself')
    }
    if (device === undefined) unknownDevices.push(jid!)
    else copies.push({ device, enc })
  }
  if (audience.kind === 'device') {
    if (encs.length !== 1 || lists.length > 0) throw new BadMessage('a message to one device has one enc of its own')
    checkEnc(encs[0]!, ['msg', 'pkmsg'])
    copies.push({ device: audience.device, enc: encs[0]! })
  } else if (audience.kind === 'user') {
    if (encs.length > 0) throw new BadMessage('a message to a user has its encs in participants')
    if (lists.length === 0) throw new BadMessage('a message for nobody')
  } else {
    shared = encs[0]
    if (encs.length !== 1) throw new BadMessage('a group message has exactly one skmsg')
    checkEnc(shared!, ['skmsg'])
  }
  const deviceIdentity = child(stanza, 'device-identity')
  checkIdentity(sender, copies, deviceIdentity)
  if (new Set(copies.map((copy) => copy.device)).size < copies.length) throw new BadMessage('two copies for one device')
  return { id, to, audience, copies, shared, deviceIdentity, unknownDevices }
}

function findAudience(sender: Device, stanza: BinaryNode, world: World): Audience {
  const { to, participant, category } = stanza.attrs as { to: string } & Record<string, string | undefined>
  if (isGroup(to)) {
    const group = world.groups.byJid(to)
    if (group === undefined) throw new BadMessage(`no group ${to}`, 'refused', 404)
    if (!group.members.has(sender.account)) throw new BadMessage(`not a member of ${to}`, 'forbidden', 403)
    if (participant === undefined) return { kind: 'group', group }
    const device = world.accounts.deviceByJid(participant)
    if (device === undefined) throw new BadMessage(`no device ${participant}`, 'unknown_device')
    return { kind: 'device', device, group }
  }
  if (to === 'status@broadcast') return { kind: 'status' }
  const account = world.accounts.byJid(to)
  if (account === undefined) throw new BadMessage(`${to} has no account`, 'refused', 404)
  const hasOwnEnc = child(stanza, 'enc') !== undefined
  if (category === 'peer' && account !== sender.account) throw new BadMessage('a peer message leaves the account')
  if (!hasOwnEnc) return { kind: 'user', account }
  // Peer messages are addressed to the user, and mean the phone.
  const device = account.devices.get(parseJid(to)!.device)
  if (device === undefined) throw new BadMessage(`no device ${to}`, 'unknown_device')
  if (device === sender) throw new BadMessage('a message to the sending device itself')
  return { kind: 'device', device, group: undefined }
}

function belongs(account: Account, sender: Device, audience: Audience): boolean {
  if (account === sender.account) return true
  if (audience.kind === 'user') return account === audience.account
  return audience.kind === 'group' ? audience.group.members.has(account) : audience.kind === 'status'
}

function checkEnc(enc: BinaryNode, types: readonly string[]): void {
  const { v, type } = enc.attrs
  if (v !== '2') throw new BadMessage(`enc of version ${v}`)
  if (type === undefined || !types.includes(type)) throw new BadMessage(`enc of type ${type} here`)
  const bytes = bytesOf(enc)
  if (bytes === undefined || bytes.length === 0) throw new BadMessage('an empty enc')
  if (bytes[0] !== 0x33) throw new BadMessage(`enc begins with ${bytes[0]?.toString(16)}, not with version 33`)
}

/** A `pkmsg` opens a session: it must carry the sender's identity, and a companion's must be vouched for by its account. */
function checkIdentity(sender: Device, copies: readonly Copy[], deviceIdentity: BinaryNode | undefined): void {
  const opening = copies.filter(({ enc }) => enc.attrs.type === 'pkmsg')
  for (const { enc, device } of opening) {
    const identity = readIdentity(enc)
    if (!equalBytes(identity, sender.identity)) {
      throw new BadMessage(`the pkmsg for ${device.jid} has another identity than its sender`, 'bad_signature')
    }
  }
  const encoded = bytesOf(deviceIdentity)
  if (encoded === undefined) {
    if (opening.length > 0 && sender.id !== 0) throw new BadMessage('a pkmsg without device-identity')
    return
  }
  if (sender.id === 0) throw new BadMessage('a phone has no device-identity')
  // The identity verified when the device was linked, byte for byte, is the usual case.
  if (sender.signedIdentity !== undefined && equalBytes(encoded, sender.signedIdentity)) return
  try {
    verifyDeviceSignature(encoded, sender.account.phone.identity, sender.identity)
  } catch (error) {
    throw new BadMessage(error instanceof Error ? error.message : String(error), 'bad_signature')
  }
}

function readIdentity(enc: BinaryNode): Buffer {
  try {
    return readPreKeyMessage(bytesOf(enc)!).identity
  } catch (error) {
    throw new BadMessage(`a pkmsg cannot be read: ${error instanceof Error ? error.message : error}`)
  }
}
