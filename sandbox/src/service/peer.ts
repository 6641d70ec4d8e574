import type { BinaryNode } from '../wire/node.ts'
import type { Account, Device } from './account.ts'
import type { PasskeyDesk } from './passkey-desk.ts'

/** What is connected as one device of an account: a WebSocket behind Noise, or a simulated phone in the same process. */
export interface Peer {
  /** Hands over one stanza. A phone answers as a client would: a receipt or an ack takes it off the offline queue. */
  deliver(node: BinaryNode): void
  /** The service ends the connection (replaced, removed, a fault, shutdown). No `detach` is needed any more. */
  close(reason: string): void
}

/** The way back from a peer to the service. */
export interface Attachment {
  /** The device's own address by phone number, e.g. `4915112345678@s.whatsapp.net`. */
  readonly jid: string
  /** The same by LID. */
  readonly lid: string
  /** Puts a stanza on the path that a socket's stanzas take: validated, logged when bad, answered through `deliver`. */
  send(node: BinaryNode): void
  /** Goes offline. What comes meanwhile waits in the device's queue and is replayed by the next attachment. */
  detach(): void
}

export interface PreKey {
  readonly id: number
  /** 32 bytes. */
  readonly public: Uint8Array
}

export interface SignedPreKey extends PreKey {
  /** XEdDSA by the identity over 0x05 || public. */
  readonly signature: Uint8Array
}

/** The public halves that others need to open a session with a device. Public keys have 32 bytes, no type byte. */
export interface DeviceKeys {
  readonly identity: Uint8Array
  readonly registrationId: number
  readonly signedPreKey: SignedPreKey
  readonly preKeys: readonly PreKey[]
}

export interface AccountSpec {
  /** Digits only, no plus sign. */
  readonly pn: string
  /** Digits only; derived from the number when absent. */
  readonly lid?: string
  readonly pushName: string
  /** How many companions the phone accepts; WhatsApp: 4. */
  readonly maxCompanions?: number
  readonly about?: string
  /** `smba`/`android`/`iphone`, told to a client at pair-success; `android` when absent. */
  readonly platform?: string
  /** A verified business name makes the account a business (`<biz name>` at pair-success). */
  readonly businessName?: string
  /** The keys of device 0. */
  readonly primary: DeviceKeys
}

/** What the phone signs whenever the set of devices changes (message = 06 02 || details). */
export interface KeyIndexes {
  readonly timestamp: number
  readonly currentIndex: number
  readonly validIndexes: readonly number[]
}

export interface PhoneRole {
  /** Returns an encoded `ADVSignedKeyIndexList` for usync, signed with the account's identity. */
  signKeyIndexes(indexes: KeyIndexes): Uint8Array
}

/** `companion_hello`, as the phone needs it to check a typed code. */
export interface LinkCodeRequest {
  /** The number the code was asked for, digits. */
  readonly phoneNumber: string
  /** salt 32 || iv 16 || AES-256-CTR(companion ephemeral public key, 32). */
  readonly wrappedCompanionEphemeral: Uint8Array
  readonly companionServerAuthKey: Uint8Array
  readonly companionPlatformId: string
  readonly companionPlatformDisplay: string
  /** `link_code_pairing_ref`, which the service handed to the client. */
  readonly ref: string
}

export interface PrimaryHello {
  /** salt 32 || iv 16 || AES-256-CTR(primary ephemeral public key, 32). */
  readonly wrappedPrimaryEphemeral: Uint8Array
  /** 32 bytes. */
  readonly primaryIdentity: Uint8Array
}

/** `companion_finish`. Call exactly one of `accept` and `refuse`; nothing was answered to the client yet. */
export interface CompanionFinish {
  /** salt 32 || iv 12 || AES-256-GCM(companion identity 32 || primary identity 32 || random 32). */
  readonly wrappedKeyBundle: Uint8Array
  readonly companionIdentity: Uint8Array
  accept(): void
  refuse(code: number, text: string): void
}

export interface CompanionProps {
  /** `DeviceProps.os`, the name that a phone shows in its list of linked devices. */
  readonly os: string
  /** `DeviceProps.platformType` by number. */
  readonly platformType: number
  readonly requireFullSync: boolean
}

export interface LinkRequest {
  readonly account: Account
  /** Key index of the new device, signed in the blob: above every one the account used before (`account.nextKeyIndex`). */
  readonly keyIndex: number
  /** Encoded `ADVSignedDeviceIdentityHMAC`. */
  readonly signedIdentityHmac: Uint8Array
  /** The HMAC by the ADV secret, which only the phone knows: for faults that change what was signed. */
  readonly seal?: (signed: Uint8Array) => Uint8Array
}

export type LinkFailure =
  | 'closed' // the client went away
  | 'too_many_devices' // the account has `maxCompanions` already
  | 'bad_identity' // the phone's own blob is wrong: key index, account signature or encoding
  | 'refused' // the client answered pair-success with an error, or with a wrong device signature

/** Why a registration did not become a device. */
export class LinkError extends Error {
  readonly failure: LinkFailure

  constructor(failure: LinkFailure, text: string) {
    super(text)
    this.failure = failure
  }
}

/** A connected client that belongs to nobody yet: it shows QR codes, or asked for a link code. */
export interface Registration {
  readonly id: string
  /** The client's Noise static public key, 32 bytes: the first key in its QR code. */
  readonly noiseKey: Uint8Array
  /** What its payload brought; `identity` is the second key in its QR code, `preKeys` is empty. */
  readonly keys: DeviceKeys
  readonly props: CompanionProps
  /** The push name its payload carried, if any. */
  readonly pushName: string | undefined
  /** The refs that may still be scanned. */
  readonly refs: readonly string[]
  /** Set after `companion_hello`; replaced by a later one. */
  readonly linkCode: LinkCodeRequest | undefined
  readonly open: boolean
  /** Sends any stanza to the client, e.g. a notification. An `id` and a `from` are added where they are missing. */
  notify(node: BinaryNode): void
  /** Sends `primary_hello`; resolves with the client's `companion_finish`. Rejects with a `LinkError` when it leaves. */
  primaryHello(hello: PrimaryHello): Promise<CompanionFinish>
  /** Sends `passkey_prologue_request` and routes the steps to `desk`; resolves when `pairingRequest` was accepted. */
  demandPasskey(desk: PasskeyDesk): Promise<void>
  /**
   * Sends `pair-success`; resolves when the client's `pair-device-sign` holds a valid device signature. The client is
   * then sent away with 515 and comes back to log in. Rejects with a `LinkError`.
   */
  complete(link: LinkRequest): Promise<Device>
  /** Sends the client away without having linked it. */
  end(reason: string): void
}

/** What the service tells whoever watches it. */
export type ServiceEvent =
  | { readonly type: 'registration_opened' | 'registration_closed'; readonly registration: Registration }
  | { readonly type: 'link_code_requested'; readonly registration: Registration; readonly linkCode: LinkCodeRequest }
  | {
      readonly type: 'device_linked' | 'device_removed' | 'device_online' | 'device_active' | 'device_offline'
      readonly device: Device
    }
