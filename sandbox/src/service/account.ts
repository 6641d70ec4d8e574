import { lidJid, phoneJid } from '../wire/jid.ts'
import { OfflineQueue } from './offline-queue.ts'
import type { AccountSpec, CompanionProps, DeviceKeys, Peer, PreKey, SignedPreKey } from './peer.ts'

export const DEFAULT_MAX_COMPANIONS = 4

/** One device of an account: 0 is the phone, the others are linked clients. */
export class Device {
  readonly account: Account
  readonly id: number
  readonly keyIndex: number
  readonly identity: Uint8Array
  readonly props: CompanionProps | undefined
  readonly queue = new OfflineQueue()
  readonly preKeys = new Map<number, Uint8Array>()
  registrationId: number
  signedPreKey: SignedPreKey
  /** The Noise static key it logs in with; a phone in this process has none. */
  noiseKey: Uint8Array | undefined
  /** Encoded `ADVSignedDeviceIdentity` with both signatures and the account's key; a phone has none. */
  signedIdentity: Uint8Array | undefined
  /** What is connected as this device now. */
  peer: Peer | undefined
  /** A passive connection gets nothing until it says `active`; its stanzas wait in the queue. */
  active = false
  /** Whether it said `presence available` on this connection. */
  available = false
  /** Whether it was told that its pre-keys run low, since its last upload. */
  toldPreKeysLow = false
  /** False once the device was removed from the account. */
  linked = true

  constructor(account: Account, id: number, keyIndex: number, keys: DeviceKeys, props?: CompanionProps) {
    this.account = account
    this.id = id
    this.keyIndex = keyIndex
    this.identity = keys.identity
    this.registrationId = keys.registrationId
    this.signedPreKey = keys.signedPreKey
    this.props = props
    this.addPreKeys(keys.preKeys)
  }

  /** Address by phone number. */
  get jid(): string {
    return phoneJid(this.account.pn, this.id)
  }

  /** Address by LID. */
  get lid(): string {
    return lidJid(this.account.lid, this.id)
  }

  get online(): boolean {
    return this.peer !== undefined
  }

  addPreKeys(preKeys: readonly PreKey[]): void {
    for (const preKey of preKeys) this.preKeys.set(preKey.id, preKey.public)
  }

  /** Takes the oldest one-time pre-key; each is handed out once. */
  consumePreKey(): PreKey | undefined {
    const first = this.preKeys.entries().next()
    if (first.done === true) return undefined
    const [id, key] = first.value
    this.preKeys.delete(id)
    return { id, public: key }
  }
}

/** A person's or business's account: a phone number, a LID and up to `maxCompanions` linked devices. */
export class Account {
  readonly pn: string
  readonly lid: string
  readonly platform: string
  readonly businessName: string | undefined
  readonly createdAt: number
  /** By id, the phone (0) always among them. */
  readonly devices = new Map<number, Device>()
  readonly blocked = new Set<string>()
  readonly privacy = new Map<string, string>()
  pushName: string
  about: string
  maxCompanions: number
  /** After how long messages of new chats disappear, and since when. */
  defaultTimer = { duration: 0, t: 0 }
  /** By which address this account's clients are shown other people in 1:1 chats. */
  addressing: 'lid' | 'pn' = 'lid'
  /** Encoded `ADVSignedKeyIndexList`, signed by the phone at the last change of devices. */
  signedKeyIndexes: Uint8Array | undefined
  keyIndexesAt: number
  nextDeviceId = 1
  nextKeyIndex = 1

  constructor(spec: AccountSpec & { readonly lid: string }, now: number) {
    this.pn = spec.pn
    this.lid = spec.lid
    this.pushName = spec.pushName
    this.about = spec.about ?? 'Hey there! I am using WhatsApp.'
    this.maxCompanions = spec.maxCompanions ?? DEFAULT_MAX_COMPANIONS
    this.platform = spec.platform ?? (spec.businessName === undefined ? 'android' : 'smba')
    this.businessName = spec.businessName
    this.createdAt = now
    this.keyIndexesAt = now
    this.devices.set(0, new Device(this, 0, 0, spec.primary))
  }

  get jid(): string {
    return phoneJid(this.pn)
  }

  get lidJid(): string {
    return lidJid(this.lid)
  }

  get phone(): Device {
    return this.devices.get(0)!
  }

  /** The linked devices, without the phone, oldest first. */
  get companions(): readonly Device[] {
    return Array.from(this.devices.values()).filter((device) => device.id !== 0)
  }
}
