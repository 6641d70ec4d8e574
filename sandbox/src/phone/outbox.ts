// Encrypting and sending: to a person, to a group, to one's own companions, and once more to a device that asks for it.
import { randomBytes } from 'node:crypto'
import { proto } from 'baileys/WAProto/index.js'
import { isGroup, parseJid } from '../wire/jid.ts'
import { type BinaryNode, node } from '../wire/node.ts'
import { encode } from './adv.ts'
import { fetchBundles, fetchDevices, fetchGroup, jidOf } from './devices.ts'
import { isMedia } from './message-content.ts'
import { pad } from './padding.ts'
import type { PreKeyBundle, SignalAddress, SignalEndpoint } from './signal-endpoint.ts'
import type { StanzaClient } from './stanza-client.ts'

export interface OutboxOptions {
  readonly client: StanzaClient
  readonly signal: SignalEndpoint
  readonly self: SignalAddress
  /** Own address by phone number: what peer messages are sent to. */
  readonly ownPhoneNumber: string
  /** Told about bundles that cannot be used. */
  readonly onBadBundle: (address: SignalAddress, reason: string) => void
}

interface Sent {
  readonly chat: string
  readonly message: proto.IMessage
}

interface GroupKeyHolders {
  readonly members: ReadonlySet<string>
  readonly holders: Set<string>
}

// A device asks again within seconds; the newest messages are enough, and people stay small.
const KEPT_MESSAGES = 500
const MAX_RETRIES = 5

export class Outbox {
  readonly #options: OutboxOptions
  readonly #sent = new Map<string, Sent>()
  readonly #groups = new Map<string, GroupKeyHolders>()

  constructor(options: OutboxOptions) {
    this.#options = options
  }

  /**
   * Sends to a person (their LID jid) or to a group, and to the own companions.
   * @returns once the service acknowledged it
   * @throws StanzaError when the service refuses it, NoAnswerError, OfflineError
   */
  async send(
    chat: string,
    message: proto.IMessage,
    messageId: string,
    extra: { readonly edit?: string | undefined } = {},
  ): Promise<void> {
    this.#remember(messageId, { chat, message })
    const content = isGroup(chat) ? await this.#forGroup(chat, message) : await this.#forPerson(chat, message)
    const type = isMedia(message) ? 'media' : 'text'
    const attrs = { id: messageId, to: chat, type, addressing_mode: isGroup(chat) ? 'lid' : undefined, ...extra }
    await this.#options.client.exchange(messageId, node('message', attrs, content))
  }

  /** Sends a protocol message to one of the own companions (history, keys): between own devices, seen by nobody. */
  async sendToCompanion(companion: SignalAddress, protocolMessage: proto.Message.IProtocolMessage): Promise<void> {
    const message = { protocolMessage }
    const id = makeMessageId()
    const to = `${this.#options.ownPhoneNumber}:${companion.device}@s.whatsapp.net`
    const enc = await this.#encryptFor(companion, message)
    if (enc === undefined) return
    const attrs = { id, to, type: 'text', category: 'peer', push_priority: 'high_force' }
    this.#remember(id, { chat: to, message })
    await this.#options.client.exchange(id, node('message', attrs, [enc, node('meta', { appdata: 'default' })]))
  }

  /**
   * Answers a retry receipt: the same message, encrypted anew for the one device that asked.
   * @param bundle the keys that came with the receipt, if any
   * @returns false when there is nothing to send: not our message, or asked too often
   */
  async sendAgain(
    messageId: string,
    to: SignalAddress,
    count: number,
    bundle: PreKeyBundle | undefined,
  ): Promise<boolean> {
    const sent = this.#sent.get(messageId)
    if (sent === undefined || count > MAX_RETRIES) return false
    const { client, self } = this.#options
    // A new session even where one is open: what the device could not read came from that one.
    const keys = bundle ?? (await fetchBundles(client, [to])).at(0)?.bundle
    if (keys !== undefined) await this.#startSession(to, keys)
    const { chat } = sent
    let message = sent.message
    const attrs: Record<string, string> = { id: messageId, type: 'text' }
    const own = to.user === self.user
    if (isGroup(chat)) {
      message = { ...message, ...(await this.#describeSenderKey(chat)) }
      Object.assign(attrs, { to: chat, participant: jidOf(to), addressing_mode: 'lid' })
    } else if (parseJid(chat)?.server === 's.whatsapp.net') {
      Object.assign(attrs, { to: chat, category: 'peer', push_priority: 'high_force' })
    } else {
      if (own) message = { deviceSentMessage: { destinationJid: chat, message } }
      Object.assign(attrs, { to: jidOf(to), device_fanout: 'false', ...(own && { recipient: chat }) })
    }
    const enc = await this.#encryptFor(to, message, { count: String(count) })
    if (enc === undefined) return false
    await this.#options.client.exchange(messageId, node('message', attrs, [enc]))
    return true
  }

  async #forPerson(chat: string, message: proto.IMessage): Promise<BinaryNode[]> {
    const { self } = this.#options
    const recipient = parseJid(chat)!.user
    const devices = await this.#devicesOf([...new Set([recipient, self.user])])
    const copy = { deviceSentMessage: { destinationJid: chat, message } }
    await this.#ensureSessions(devices)
    const participants = await Promise.all(
      devices.map((device) => this.#encryptTo(device, device.user === self.user ? copy : message)),
    )
    return [node('participants', {}, participants.filter(isPresent))]
  }

  async #forGroup(group: string, message: proto.IMessage): Promise<BinaryNode[]> {
    const { client, signal, self } = this.#options
    const members = new Set((await fetchGroup(client, group)).members)
    const devices = await this.#devicesOf([...new Set([...members, self.user])])
    const holders = this.#holdersOf(group, members)
    const missing = devices.filter((device) => !holders.has(jidOf(device)))
    // The distribution is taken before the key moves on, so that its holders can read this very message.
    const distribution = await this.#describeSenderKey(group)
    const body = await signal.encryptForGroup(group, self, pad(encode(proto.Message, message)))
    await this.#ensureSessions(missing)
    const participants = await Promise.all(missing.map((device) => this.#encryptTo(device, distribution)))
    for (const [index, device] of missing.entries()) if (participants[index]) holders.add(jidOf(device))
    const enc = node('enc', { v: 2, type: 'skmsg' }, body)
    const present = participants.filter(isPresent)
    return present.length === 0 ? [enc] : [node('participants', {}, present), enc]
  }

  /** Who has our sender key of a group. When somebody left, the key is replaced and nobody has it. */
  #holdersOf(group: string, members: ReadonlySet<string>): Set<string> {
    const known = this.#groups.get(group)
    if (known !== undefined && [...known.members].every((member) => members.has(member))) {
      this.#groups.set(group, { members, holders: known.holders })
      return known.holders
    }
    if (known !== undefined) this.#options.signal.forgetSenderKey(group, this.#options.self)
    const holders = new Set<string>()
    this.#groups.set(group, { members, holders })
    return holders
  }

  async #describeSenderKey(group: string): Promise<proto.IMessage> {
    const { signal, self } = this.#options
    const axolotlSenderKeyDistributionMessage = await signal.describeSenderKey(group, self)
    return { senderKeyDistributionMessage: { groupId: group, axolotlSenderKeyDistributionMessage } }
  }

  async #devicesOf(users: readonly string[]): Promise<SignalAddress[]> {
    const { client, self } = this.#options
    const devices = await fetchDevices(client, users)
    return devices.filter(({ user, device }) => user !== self.user || device !== self.device)
  }

  async #ensureSessions(addresses: readonly SignalAddress[]): Promise<void> {
    const { client, signal } = this.#options
    const missing = addresses.filter((address) => !signal.hasSession(address))
    if (missing.length === 0) return
    const bundles = await fetchBundles(client, missing)
    await Promise.all(bundles.map(({ address, bundle }) => this.#startSession(address, bundle)))
  }

  async #startSession(address: SignalAddress, bundle: PreKeyBundle): Promise<void> {
    try {
      await this.#options.signal.startSession(address, bundle)
    } catch (error) {
      // One device with bad keys must not keep the message from all the others.
      this.#options.onBadBundle(address, error instanceof Error ? error.message : String(error))
    }
  }

  async #encryptTo(device: SignalAddress, message: proto.IMessage): Promise<BinaryNode | undefined> {
    const enc = await this.#encryptFor(device, message)
    return enc && node('to', { jid: jidOf(device) }, [enc])
  }

  async #encryptFor(
    device: SignalAddress,
    message: proto.IMessage,
    attrs: Record<string, string> = {},
  ): Promise<BinaryNode | undefined> {
    const { signal } = this.#options
    await this.#ensureSessions([device])
    if (!signal.hasSession(device)) return undefined
    const { type, body } = await signal.encrypt(device, pad(encode(proto.Message, message)))
    return node('enc', { v: 2, type, ...attrs }, body)
  }

  #remember(messageId: string, sent: Sent): void {
    this.#sent.set(messageId, sent)
    if (this.#sent.size > KEPT_MESSAGES) this.#sent.delete(this.#sent.keys().next().value!)
  }
}

/** 32 hexadecimal digits in upper case: the form of Android's message ids. */
export function makeMessageId(): string {
  return randomBytes(16).toString('hex').toUpperCase()
}

const isPresent = <T>(value: T | undefined): value is T => value !== undefined
