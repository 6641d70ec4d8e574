import { randomBytes } from 'node:crypto'
import { proto } from 'baileys/WAProto/index.js'
import { encode, signKeyIndexList } from '../../sandbox/src/phone/adv.ts'
import { pad } from '../../sandbox/src/phone/padding.ts'
import { makePhoneKeys } from '../../sandbox/src/phone/phone.ts'
import type { CipherType, SignalEndpoint } from '../../sandbox/src/phone/signal-endpoint.ts'
import type { Account, Device } from '../../sandbox/src/service/account.ts'
import type { Attachment, Peer } from '../../sandbox/src/service/peer.ts'
import type { Service } from '../../sandbox/src/service/service.ts'
import { parseJid } from '../../sandbox/src/wire/jid.ts'
import { type BinaryNode, bytesOf, children, node } from '../../sandbox/src/wire/node.ts'

export interface Ciphertext {
  readonly id: string
  readonly type: CipherType
  readonly body: Buffer
}

/**
 * Somebody with a phone that has valid keys and does as little as possible: it counts what it receives. What it writes
 * is really encrypted, beforehand, so that the sandbox's share of the load stays small.
 */
export class Person implements Peer {
  readonly account: Account
  readonly signal: SignalEndpoint
  readonly rawId = randomBytes(4).readUInt32BE()
  /** Messages received. */
  received = 0
  /** Of these, the ones it opened because they began a session. */
  opened = 0
  /** Whether it sends delivery receipts, as phones do. */
  confirms = false
  onReceipt: (messageId: string) => void = () => undefined
  readonly #attachment: Attachment
  readonly #device: Device
  #opening: Promise<void> = Promise.resolve()

  constructor(service: Service, pn: string) {
    const { signal, keys } = makePhoneKeys()
    this.signal = signal
    this.account = service.accounts.create({ pn, pushName: `P ${pn.slice(-4)}`, primary: keys })
    this.#device = this.account.phone
    this.#attachment = service.attachPhone(this.account, this, {
      signKeyIndexes: (indexes) => signKeyIndexList(signal.identity, this.rawId, indexes),
    })
  }

  deliver(stanza: BinaryNode): void {
    if (stanza.tag === 'message') this.#take(stanza)
    else if (stanza.tag === 'receipt' && stanza.attrs.id !== undefined) this.onReceipt(stanza.attrs.id)
    this.#device.queue.clear()
  }

  close(): void {
    // the service ends it with the sandbox
  }

  /** Resolves when what began a session has been opened. */
  settle(): Promise<void> {
    return this.#opening
  }

  hasSessionWith(device: Device): boolean {
    return this.signal.hasSession({ user: device.account.lid, device: device.id })
  }

  /** `count` texts for one device, in a session that stands. */
  async encrypt(device: Device, count: number): Promise<Ciphertext[]> {
    const address = { user: device.account.lid, device: device.id }
    const texts: Ciphertext[] = []
    for (let i = 0; i < count; i += 1) {
      const message = { conversation: `Message ${i} of the bench, with a text of an ordinary length.` }
      const { type, body } = await this.signal.encrypt(address, pad(encode(proto.Message, message)))
      texts.push({ id: randomBytes(16).toString('hex').toUpperCase(), type, body })
    }
    return texts
  }

  send(device: Device, { id, type, body }: Ciphertext): void {
    const enc = node('enc', { v: 2, type }, body)
    this.#attachment.send(node('message', { id, to: device.lid, type: 'text' }, [enc]))
  }

  #take(stanza: BinaryNode): void {
    this.received += 1
    const author = parseJid(stanza.attrs.participant ?? stanza.attrs.from)
    const enc = children(stanza, 'enc').find(({ attrs }) => attrs.type === 'pkmsg')
    if (enc !== undefined && author !== undefined) {
      const address = { user: author.user, device: author.device }
      if (!this.signal.hasSession(address))
        this.#opening = this.#opening.then(async () => {
          await this.signal.decrypt(address, 'pkmsg', bytesOf(enc)!)
          this.opened += 1
        })
    }
    const { id, from, participant } = stanza.attrs
    if (this.confirms) this.#attachment.send(node('receipt', { id, to: from, participant }))
  }
}
