// Encrypting and sending: to all devices of a person and our own, to a group, to one device that asks again.
import { randomBytes } from 'node:crypto'
import { proto } from 'baileys/WAProto/index.js'
import type { Connection } from './connection.ts'
import type { Directory, Person } from './directory.ts'
import { fetchGroup } from './groups.ts'
import type { Installation } from './installation.ts'
import { readBundle, startSessions } from './keys.ts'
import type { Remote } from './signal-box.ts'
import { addressOf, isGroup, make, part, personOf, type Stanza } from './stanza.ts'
import { demand } from './violation.ts'

/** The service refused a message. */
export class MessageRefused extends Error {
  readonly code: number

  constructor(code: number) {
    super(`the message was refused with ${code}`)
    this.name = 'MessageRefused'
    this.code = code
  }
}

interface Target {
  readonly remote: Remote
  readonly jid: string
}

interface Sent {
  readonly chat: string
  readonly message: proto.IMessage
  readonly distribution: proto.IMessage | undefined
}

export interface SendOptions {
  /** Changes the stanza before it is sent. */
  readonly spoil?: (stanza: Stanza) => Stanza
}

export class Outbox {
  readonly #own: Installation
  readonly #connection: () => Connection
  readonly #directory: Directory
  readonly #sent = new Map<string, Sent>()
  /** Devices that have our sender key, by group. */
  readonly #holders = new Map<string, Set<string>>()

  constructor(own: Installation, directory: Directory, connection: () => Connection) {
    this.#own = own
    this.#directory = directory
    this.#connection = connection
  }

  /** Sends a text; resolves with its id when the service acknowledged it. @throws MessageRefused, Violation */
  async sendText(chat: string, text: string, { spoil = (stanza) => stanza }: SendOptions = {}): Promise<string> {
    const message = { conversation: text }
    const id = `3EB0${randomBytes(9).toString('hex').toUpperCase()}`
    const content = isGroup(chat) ? await this.#forGroup(id, chat, message) : await this.#forPerson(id, chat, message)
    const attrs = { id, to: chat, type: 'text', ...(isGroup(chat) && { addressing_mode: 'lid' }) }
    await this.exchange(spoil(make('message', attrs, content)))
    return id
  }

  /** @throws MessageRefused */
  async exchange(stanza: Stanza): Promise<void> {
    const ack = await this.#connection().exchange(stanza)
    if (ack.attrs.error !== undefined) throw new MessageRefused(Number(ack.attrs.error))
  }

  /** Answers a retry receipt, in a new session with the device that asked. @throws Violation */
  async sendAgain(receipt: Stanza): Promise<void> {
    const { id = '', from, participant } = receipt.attrs
    const jid = participant ?? from!
    const sent = this.#sent.get(id)
    demand(sent !== undefined, 'stanza', `a retry of ${id}, which we never sent`)
    const remote = { user: this.#directory.lidOf(jid)!, device: addressOf(jid)!.device }
    const keys = part(receipt, 'keys')
    if (keys === undefined) await startSessions(this.#connection(), this.#own, [{ remote, jid }])
    else await this.#own.signal.startSession(remote, readBundle(keys, part(receipt, 'registration')))
    const { chat, message, distribution } = sent
    const own = remote.user === this.#self.user
    const plain =
      distribution !== undefined
        ? { ...message, ...distribution }
        : own
          ? { deviceSentMessage: { destinationJid: chat, message } }
          : message
    const count = Number(part(receipt, 'retry')!.attrs.count)
    const { enc, opens } = await this.#encrypt(remote, plain, count)
    const to = isGroup(chat) ? { to: chat, participant: jid } : { to: jid, ...(own && { recipient: chat }) }
    await this.exchange(make('message', { id, type: 'text', ...to }, [enc, ...this.#identityIf(opens)]))
  }

  get #self(): Remote {
    const { user, device } = addressOf(this.#own.own.lid)!
    return { user, device }
  }

  async #forPerson(id: string, chat: string, message: proto.IMessage): Promise<Stanza[]> {
    this.#sent.set(id, { chat, message, distribution: undefined })
    const self = this.#self.user
    const { jid: ownJid, lid: ownLid } = this.#own.own
    const [server, own] = chat.endsWith('@lid') ? ['lid', ownLid] : ['s.whatsapp.net', ownJid]
    const [person, me] = await this.#directory.find([chat, personOf(own)])
    const theirs = person!.lid === self ? [] : this.#targets(person!, addressOf(chat)!.user, server)
    const targets = [...theirs, ...this.#targets(me!, addressOf(own)!.user, server)]
    const copy = { deviceSentMessage: { destinationJid: chat, message } }
    const { entries, opens } = await this.#encryptAll(targets, ({ remote }) => (remote.user === self ? copy : message))
    return [make('participants', {}, entries), ...this.#identityIf(opens)]
  }

  async #forGroup(id: string, group: string, message: proto.IMessage): Promise<Stanza[]> {
    const { members } = await fetchGroup(this.#connection(), group)
    const people = await this.#directory.find(members)
    const targets = people.flatMap((person) => this.#targets(person, person.lid, 'lid'))
    const plain = pad(proto.Message.encode(message).finish())
    const { distribution, body } = await this.#own.signal.encryptForGroup(group, this.#self, plain)
    const holders = this.#holders.get(group) ?? new Set()
    this.#holders.set(group, holders)
    const missing = targets.filter(({ jid }) => !holders.has(jid))
    const key = {
      senderKeyDistributionMessage: { groupId: group, axolotlSenderKeyDistributionMessage: distribution },
    }
    this.#sent.set(id, { chat: group, message, distribution: key })
    const { entries, opens } = await this.#encryptAll(missing, () => key)
    for (const { jid } of missing) holders.add(jid)
    const participants = entries.length === 0 ? [] : [make('participants', {}, entries)]
    return [...participants, make('enc', { v: 2, type: 'skmsg' }, body), ...this.#identityIf(opens)]
  }

  /** All devices of a person but this one. */
  #targets(person: Person, user: string, server: string): Target[] {
    const self = this.#self
    return [...person.devices.keys()]
      .filter((device) => person.lid !== self.user || device !== self.device)
      .map((device) => ({
        remote: { user: person.lid, device },
        jid: device === 0 ? `${user}@${server}` : `${user}:${device}@${server}`,
      }))
  }

  async #encryptAll(targets: readonly Target[], plainFor: (target: Target) => proto.IMessage) {
    const strangers = targets.filter(({ remote }) => !this.#own.signal.hasSession(remote))
    await startSessions(this.#connection(), this.#own, strangers)
    let anyOpens = false
    const entries: Stanza[] = []
    for (const target of targets) {
      const { enc, opens } = await this.#encrypt(target.remote, plainFor(target))
      anyOpens ||= opens
      entries.push(make('to', { jid: target.jid }, [enc]))
    }
    return { entries, opens: anyOpens }
  }

  async #encrypt(remote: Remote, message: proto.IMessage, count?: number) {
    const plain = pad(proto.Message.encode(message).finish())
    const { type, body } = await this.#own.signal.encrypt(remote, plain)
    return { enc: make('enc', { v: 2, type, count }, body), opens: type === 'pkmsg' }
  }

  #identityIf(opens: boolean): Stanza[] {
    return opens ? [make('device-identity', {}, this.#own.own.deviceIdentity)] : []
  }
}

/** 1 to 16 bytes, each of them their number. */
function pad(plain: Uint8Array): Buffer {
  const length = (randomBytes(1)[0]! & 15) + 1
  return Buffer.concat([plain, Buffer.alloc(length, length)])
}
