import { isGroup, withoutDevice } from '../wire/jid.ts'
import { type BinaryNode, child, children, node } from '../wire/node.ts'
import type { Account, Device } from './account.ts'
import type { AccountRegistry } from './account-registry.ts'
import { addressFor } from './addressing.ts'
import type { GroupRegistry } from './groups.ts'
import type { Mailroom } from './mailroom.ts'
import type { Metrics } from './metrics.ts'
import type { ProblemLog } from './problem-log.ts'

export interface ReceiptRouterOptions {
  readonly accounts: AccountRegistry
  readonly groups: GroupRegistry
  readonly log: ProblemLog
  readonly metrics: Metrics
  readonly mailroom: Mailroom
  readonly clock: () => number
}

/** No type at all: delivered. */
type ReceiptType = keyof typeof RECEIPTS

/**
 * Who is told: `author` all devices of the message's author, `exact` the one device named, `own` the reader's other
 * devices, `phone` the reader's phone.
 */
const RECEIPTS = {
  delivered: 'author',
  inactive: 'author',
  read: 'author',
  played: 'author',
  'read-self': 'own',
  'played-self': 'own',
  sender: 'exact',
  retry: 'exact',
  enc_rekey_retry: 'exact',
  peer_msg: 'exact',
  hist_sync: 'exact',
  'server-error': 'phone',
} as const

/** Takes clients' receipts and acks: settles their queues, acknowledges, and tells whoever is concerned. */
export class ReceiptRouter {
  readonly #options: ReceiptRouterOptions

  constructor(options: ReceiptRouterOptions) {
    this.#options = options
  }

  receive(reader: Device, stanza: BinaryNode) {
    const { log, metrics } = this.#options
    const { id, to, type, participant } = stanza.attrs
    if (!id || !to) return log.add('malformed', reader.jid, 'a receipt without id or to', stanza)
    reader.peer?.deliver(node('ack', { class: 'receipt', id, from: to, participant, type }))
    const kind = (type ?? 'delivered') as ReceiptType
    if (!Object.hasOwn(RECEIPTS, kind))
      return log.add('unknown_stanza', reader.jid, `no such receipt type: ${type}`, stanza)
    const whom = RECEIPTS[kind]
    metrics.receipts += 1
    for (const messageId of [id, ...children(child(stanza, 'list'), 'item').map((item) => item.attrs.id ?? '')]) {
      this.#settle(reader, 'message', messageId, stanza)
    }
    const { accounts, groups } = this.#options
    const group = groups.byJid(to)
    if (isGroup(to) && group === undefined) return
    const author = isGroup(to) || to === 'status@broadcast' ? participant : to
    const target = accounts.byJid(author)
    if (whom === 'own') return this.#tellOwn(reader, stanza, kind)
    if (whom === 'phone') return this.#tell([reader.account.phone], reader, stanza, kind)
    if (target === undefined) return log.add('malformed', reader.jid, `a receipt for ${author}, nobody`, stanza)
    if (whom === 'exact') {
      const device = accounts.deviceByJid(author)
      if (device === undefined) log.add('unknown_device', reader.jid, `a receipt for ${author}`, stanza)
      else if (device !== reader) this.#tell([device], reader, stanza, kind)
      return
    }
    this.#tell([...target.devices.values()], reader, stanza, kind)
    if (kind === 'read' || kind === 'played') this.#tellOwn(reader, stanza, `${kind}-self`)
  }

  /** `<ack>` for a message, receipt, notification or call that the service delivered. */
  receiveAck(device: Device, stanza: BinaryNode) {
    const { class: tag, id, error } = stanza.attrs
    if (!tag || !id) return this.#options.log.add('malformed', device.jid, 'an ack without class or id', stanza)
    this.#settle(device, tag, id, stanza)
    if (error !== undefined) {
      this.#options.log.add('refused', device.jid, `the client could not use ${tag} ${id}: ${error}`, stanza)
    }
  }

  #settle(device: Device, tag: string, id: string, confirmation: BinaryNode) {
    if (device.queue.size === 0) return
    const { accounts } = this.#options
    const { to, participant } = confirmation.attrs
    const same = (a: string | undefined, b: string | undefined): boolean =>
      a === b || (a !== undefined && b !== undefined && (withoutDevice(a) === withoutDevice(b) || sameAccount(a, b)))
    const sameAccount = (a: string, b: string): boolean => {
      const account = accounts.byJid(a)
      return account !== undefined && account === accounts.byJid(b)
    }
    device.queue.settle(tag, id, ({ attrs }) => {
      if (!same(attrs.from, to)) return false
      return !isGroup(attrs.from ?? '') || tag !== 'message' || same(attrs.participant, participant)
    })
  }

  /** Tells the reader's other devices that the chat was read. */
  #tellOwn(reader: Device, stanza: BinaryNode, type: string) {
    const others = [...reader.account.devices.values()].filter((device) => device !== reader)
    for (const device of others) {
      const chat = this.#chatAddress(stanza.attrs.to!, device.account)
      const from = addressFor(reader.account, device.account)
      const { participant } = stanza.attrs
      const attrs = isGroup(chat) ? { from: chat, participant } : { from, recipient: chat }
      this.#post(device, stanza, { ...attrs, type })
    }
  }

  #tell(devices: readonly Device[], reader: Device, stanza: BinaryNode, kind: ReceiptType) {
    const { to, recipient } = stanza.attrs
    const type = kind === 'delivered' ? undefined : kind
    for (const device of devices) {
      if (device === reader) continue
      // A sender that must encrypt again has to know which device asks; everybody else wants the person.
      const exact = RECEIPTS[kind] === 'exact' || RECEIPTS[kind] === 'phone' || kind === 'inactive'
      const byLid = device.account.addressing === 'lid'
      const person = exact ? (byLid ? reader.lid : reader.jid) : addressFor(reader.account, device.account)
      const alternative = byLid ? { sender_pn: reader.account.jid } : { sender_lid: reader.account.lidJid }
      const shared = isGroup(to!) || to === 'status@broadcast'
      const attrs = shared ? { from: to, participant: person } : { from: person, recipient, ...alternative }
      this.#post(device, stanza, { ...attrs, type })
    }
  }

  #post(device: Device, stanza: BinaryNode, attrs: Readonly<Record<string, string | undefined>>) {
    const t = stanza.attrs.t ?? Math.floor(this.#options.clock() / 1000)
    const content = Array.isArray(stanza.content) ? stanza.content : undefined
    this.#options.mailroom.post(device, node('receipt', { id: stanza.attrs.id, ...attrs, t }, content))
  }

  #chatAddress(to: string, viewer: Account): string {
    const account = this.#options.accounts.byJid(to)
    return account === undefined ? to : addressFor(account, viewer)
  }
}
