import { sha256 } from '../crypto/symmetric.ts'
import { type BinaryNode, node } from '../wire/node.ts'
import type { Account, Device } from './account.ts'
import type { Mailroom } from './mailroom.ts'
import type { PhoneRole, ServiceEvent } from './peer.ts'

export interface DeviceDirectoryOptions {
  readonly clock: () => number
  readonly mailroom: Mailroom
  readonly emit: (event: ServiceEvent) => void
}

/** Which devices an account has, signed by its phone, and who is told when that changes. */
export class DeviceDirectory {
  readonly #options: DeviceDirectoryOptions
  readonly #roles = new WeakMap<Account, PhoneRole>()
  /** Accounts that asked for the devices of an account since the start: they have a list that may become stale. */
  readonly #readers = new Map<Account, Set<Account>>()

  constructor(options: DeviceDirectoryOptions) {
    this.#options = options
  }

  setPhoneRole(account: Account, role: PhoneRole): void {
    this.#roles.set(account, role)
    if (account.signedKeyIndexes === undefined) this.#signKeyIndexes(account)
  }

  /** Notes that `reader` was given the device list of `account`. */
  noteReader(account: Account, reader: Account): void {
    if (account === reader) return
    const readers = this.#readers.get(account)
    if (readers === undefined) this.#readers.set(account, new Set([reader]))
    else readers.add(reader)
  }

  readersOf(account: Account): readonly Account[] {
    return [...(this.#readers.get(account) ?? [])]
  }

  add(device: Device): void {
    const { account } = device
    account.devices.set(device.id, device)
    account.nextDeviceId = Math.max(account.nextDeviceId, device.id + 1)
    account.nextKeyIndex = Math.max(account.nextKeyIndex, device.keyIndex + 1)
    this.#signKeyIndexes(account)
    this.#announce('add', device)
    this.#options.emit({ type: 'device_linked', device })
  }

  remove(device: Device): void {
    const { account } = device
    device.linked = false
    account.devices.delete(device.id)
    this.#signKeyIndexes(account)
    this.#announce('remove', device)
    this.#options.emit({ type: 'device_removed', device })
  }

  /** Forgets an account altogether. */
  forget(account: Account): void {
    this.#readers.delete(account)
    for (const readers of this.#readers.values()) readers.delete(account)
  }

  #signKeyIndexes(account: Account): void {
    const role = this.#roles.get(account)
    if (role === undefined) return
    account.keyIndexesAt = this.#options.clock()
    account.signedKeyIndexes = role.signKeyIndexes({
      timestamp: Math.floor(account.keyIndexesAt / 1000),
      currentIndex: account.nextKeyIndex - 1,
      validIndexes: [0, ...account.companions.map((device) => device.keyIndex)],
    })
  }

  #announce(change: 'add' | 'remove', device: Device): void {
    const { account } = device
    const content = [
      node(change, { device_hash: deviceHash(account, 'jid'), device_lid_hash: deviceHash(account, 'lid') }, [
        node('device', { jid: device.jid, lid: device.lid, 'key-index': device.keyIndex }),
        // Clients that keep lists by LID look at `jid` only.
        node('device', { jid: device.lid, 'key-index': device.keyIndex }),
        keyIndexList(account),
      ]),
    ]
    const attrs = { from: account.jid, lid: account.lidJid, t: Math.floor(this.#options.clock() / 1000) }
    for (const reader of this.#readers.get(account) ?? []) {
      for (const target of reader.devices.values()) this.#options.mailroom.notify(target, 'devices', attrs, content)
    }
    for (const own of account.devices.values()) {
      if (own === device) continue
      this.#options.mailroom.notify(own, 'devices', attrs, content)
      this.#options.mailroom.notify(own, 'account_sync', { ...attrs, from: account.jid }, [
        node('devices', { dhash: deviceHash(account, 'jid') }, [
          ...Array.from(account.devices.values(), (listed) =>
            node('device', { jid: listed.jid, 'key-index': listed.id === 0 ? undefined : listed.keyIndex }),
          ),
          keyIndexList(account),
        ]),
      ])
    }
  }
}

/** `<devices>` as usync gives it. Clients skip a companion without `key-index`. */
export function deviceListNode(account: Account): BinaryNode {
  const devices = Array.from(account.devices.values(), (device) =>
    node('device', { id: device.id, 'key-index': device.id === 0 ? undefined : device.keyIndex }),
  )
  return node('devices', {}, [node('device-list', {}, devices), keyIndexList(account)])
}

function keyIndexList(account: Account): BinaryNode {
  const ts = Math.floor(account.keyIndexesAt / 1000)
  const { signedKeyIndexes } = account
  return node('key-index-list', { ts }, signedKeyIndexes === undefined ? undefined : Buffer.from(signedKeyIndexes))
}

/** The participant list hash, version 2: over the sorted full addresses (`user.0:device@server`). */
function deviceHash(account: Account, by: 'jid' | 'lid'): string {
  const [user, server] = by === 'jid' ? [account.pn, 's.whatsapp.net'] : [account.lid, 'lid']
  const addresses = Array.from(account.devices.keys(), (id) => `${user}.0:${id}@${server}`).sort()
  return `2:${sha256(Buffer.from(addresses.join('')))
    .subarray(0, 6)
    .toString('base64')
    .replace(/=+$/, '')}`
}
