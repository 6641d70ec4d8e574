import { isGroup } from '../wire/jid.ts'
import { type BinaryNode, child, node } from '../wire/node.ts'
import type { Account, Device } from './account.ts'
import type { AccountRegistry } from './account-registry.ts'
import { addressFor } from './addressing.ts'
import { type GroupRegistry, jidOf } from './groups.ts'
import type { ProblemLog } from './problem-log.ts'

export interface PresenceBoardOptions {
  readonly accounts: AccountRegistry
  readonly groups: GroupRegistry
  readonly log: ProblemLog
  readonly clock: () => number
}

/** Who is online, who wants to know, and who is typing. Nothing of it is kept for those who are offline. */
export class PresenceBoard {
  readonly #options: PresenceBoardOptions
  /** By the account watched: the devices that subscribed on their present connection. */
  readonly #subscribers = new Map<Account, Set<Device>>()
  /** The reverse, so that a device that leaves costs nothing but its own subscriptions. */
  readonly #subscriptions = new Map<Device, Set<Account>>()
  readonly #lastSeen = new WeakMap<Account, number>()

  constructor(options: PresenceBoardOptions) {
    this.#options = options
  }

  receivePresence(device: Device, stanza: BinaryNode) {
    const { type, name, to } = stanza.attrs
    const { account } = device
    if (type === 'subscribe') return this.#subscribe(device, stanza, to)
    if (name !== undefined && name !== '') account.pushName = name
    if (type === 'available' || type === 'unavailable') return this.#setAvailable(device, type === 'available')
    if (type !== undefined) this.#options.log.add('unknown_stanza', device.jid, `no such presence: ${type}`, stanza)
  }

  receiveChatState(device: Device, stanza: BinaryNode) {
    const { to } = stanza.attrs
    const state = child(stanza)
    if (to === undefined || (state?.tag !== 'composing' && state?.tag !== 'paused')) {
      return this.#options.log.add('malformed', device.jid, 'a chatstate without to or state', stanza)
    }
    const group = this.#options.groups.byJid(to)
    if (group !== undefined) {
      for (const member of group.members.keys()) {
        if (member === device.account) continue
        const participant = addressFor(device.account, member)
        this.#tell(member.devices.values(), node('chatstate', { from: jidOf(group), participant }, [state]))
      }
      return
    }
    const account = this.#options.accounts.byJid(to)
    if (account !== undefined) {
      return this.#tell(
        account.devices.values(),
        node('chatstate', { from: addressFor(device.account, account) }, [state]),
      )
    }
    if (!isGroup(to)) this.#options.log.add('malformed', device.jid, `a chatstate for ${to}, nobody`, stanza)
  }

  /** A device's connection has ended: it is no longer available and watches nobody. */
  forget(device: Device) {
    for (const account of this.#subscriptions.get(device) ?? []) {
      const subscribers = this.#subscribers.get(account)
      subscribers?.delete(device)
      if (subscribers?.size === 0) this.#subscribers.delete(account)
    }
    this.#subscriptions.delete(device)
    if (device.available) this.#setAvailable(device, false)
  }

  #subscribe(device: Device, stanza: BinaryNode, to: string | undefined) {
    const account = this.#options.accounts.byJid(to)
    if (account === undefined) {
      // Clients subscribe to groups as well, which means nothing here.
      if (!isGroup(to ?? '')) this.#options.log.add('malformed', device.jid, `subscribed to ${to}, nobody`, stanza)
      return
    }
    put(this.#subscribers, account, device)
    put(this.#subscriptions, device, account)
    this.#tell([device], this.#presenceOf(account, device.account))
  }

  #setAvailable(device: Device, available: boolean) {
    const { account } = device
    const before = isAvailable(account)
    device.available = available
    const after = isAvailable(account)
    if (before === after) return
    if (!after) this.#lastSeen.set(account, this.#options.clock())
    for (const subscriber of this.#subscribers.get(account) ?? []) {
      this.#tell([subscriber], this.#presenceOf(account, subscriber.account))
    }
  }

  #presenceOf(account: Account, viewer: Account): BinaryNode {
    const from = addressFor(account, viewer)
    if (isAvailable(account)) return node('presence', { from })
    const seen = this.#lastSeen.get(account)
    const last = seen === undefined ? 'deny' : Math.floor(seen / 1000)
    return node('presence', { from, type: 'unavailable', last })
  }

  #tell(devices: Iterable<Device>, stanza: BinaryNode) {
    for (const device of devices) if (device.active) device.peer?.deliver(stanza)
  }
}

function isAvailable(account: Account): boolean {
  for (const device of account.devices.values()) if (device.available && device.online) return true
  return false
}

function put<Key, Value>(map: Map<Key, Set<Value>>, key: Key, value: Value): void {
  const values = map.get(key)
  if (values === undefined) map.set(key, new Set([value]))
  else values.add(value)
}
