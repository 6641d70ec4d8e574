// Incoming messages: opened, checked, written down, confirmed; or asked for once more.
import { proto } from 'baileys/WAProto/index.js'
import { withKeyType } from '../crypto/curve.ts'
import { equalBytes } from '../crypto/symmetric.ts'
import type { Account } from '../service/account.ts'
import type { ProblemKind } from '../service/problem-log.ts'
import { isGroup, parseJid } from '../wire/jid.ts'
import { type BinaryNode, bytesOf, child, children, node, uintBytes } from '../wire/node.ts'
import { checkDeviceIdentity, decode } from './adv.ts'
import { writeFreshKeys } from './devices.ts'
import { unpad } from './padding.ts'
import { readIdentityKey } from './prekey-message.ts'
import { type SignalAddress, type SignalEndpoint, SignalError } from './signal-endpoint.ts'

/** An opened message with everything the phone knows about it. */
export interface Incoming {
  readonly stanza: BinaryNode
  readonly id: string
  readonly author: SignalAddress
  readonly account: Account
  /** The group, or the LID of the other person. */
  readonly chat: string
  readonly fromMe: boolean
  readonly message: proto.IMessage
}

export interface InboxOptions {
  readonly signal: SignalEndpoint
  readonly self: SignalAddress
  /** The account an address belongs to. */
  readonly accountOf: (jid: string | undefined) => Account | undefined
  readonly send: (stanza: BinaryNode) => void
  readonly problem: (kind: ProblemKind, text: string, stanza: BinaryNode) => void
  /** Called for each message that opened, once per (author, id). */
  readonly onMessage: (incoming: Incoming) => void
  /** Called when a message that was written down arrives again. */
  readonly onCopy: (author: SignalAddress, id: string) => void
}

const KEPT_IDS = 5_000
const MAX_RETRY_REQUESTS = 5

export class Inbox {
  readonly #options: InboxOptions
  readonly #seen = new Set<string>()
  readonly #retries = new Map<string, number>()

  constructor(options: InboxOptions) {
    this.#options = options
  }

  async receive(stanza: BinaryNode): Promise<void> {
    const { id, from, participant } = stanza.attrs
    const sender = parseJid(participant ?? from)
    const account = this.#options.accountOf(participant ?? from)
    if (id === undefined || sender === undefined || account === undefined) {
      this.#options.problem('malformed', 'a message without an id or a known sender reached a phone', stanza)
      return
    }
    const author = { user: account.lid, device: sender.device }
    const key = `${author.user}:${author.device}/${id}`
    try {
      const message = await this.#open(stanza, author, account)
      this.#retries.delete(key)
      if (this.#seen.has(key)) this.#options.onCopy(author, id)
      else {
        this.#see(key)
        const chat = this.#chatOf(stanza, author, message)
        this.#options.onMessage({ stanza, id, author, account, chat, fromMe: author.user === this.#self, message })
      }
      this.#confirm(stanza, author)
    } catch (error) {
      if (!(error instanceof SignalError)) throw error
      this.#handleFailure(error, stanza, author, key)
    }
  }

  get #self(): string {
    return this.#options.self.user
  }

  /** Opens all ciphertexts of a stanza, the sender key first. @throws SignalError when one does not open */
  async #open(stanza: BinaryNode, author: SignalAddress, account: Account): Promise<proto.IMessage> {
    const message: proto.IMessage = {}
    const encs = children(stanza, 'enc')
    if (encs.length === 0) throw new SignalError('invalid', 'a message without a ciphertext')
    for (const enc of [...encs.filter(({ attrs }) => attrs.type !== 'skmsg'), ...encs.filter(isSkmsg)]) {
      const plaintext = unpad(await this.#decrypt(enc, stanza, author, account))
      const part = plaintext && decode(proto.Message, plaintext)
      if (part === undefined) {
        this.#options.problem('malformed', 'a plaintext is badly padded or no Message', stanza)
        continue
      }
      const distribution = part.senderKeyDistributionMessage
      if (distribution?.axolotlSenderKeyDistributionMessage) {
        const group = stanza.attrs.from ?? ''
        if (distribution.groupId !== group) {
          this.#options.problem('malformed', `a sender key for ${distribution.groupId} came in ${group}`, stanza)
        }
        await this.#options.signal.learnSenderKey(group, author, distribution.axolotlSenderKeyDistributionMessage)
      }
      for (const [name, value] of Object.entries(part)) if (value) Object.assign(message, { [name]: value })
    }
    return message
  }

  async #decrypt(enc: BinaryNode, stanza: BinaryNode, author: SignalAddress, account: Account): Promise<Uint8Array> {
    const body = bytesOf(enc)
    const { type } = enc.attrs
    if (body === undefined) throw new SignalError('invalid', 'an empty ciphertext')
    if (type === 'skmsg') return this.#options.signal.decryptFromGroup(stanza.attrs.from!, author, body)
    if (type === 'pkmsg') {
      const identity = readIdentityKey(body)
      if (identity === undefined) throw new SignalError('invalid', 'a pkmsg without an identity key')
      const forgery = this.#findForgery(identity, stanza, author, account)
      if (forgery !== undefined) this.#options.problem('bad_signature', `pkmsg: ${forgery}`, stanza)
    } else if (type !== 'msg') throw new SignalError('invalid', `unknown ciphertext type ${type}`)
    return this.#options.signal.decrypt(author, type, body)
  }

  /** A pkmsg must come from the identity the service knows; a companion's, with its account's word for it. */
  #findForgery(identity: Buffer, stanza: BinaryNode, author: SignalAddress, account: Account): string | undefined {
    const device = account.devices.get(author.device)
    if (device === undefined) return 'its sender is not a device of the account any more'
    if (!equalBytes(identity, withKeyType(device.identity))) return 'its identity is not the registered one'
    if (author.device === 0) return undefined
    const claim = bytesOf(child(stanza, 'device-identity'))
    if (claim === undefined) return 'it comes from a companion without its device-identity'
    const checked = checkDeviceIdentity(claim, identity, account.phone.identity)
    if (typeof checked === 'string') return checked
    return checked.keyIndex === device.keyIndex ? undefined : `key index ${checked.keyIndex}, not ${device.keyIndex}`
  }

  #chatOf(stanza: BinaryNode, author: SignalAddress, message: proto.IMessage): string {
    const { from = '', recipient } = stanza.attrs
    if (isGroup(from) || from.endsWith('@broadcast')) return from
    if (author.user !== this.#self) return `${author.user}@lid`
    const destination = message.deviceSentMessage?.destinationJid ?? recipient
    if (destination && isGroup(destination)) return destination
    return this.#options.accountOf(destination)?.lidJid ?? destination ?? `${this.#self}@lid`
  }

  #handleFailure(error: SignalError, stanza: BinaryNode, author: SignalAddress, key: string): void {
    const { id } = stanza.attrs
    if (error.failure === 'duplicate' && this.#seen.has(key)) {
      this.#options.onCopy(author, id!)
      this.#confirm(stanza, author)
      return
    }
    const reason = error.failure === 'duplicate' ? 'its key was used before for another message' : error.message
    this.#options.problem('undecryptable', `message ${id} of ${author.user}:${author.device}: ${reason}`, stanza)
    this.#askAgain(stanza, key)
  }

  /** Sends a retry receipt; from the second one on it carries keys for a new session. */
  #askAgain(stanza: BinaryNode, key: string): void {
    const { signal, send } = this.#options
    const { id, from, participant, t } = stanza.attrs
    const count = (this.#retries.get(key) ?? 0) + 1
    remember(this.#retries, key, count)
    if (count > MAX_RETRY_REQUESTS) return
    const content = [
      node('retry', { count, id, t, v: 1 }),
      node('registration', {}, uintBytes(signal.registrationId, 4)),
      ...(count > 1 ? [writeFreshKeys(signal)] : []),
    ]
    send(node('receipt', { id, to: from, participant, type: 'retry' }, content))
  }

  /** The delivery receipt, which also takes the stanza off the service's queue. */
  #confirm(stanza: BinaryNode, author: SignalAddress): void {
    const { id, from, participant, recipient, category } = stanza.attrs
    const type = category === 'peer' ? 'peer_msg' : author.user === this.#self ? 'sender' : undefined
    this.#options.send(node('receipt', { id, to: from, participant, recipient, type }))
  }

  #see(key: string): void {
    this.#seen.add(key)
    if (this.#seen.size > KEPT_IDS) this.#seen.delete(this.#seen.values().next().value!)
  }
}

const isSkmsg = ({ attrs }: BinaryNode): boolean => attrs.type === 'skmsg'

function remember(map: Map<string, number>, key: string, value: number): void {
  map.delete(key)
  map.set(key, value)
  if (map.size > KEPT_IDS) map.delete(map.keys().next().value!)
}
