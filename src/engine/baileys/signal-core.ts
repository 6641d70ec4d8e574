/**
 * The Signal protocol behind a narrow interface, so that another implementation can take the place of
 * whatsapp-rust-bridge. Public keys carry Signal's type byte (33 bytes). Everything thrown is an Error.
 */
export interface SignalCore {
  /** Encrypts in an existing session. @throws when there is none */
  encrypt(store: SignalStore, address: SignalAddress, plaintext: Uint8Array): Promise<SignalCiphertext>
  decrypt(store: SignalStore, address: SignalAddress, message: SignalCiphertext): Promise<Uint8Array>
  /** Begins a session from a fetched pre-key bundle. @throws on a bad signature of the signed pre-key */
  processBundle(store: SignalStore, address: SignalAddress, bundle: SignalBundle): Promise<void>
  encryptGroup(store: SignalStore, group: string, sender: SignalAddress, plaintext: Uint8Array): Promise<Uint8Array>
  /** @throws on a bad signature of the sender-key message */
  decryptGroup(store: SignalStore, group: string, sender: SignalAddress, ciphertext: Uint8Array): Promise<Uint8Array>
  /** Our distribution message for the group; makes the sender key when there is none. */
  createDistribution(store: SignalStore, group: string, sender: SignalAddress): Promise<Uint8Array>
  processDistribution(store: SignalStore, group: string, sender: SignalAddress, message: Uint8Array): Promise<void>
  /** The key under which the sender key of a group member is stored. */
  senderKeyId(group: string, sender: SignalAddress): string
  /** Whether a record holds a session that can encrypt. */
  isOpen(record: Uint8Array): boolean
  readSession(record: Uint8Array): SessionFacts
}

export interface SignalAddress {
  /** `user` for a PN, `user_1` for a LID (Baileys' notation of the domain). */
  readonly name: string
  readonly deviceId: number
}

export interface SignalCiphertext {
  readonly type: 'pkmsg' | 'msg'
  readonly body: Uint8Array
}

export interface SignalBundle {
  readonly registrationId: number
  readonly identityKey: Uint8Array
  readonly signedPreKey: { readonly keyId: number; readonly publicKey: Uint8Array; readonly signature: Uint8Array }
  readonly preKey?: { readonly keyId: number; readonly publicKey: Uint8Array }
}

export interface SessionFacts {
  readonly registrationId: number | undefined
  /** The base key (Alice's) of the current state: tells whether two sides mean the same session. */
  readonly baseKey: Uint8Array | undefined
}

/** What an operation reads; its writes are collected by the caller and committed before the result is used. */
export interface SignalStore {
  loadSession(address: string): Promise<Uint8Array | undefined>
  storeSession(address: string, record: Uint8Array): void
  loadPreKey(id: number): Promise<{ readonly pubKey: Uint8Array; readonly privKey: Uint8Array } | undefined>
  removePreKey(id: number): void
  loadSignedPreKey(
    id: number,
  ):
    | { readonly keyId: number; readonly keyPair: { pubKey: Uint8Array; privKey: Uint8Array }; signature: Uint8Array }
    | undefined
  loadSenderKey(id: string): Promise<Uint8Array | undefined>
  storeSenderKey(id: string, record: Uint8Array): void
  identity(): { readonly pubKey: Uint8Array; readonly privKey: Uint8Array }
  registrationId(): number
}

export const formatAddress = ({ name, deviceId }: SignalAddress): string => `${name}.${deviceId}`
