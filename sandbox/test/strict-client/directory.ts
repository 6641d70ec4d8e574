// Who has which devices and which LID: asked by usync, held against the account's signed list of key indexes.
import { type KeyIndexList, verifyKeyIndexList } from './adv.ts'
import type { Connection } from './connection.ts'
import { check } from './inspection.ts'
import type { Installation } from './installation.ts'
import { addressOf, dataOf, make, part, partsOf, personOf, type Stanza } from './stanza.ts'
import { sameBytes } from './symmetric.ts'
import { demand } from './violation.ts'

export interface Person {
  /** LID user. */
  readonly lid: string
  /** Key index by device number; the phone has none. */
  readonly devices: ReadonlyMap<number, number | undefined>
}

export class Directory {
  readonly #own: Installation
  readonly #connection: () => Connection
  readonly #byLid = new Map<string, Person>()
  readonly #lidOf = new Map<string, string>()
  #counter = 0

  constructor(own: Installation, connection: () => Connection) {
    this.#own = own
    this.#connection = connection
  }

  /** The LID user behind an address. */
  lidOf(jid: string): string | undefined {
    const address = addressOf(jid)
    return address?.server === 'lid' ? address.user : this.#lidOf.get(address?.user ?? '')
  }

  /** What is known of a person without asking. */
  known(lid: string): Person | undefined {
    return this.#byLid.get(lid)
  }

  forget(jid: string): void {
    this.#byLid.delete(this.lidOf(jid) ?? '')
  }

  /** @throws Violation, also when nobody has one of the addresses */
  async find(jids: readonly string[]): Promise<Person[]> {
    const missing = jids.filter((jid) => !this.#byLid.has(this.lidOf(jid) ?? ''))
    if (missing.length > 0) await this.#ask([...new Set(missing.map(personOf))])
    return jids.map((jid) => {
      const person = this.#byLid.get(this.lidOf(jid) ?? '')
      demand(person !== undefined, 'stanza', `usync knows nothing of ${jid}`)
      return person
    })
  }

  async #ask(jids: readonly string[]): Promise<void> {
    this.#counter += 1
    const sid = `usync${this.#counter}`
    const answer = await this.#connection().query('get', 'usync', [
      make('usync', { sid, mode: 'query', last: 'true', index: '0', context: 'message' }, [
        make('query', {}, [make('devices', { version: 2 }), make('lid')]),
        make(
          'list',
          {},
          jids.map((jid) => make('user', { jid })),
        ),
      ]),
    ])
    const usync = part(answer, 'usync')
    demand(usync?.attrs.sid === sid, 'stanza', `usync ${usync?.attrs.sid} instead of ${sid}`)
    demand(part(part(usync, 'result'), 'devices') !== undefined, 'stanza', 'usync without result')
    const users = partsOf(part(usync, 'list'), 'user')
    demand(users.length === jids.length, 'stanza', `${users.length} users of ${jids.length}`)
    for (const user of users) {
      demand(jids.includes(user.attrs.jid ?? ''), 'stanza', `${user.attrs.jid} was not asked for`)
      this.#learn(user)
    }
  }

  #learn(user: Stanza): void {
    const address = addressOf(user.attrs.jid)!
    const lidJid = part(user, 'lid')?.attrs.val
    if (address.server !== 'lid') {
      demand(/^\d+@lid$/.test(lidJid ?? ''), 'stanza', `usync lid ${lidJid} of ${user.attrs.jid}`)
      this.#lidOf.set(address.user, addressOf(lidJid)!.user)
    }
    const lid = address.server === 'lid' ? address.user : addressOf(lidJid)!.user
    const devices = new Map<number, number | undefined>()
    for (const device of partsOf(part(part(user, 'devices'), 'device-list'), 'device')) {
      const id = Number(device.attrs.id)
      check(device, id === 0 ? { id: /^0$/ } : { id: /^\d{1,2}$/, 'key-index': /^[1-9]\d*$/ })
      demand(!devices.has(id), 'stanza', `device ${id} twice`)
      devices.set(id, id === 0 ? undefined : Number(device.attrs['key-index']))
    }
    demand(devices.has(0), 'stanza', `${lid} has no phone`)
    const signed = part(part(user, 'devices'), 'key-index-list')
    this.verifyIndexes(lid, signed, [...devices.values()])
    this.#byLid.set(lid, { lid, devices })
  }

  /** Checks a full list of devices against what the account signed. @throws Violation `key_index_list`, `account_key` */
  verifyIndexes(lid: string, node: Stanza | undefined, indexes: readonly (number | undefined)[]): void {
    const list = this.#readIndexes(lid, node)
    if (list === undefined) return
    const valid = new Set(list.validIndexes)
    for (const index of indexes) {
      demand(valid.has(index ?? 0), 'key_index_list', `index ${index} of ${lid} is not on it`)
    }
    demand(valid.size === indexes.length, 'key_index_list', `${valid.size} valid of ${indexes.length} devices`)
  }

  /** Checks what a `devices` notification says against what the account signed. @throws Violation */
  verifyChange(notification: Stanza): void {
    const change = part(notification)
    const lid = addressOf(notification.attrs.lid)!.user
    demand(change?.tag === 'add' || change?.tag === 'remove', 'stanza', `devices: <${change?.tag}>`)
    check(change, { device_hash: /^2:[\w+/]{8}$/, device_lid_hash: /^2:[\w+/]{8}$/ })
    const list = this.#readIndexes(lid, part(change, 'key-index-list'))
    const devices = partsOf(change, 'device')
    demand(devices.length > 0, 'stanza', `devices: <${change.tag}> of nobody`)
    for (const device of devices) {
      check(device, { jid: /^\d+:\d+@(s\.whatsapp\.net|lid)$/, 'lid?': /^\d+:\d+@lid$/, 'key-index': /^[1-9]\d*$/ })
      const valid = list?.validIndexes.includes(Number(device.attrs['key-index']))
      const fits = valid === undefined || valid === (change.tag === 'add')
      demand(fits, 'key_index_list', `<${change.tag}> of index ${device.attrs['key-index']} against the signed list`)
    }
  }

  /** The account's key is its phone's identity. @throws Violation `identity`, `account_key` */
  pinAccountKey(lid: string, key: Buffer): void {
    const { lid: own, key: ownKey } = this.#own.own
    if (addressOf(own)!.user === lid) demand(sameBytes(key, ownKey), 'account_key', 'our account has another key')
    this.#own.signal.pinIdentity({ user: lid, device: 0 }, key)
  }

  /** The list, once its signature is verified; undefined where the service gives none. */
  #readIndexes(lid: string, node: Stanza | undefined): KeyIndexList | undefined {
    demand(node !== undefined, 'key_index_list', `none for ${lid}`)
    check(node, { ts: /^\d+$/ })
    const encoded = dataOf(node)
    if (encoded.length === 0) return undefined
    const list = verifyKeyIndexList(encoded, Math.floor(Date.now() / 1000))
    demand(list.timestamp === Number(node.attrs.ts), 'key_index_list', `ts ${node.attrs.ts}, signed ${list.timestamp}`)
    this.pinAccountKey(lid, list.accountKey)
    return list
  }
}
