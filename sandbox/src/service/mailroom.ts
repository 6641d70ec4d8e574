import { randomBytes } from 'node:crypto'
import { proto } from 'baileys/WAProto/index.js'
import { type BinaryNode, children, node } from '../wire/node.ts'
import type { Device } from './account.ts'
import type { Faults } from './faults.ts'
import type { Metrics } from './metrics.ts'

/** Puts stanzas into devices' queues and hands them to those that are connected and active. */
export class Mailroom {
  readonly #faults: Faults
  readonly #metrics: Metrics
  /** Stanzas held back by a `reorder` fault until the next one for that device went out. */
  readonly #heldBack = new WeakMap<Device, BinaryNode>()
  /** Differs from process to process: queues that were saved hold ids of an earlier one. */
  readonly #prefix = randomBytes(4).toString('hex')
  #notificationId = 0

  constructor(options: { readonly faults: Faults; readonly metrics: Metrics }) {
    this.#faults = options.faults
    this.#metrics = options.metrics
  }

  /** A stanza that waits until the device confirms it: message, receipt, notification, call. */
  post(device: Device, stanza: BinaryNode): void {
    if (!device.linked) return
    device.queue.add(stanza)
    if (device.active) this.push(device, stanza)
  }

  /** The same as a notification with an id of its own. */
  notify(
    device: Device,
    type: string,
    attrs: Readonly<Record<string, string | number | undefined>>,
    content: readonly BinaryNode[],
  ): void {
    this.#notificationId += 1
    this.post(
      device,
      node('notification', { id: `${this.#prefix}-${this.#notificationId}`, type, ...attrs }, [...content]),
    )
  }

  /** A stanza that only matters now (presence, chat state): nothing is kept for those who are offline. */
  mention(device: Device, stanza: BinaryNode): void {
    if (device.active) device.peer?.deliver(stanza)
  }

  /** Hands over a queued stanza, with the faults that concern deliveries. */
  push(device: Device, stanza: BinaryNode): void {
    if (device.peer === undefined) return
    this.#metrics.deliveries += 1
    const sent = this.#tamper(device, stanza)
    const held = this.#heldBack.get(device)
    if (held === undefined && this.#faults.take('reorder', device.account) !== undefined) {
      this.#heldBack.set(device, sent)
      return
    }
    device.peer.deliver(sent)
    if (this.#faults.take('duplicate', device.account) !== undefined) device.peer?.deliver(sent)
    if (held !== undefined) {
      this.#heldBack.delete(device)
      device.peer?.deliver(held)
    }
  }

  #tamper(device: Device, stanza: BinaryNode): BinaryNode {
    if (!this.#faults.armed || stanza.tag !== 'message') return stanza
    const { account } = device
    const inTheClear = () => this.#faults.take('tamper', account, ({ target }) => target === 'plaintext') !== undefined
    const content = children(stanza).map((child) => {
      if (!(child.content instanceof Uint8Array)) return child
      if (child.tag === 'device-identity') return { ...child, content: this.#tamperIdentity(device, child.content) }
      if (child.tag !== 'enc') return child
      if (inTheClear())
        return node('plaintext', {}, Buffer.from(proto.Message.encode({ conversation: 'forged' }).finish()))
      return { ...child, content: this.#faults.tamper('enc', account, child.content) }
    })
    return { ...stanza, content }
  }

  #tamperIdentity({ account }: Device, encoded: Uint8Array): Uint8Array {
    const identity = proto.ADVSignedDeviceIdentity.decode(encoded)
    const accountSignature = this.#faults.tamper('device_account_signature', account, identity.accountSignature!)
    const deviceSignature = this.#faults.tamper('device_signature', account, identity.deviceSignature!)
    if (accountSignature === identity.accountSignature && deviceSignature === identity.deviceSignature) return encoded
    return proto.ADVSignedDeviceIdentity.encode({ ...identity, accountSignature, deviceSignature }).finish()
  }
}
