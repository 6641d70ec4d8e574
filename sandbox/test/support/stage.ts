// A service without sockets: accounts with real keys, and peers that only write down what they are given.
import { randomBytes } from 'node:crypto'
import { proto } from 'baileys/WAProto/index.js'
import { generateKeyPair, type KeyPair, sign, withKeyType } from '../../src/crypto/curve.ts'
import { type Account, Device } from '../../src/service/account.ts'
import type { DeviceKeys, Peer } from '../../src/service/peer.ts'
import { Service } from '../../src/service/service.ts'
import { type BinaryNode, node } from '../../src/wire/node.ts'

/** A device's connection as the test sees it. */
export class Actor implements Peer {
  readonly device: Device
  readonly service: Service
  readonly identity: KeyPair
  received: BinaryNode[] = []
  closedBecause: string | undefined
  #counter = 0

  constructor(service: Service, device: Device, identity: KeyPair) {
    this.service = service
    this.device = device
    this.identity = identity
  }

  deliver(stanza: BinaryNode): void {
    this.received.push(stanza)
  }

  close(reason: string): void {
    this.closedBecause = reason
    this.service.disconnect(this.device, this)
  }

  connect(passive = false): void {
    this.received = []
    this.closedBecause = undefined
    this.service.connect(this.device, this, { passive })
  }

  disconnect(): void {
    this.service.disconnect(this.device, this)
  }

  send(stanza: BinaryNode): void {
    this.service.receive(this.device, stanza)
  }

  /** Sends an IQ and returns the answer, if any came. */
  query(type: string, xmlns: string, content: BinaryNode[], to = '@s.whatsapp.net'): BinaryNode | undefined {
    this.#counter += 1
    const id = `q${this.#counter}`
    this.send(node('iq', { id, type, xmlns, to }, content))
    return this.take((stanza) => stanza.tag === 'iq' && stanza.attrs.id === id)
  }

  /** Removes and returns the first stanza that fits. */
  take(fits: (stanza: BinaryNode) => boolean): BinaryNode | undefined {
    const position = this.received.findIndex(fits)
    return position < 0 ? undefined : this.received.splice(position, 1)[0]
  }

  /** Removes and returns all stanzas of a tag. */
  takeAll(tag: string): BinaryNode[] {
    const found = this.received.filter((stanza) => stanza.tag === tag)
    this.received = this.received.filter((stanza) => stanza.tag !== tag)
    return found
  }
}

export class Stage {
  now = 1_800_000_000_000
  readonly service = new Service({ clock: () => this.now })
  #nextNumber = 4_915_500_000

  /** An account whose phone is connected. */
  addPhone(pushName = 'Ann'): Actor {
    this.#nextNumber += 1
    const identity = generateKeyPair()
    const account = this.service.accounts.create({
      pn: String(this.#nextNumber),
      pushName,
      primary: makeKeys(identity),
    })
    const actor = new Actor(this.service, account.phone, identity)
    actor.connect()
    return actor
  }

  /** A companion of an account, linked as far as the service is concerned, and connected. */
  addCompanion(phone: Actor): Actor {
    const { account } = phone.device
    const identity = generateKeyPair()
    const device = new Device(account, account.nextDeviceId, account.nextKeyIndex, makeKeys(identity))
    device.noiseKey = generateKeyPair().public
    device.signedIdentity = makeSignedIdentity(phone, identity, device.keyIndex)
    this.service.directory.add(device)
    phone.takeAll('notification')
    phone.device.queue.clear()
    const actor = new Actor(this.service, device, identity)
    actor.connect()
    return actor
  }

  problems(): string[] {
    return this.service.log.list().map((problem) => `${problem.kind}: ${problem.text}`)
  }
}

export function makeKeys(identity: KeyPair, preKeys = 3): DeviceKeys {
  const signedPreKey = generateKeyPair()
  return {
    identity: identity.public,
    registrationId: 77,
    signedPreKey: { id: 1, public: signedPreKey.public, signature: sign(identity, withKeyType(signedPreKey.public)) },
    preKeys: Array.from({ length: preKeys }, (_, index) => ({ id: index + 1, public: generateKeyPair().public })),
  }
}

/** An `ADVSignedDeviceIdentity` with both signatures. */
export function makeSignedIdentity(phone: Actor, device: KeyPair, keyIndex: number): Buffer {
  const details = proto.ADVDeviceIdentity.encode({ rawId: 1, timestamp: 1, keyIndex }).finish()
  const accountSignatureKey = phone.identity.public
  const accountSignature = sign(phone.identity, Buffer.concat([Buffer.of(6, 0), details, device.public]))
  const deviceSignature = sign(device, Buffer.concat([Buffer.of(6, 1), details, device.public, accountSignatureKey]))
  return Buffer.from(
    proto.ADVSignedDeviceIdentity.encode({ details, accountSignatureKey, accountSignature, deviceSignature }).finish(),
  )
}

/** An `<enc>` that looks like an ordinary message. */
export function msg(type = 'msg'): BinaryNode {
  return node('enc', { v: 2, type }, Buffer.concat([Buffer.of(0x33), randomBytes(40)]))
}

/** An `<enc>` that opens a session in the name of `identity`. */
export function pkmsg(identity: KeyPair): BinaryNode {
  const key = withKeyType(identity.public)
  const body = Buffer.concat([
    Buffer.of(0x33, 0x08, 1, 0x1a, key.length),
    key,
    Buffer.of(0x22, 3, 1, 2, 3, 0x28, 77, 0x30, 1),
  ])
  return node('enc', { v: 2, type: 'pkmsg' }, body)
}

/** A 1:1 message with one copy for each device named. */
export function message(
  id: string,
  to: Account,
  copies: readonly (readonly [string, BinaryNode])[],
  extra: readonly BinaryNode[] = [],
): BinaryNode {
  const list = copies.map(([jid, enc]) => node('to', { jid }, [enc]))
  return node('message', { id, to: to.lidJid, type: 'text' }, [node('participants', {}, list), ...extra])
}
