import { isGroup } from '../wire/jid.ts'
import { type BinaryNode, children, node } from '../wire/node.ts'
import type { Account, Device } from './account.ts'
import type { AccountRegistry } from './account-registry.ts'
import { ownCopyAttrs, senderAttrs } from './addressing.ts'
import type { Faults } from './faults.ts'
import { type Group, type GroupRegistry, jidOf } from './groups.ts'
import type { Mailroom } from './mailroom.ts'
import { type AcceptedMessage, BadMessage, type Copy, readMessage } from './message-stanza.ts'
import type { Metrics } from './metrics.ts'
import type { ProblemLog } from './problem-log.ts'

export interface RouterOptions {
  readonly accounts: AccountRegistry
  readonly groups: GroupRegistry
  readonly faults: Faults
  readonly log: ProblemLog
  readonly metrics: Metrics
  readonly mailroom: Mailroom
  readonly clock: () => number
}

/** Attributes of a sender's message that its recipients get to see. */
const PASSED_ATTRS = ['type', 'category', 'edit', 'expiration', 'push_priority'] as const

/** Children that its recipients get to see; the rest (reporting, tctoken) is for the service. */
const PASSED_CHILDREN = new Set(['meta', 'biz', 'bot'])

/** Takes clients' messages, acknowledges them and puts each device's copy into its queue. */
export class MessageRouter {
  readonly #options: RouterOptions

  constructor(options: RouterOptions) {
    this.#options = options
  }

  receive(sender: Device, stanza: BinaryNode) {
    const { faults, log, metrics } = this.#options
    const { account } = sender
    try {
      const message = readMessage(sender, stanza, this.#options)
      const fault = faults.take('reject_message', account, (candidate) => this.#concerns(candidate.to, message.to))
      if (fault !== undefined) return this.#acknowledge(sender, stanza, fault.code)
      const isOf = ({ device }: { readonly device?: Device }) => device === undefined || device === sender
      if (faults.take('drop_message', account, isOf) !== undefined) return
      const { audience } = message
      if (stanza.attrs.edit === '8' && audience.kind === 'group' && audience.group.members.get(account) === 'member')
        throw new BadMessage('only an admin takes back the message of another', 'forbidden', 403)
      metrics.countMessage()
      if (faults.take('swallow_ack', account, isOf) === undefined) this.#acknowledge(sender, stanza)
      for (const jid of message.unknownDevices) log.add('unknown_device', sender.jid, `a copy for ${jid}`, stanza)
      this.#deliver(sender, stanza, message)
    } catch (error) {
      if (!(error instanceof BadMessage)) throw error
      log.add(error.kind, sender.jid, error.message, stanza)
      if (stanza.attrs.id !== undefined) this.#acknowledge(sender, stanza, error.code)
    }
  }

  #acknowledge(sender: Device, stanza: BinaryNode, error?: number) {
    const { id, to, participant } = stanza.attrs
    const t = this.#seconds()
    sender.peer?.deliver(node('ack', { class: 'message', id, from: to, participant, t, error }))
  }

  #deliver(sender: Device, stanza: BinaryNode, message: AcceptedMessage) {
    const { audience } = message
    if (audience.kind === 'group') return this.#deliverToGroup(sender, stanza, message, audience.group)
    if (audience.kind === 'device' && audience.group !== undefined) {
      return this.#post(message.copies, sender, stanza, message, () => groupAttrs(sender, audience.group!))
    }
    if (audience.kind === 'status') return this.#deliverStatus(sender, stanza, message)
    const chat = this.#chatOf(sender, stanza, message)
    this.#noteMissing(sender, stanza, message)
    this.#post(message.copies, sender, stanza, message, (device) => {
      if (device.account !== sender.account) return senderAttrs(sender, device.account)
      // Peer messages have no chat; clients tell them by their category and expect the number there.
      if (stanza.attrs.category === 'peer') return { from: sender.jid }
      return ownCopyAttrs(sender, chat)
    })
  }

  #deliverToGroup(sender: Device, stanza: BinaryNode, message: AcceptedMessage, group: Group) {
    const own = new Map(message.copies.map((copy) => [copy.device, copy.enc]))
    for (const member of group.members.keys()) {
      for (const device of member.devices.values()) {
        if (device === sender) continue
        const enc = own.get(device)
        const encs = enc === undefined ? [message.shared!] : [enc, message.shared!]
        this.#postOne(device, sender, stanza, message, groupAttrs(sender, group), encs)
      }
    }
  }

  /** A status goes to the devices that its sender's key was sent to now or before; who has no key asks for it. */
  #deliverStatus(sender: Device, stanza: BinaryNode, message: AcceptedMessage) {
    const attrs = {
      from: 'status@broadcast',
      participant: sender.lid,
      participant_pn: sender.account.jid,
      addressing_mode: 'lid',
    }
    for (const { device, enc } of message.copies) {
      this.#postOne(device, sender, stanza, message, attrs, [enc, message.shared!])
    }
  }

  #post(
    copies: readonly Copy[],
    sender: Device,
    stanza: BinaryNode,
    message: AcceptedMessage,
    address: (device: Device) => Readonly<Record<string, string>>,
  ) {
    for (const { device, enc } of copies) this.#postOne(device, sender, stanza, message, address(device), [enc])
  }

  #postOne(
    device: Device,
    sender: Device,
    stanza: BinaryNode,
    message: AcceptedMessage,
    address: Readonly<Record<string, string>>,
    encs: readonly BinaryNode[],
  ) {
    // Who is blocked is not told so: the message is acknowledged and goes nowhere.
    if (device.account.blocked.has(sender.account.lid) && !isGroup(message.to)) return
    const attrs: Record<string, string | undefined> = { id: message.id, t: String(this.#seconds()), ...address }
    for (const name of PASSED_ATTRS) attrs[name] = stanza.attrs[name]
    attrs.notify = sender.account.pushName || undefined
    const opens = encs.some((enc) => enc.attrs.type === 'pkmsg')
    const content = [
      ...encs,
      ...(opens && sender.signedIdentity !== undefined
        ? [node('device-identity', {}, Buffer.from(sender.signedIdentity))]
        : []),
      ...children(stanza).filter((part) => PASSED_CHILDREN.has(part.tag)),
    ]
    this.#options.mailroom.post(device, node('message', attrs, content))
  }

  /** The account whose chat a 1:1 message belongs to; for a retry to an own device, `recipient` says it. */
  #chatOf(sender: Device, stanza: BinaryNode, message: AcceptedMessage): Account {
    const named = this.#options.accounts.byJid(stanza.attrs.recipient) ?? this.#options.accounts.byJid(message.to)
    return named ?? sender.account
  }

  /** Real clients leave no device out; one that does has a stale list, which is worth a line. */
  #noteMissing(sender: Device, stanza: BinaryNode, message: AcceptedMessage) {
    if (message.audience.kind !== 'user') return
    const reached = new Set(message.copies.map((copy) => copy.device))
    const expected = [...message.audience.account.devices.values(), ...sender.account.devices.values()]
    for (const device of new Set(expected)) {
      if (device === sender || reached.has(device)) continue
      this.#options.log.add('missing_device', sender.jid, `no copy for ${device.jid}`, stanza)
    }
  }

  #concerns(wanted: string | undefined, to: string): boolean {
    if (wanted === undefined || wanted === to) return true
    const account = this.#options.accounts.byJid(to)
    return account !== undefined && account === this.#options.accounts.byJid(wanted)
  }

  #seconds(): number {
    return Math.floor(this.#options.clock() / 1000)
  }
}

function groupAttrs(sender: Device, group: Group): Readonly<Record<string, string>> {
  return {
    from: jidOf(group),
    participant: sender.lid,
    participant_pn: sender.account.jid,
    addressing_mode: 'lid',
  }
}
