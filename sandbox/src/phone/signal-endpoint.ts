// One Signal endpoint (sessions, sender keys, pre-keys) in memory, on whatsapp-rust-bridge.
// The bridge throws strings, needs one object per operation, and must not be freed while a promise of it is pending.
import {
  GroupCipher,
  GroupSessionBuilder,
  ProtocolAddress,
  SenderKeyDistributionMessage,
  SenderKeyName,
  SessionBuilder,
  SessionCipher,
  type SessionRecord,
  type SignalStorage,
} from 'whatsapp-rust-bridge'
import { generateKeyPair, type KeyPair, sign, verify, withKeyType } from '../crypto/curve.ts'
import { KeyedLock } from './keyed-lock.ts'
import { recordOf, statesOf } from './session-states.ts'

/** A device as Signal sees it: the LID user and the device number, whatever addressing the stanza used. */
export interface SignalAddress {
  readonly user: string
  readonly device: number
}

export interface PublicPreKey {
  readonly keyId: number
  readonly publicKey: Uint8Array
}

export interface PreKeyBundle {
  readonly registrationId: number
  readonly identityKey: Uint8Array
  readonly signedPreKey: PublicPreKey & { readonly signature: Uint8Array }
  readonly preKey?: PublicPreKey | undefined
}

export type CipherType = 'pkmsg' | 'msg'

/** Why a ciphertext did not open. `duplicate`: its counter was used before, so its key is gone. */
export type DecryptFailure = 'duplicate' | 'no_session' | 'invalid'

export class SignalError extends Error {
  readonly failure: DecryptFailure
  constructor(failure: DecryptFailure, message: string) {
    super(message)
    this.name = 'SignalError'
    this.failure = failure
  }
}

/** An endpoint's secrets and sessions as plain data; key pairs by their seeds. */
export interface SignalState {
  readonly registrationId: number
  readonly identity: Uint8Array
  readonly signedPreKey: { readonly keyId: number; readonly seed: Uint8Array }
  readonly nextPreKeyId: number
  readonly preKeys: readonly (readonly [number, Uint8Array])[]
  readonly sessions: readonly (readonly [string, Uint8Array])[]
  readonly senderKeys: readonly (readonly [string, Uint8Array])[]
}

const PREKEY_MESSAGE_TYPE = 3

export class SignalEndpoint {
  readonly identity: KeyPair
  readonly registrationId: number
  #signedPreKey: { keyId: number; keyPair: KeyPair; signature: Buffer }
  #nextPreKeyId = 1
  readonly #preKeys = new Map<number, KeyPair>()
  readonly #sessions = new Map<string, Uint8Array>()
  readonly #senderKeys = new Map<string, Uint8Array>()
  readonly #lock = new KeyedLock()
  readonly #storage: SignalStorage

  constructor(options: { readonly registrationId: number; readonly identity?: KeyPair }) {
    this.identity = options.identity ?? generateKeyPair()
    this.registrationId = options.registrationId
    this.#signedPreKey = this.#makeSignedPreKey(1)
    this.#storage = this.#makeStorage()
  }

  /** An endpoint that goes on where another one stopped. */
  static restore(state: SignalState): SignalEndpoint {
    const { registrationId, signedPreKey } = state
    const endpoint = new SignalEndpoint({ registrationId, identity: generateKeyPair(state.identity) })
    endpoint.#signedPreKey = endpoint.#makeSignedPreKey(signedPreKey.keyId, generateKeyPair(signedPreKey.seed))
    endpoint.#nextPreKeyId = state.nextPreKeyId
    for (const [id, seed] of state.preKeys) endpoint.#preKeys.set(id, generateKeyPair(seed))
    for (const [name, record] of state.sessions) endpoint.#sessions.set(name, record)
    for (const [name, record] of state.senderKeys) endpoint.#senderKeys.set(name, record)
    return endpoint
  }

  snapshot(): SignalState {
    const { keyId, keyPair } = this.#signedPreKey
    return {
      registrationId: this.registrationId,
      identity: this.identity.seed,
      signedPreKey: { keyId, seed: keyPair.seed },
      nextPreKeyId: this.#nextPreKeyId,
      preKeys: Array.from(this.#preKeys, ([id, pair]) => [id, pair.seed] as const),
      sessions: [...this.#sessions],
      senderKeys: [...this.#senderKeys],
    }
  }

  get signedPreKey(): PreKeyBundle['signedPreKey'] {
    const { keyId, keyPair, signature } = this.#signedPreKey
    return { keyId, publicKey: keyPair.public, signature }
  }

  /** Makes `count` new one-time pre-keys and returns their public halves (32 bytes each). */
  makePreKeys(count: number): PublicPreKey[] {
    return Array.from({ length: count }, () => {
      const keyId = this.#nextPreKeyId
      this.#nextPreKeyId += 1
      const keyPair = generateKeyPair()
      this.#preKeys.set(keyId, keyPair)
      return { keyId, publicKey: keyPair.public }
    })
  }

  hasSession(address: SignalAddress): boolean {
    return this.#sessions.has(nameOf(address))
  }

  /**
   * Starts a session from a bundle; older sessions with the address stay usable for decryption.
   * @throws SignalError `invalid` when the signed pre-key is not signed by the identity, or a key is malformed
   */
  startSession(address: SignalAddress, bundle: PreKeyBundle): Promise<void> {
    const { signedPreKey, preKey } = bundle
    const signed = withKeyType(signedPreKey.publicKey)
    if (!verify(bundle.identityKey, signed, signedPreKey.signature)) {
      return Promise.reject(new SignalError('invalid', 'signature of the signed pre-key is wrong'))
    }
    return this.#withCipher(SessionBuilder, address, (builder) =>
      builder.processPreKeyBundle({
        registrationId: bundle.registrationId,
        identityKey: withKeyType(bundle.identityKey),
        signedPreKey: { keyId: signedPreKey.keyId, publicKey: signed, signature: signedPreKey.signature },
        preKey: preKey && { keyId: preKey.keyId, publicKey: withKeyType(preKey.publicKey) },
      }),
    )
  }

  async encrypt(address: SignalAddress, plaintext: Uint8Array): Promise<{ type: CipherType; body: Buffer }> {
    const { type, body } = await this.#withCipher(SessionCipher, address, (cipher) => cipher.encrypt(plaintext))
    return { type: type === PREKEY_MESSAGE_TYPE ? 'pkmsg' : 'msg', body: Buffer.from(body) }
  }

  /** @throws SignalError */
  decrypt(address: SignalAddress, type: CipherType, body: Uint8Array): Promise<Uint8Array> {
    if (type === 'pkmsg') {
      return this.#withCipher(SessionCipher, address, (cipher) => cipher.decryptPreKeyWhisperMessage(body))
    }
    return this.#lock.run(nameOf(address), () => this.#decryptInAnyState(address, body))
  }

  /**
   * Tries each state of the session alone. The bridge keeps what a failed attempt did to the state in use when an older
   * one then succeeds: after first messages that crossed, both sides would lose a session.
   */
  async #decryptInAnyState(address: SignalAddress, body: Uint8Array): Promise<Uint8Array> {
    const name = nameOf(address)
    const record = this.#sessions.get(name)
    if (record === undefined) throw new SignalError('no_session', `no session with ${name}`)
    const states = statesOf(record)
    const failures: SignalError[] = []
    for (const [index, state] of states.entries()) {
      this.#sessions.set(name, recordOf([state]))
      try {
        const plain = await this.#useCipher(SessionCipher, address, (cipher) => cipher.decryptWhisperMessage(body))
        const [used = state] = statesOf(this.#sessions.get(name) ?? record)
        this.#sessions.set(name, recordOf([used, ...states.toSpliced(index, 1)]))
        return plain
      } catch (error) {
        failures.push(toSignalError(error))
        this.#sessions.set(name, record)
      }
    }
    // that a message key was used already says more than that another state does not fit
    throw failures.find(({ failure }) => failure === 'duplicate') ?? failures[0]
  }

  /** The distribution message of our sender key in a group; makes the key on first use. */
  describeSenderKey(group: string, self: SignalAddress): Promise<Buffer> {
    return this.#withSenderKey(group, self, async (name) => {
      const builder = new GroupSessionBuilder(this.#storage)
      let message: SenderKeyDistributionMessage | undefined
      try {
        message = await builder.create(name)
        return Buffer.from(message.serialize())
      } finally {
        message?.free()
        builder.free()
      }
    })
  }

  encryptForGroup(group: string, self: SignalAddress, plaintext: Uint8Array): Promise<Buffer> {
    return this.#withSenderKey(group, self, (_name, cipher) => cipher.encrypt(plaintext).then(Buffer.from))
  }

  /** Takes in another device's sender key. @throws SignalError */
  learnSenderKey(group: string, author: SignalAddress, distribution: Uint8Array): Promise<void> {
    return this.#withSenderKey(group, author, async (name) => {
      const message = SenderKeyDistributionMessage.deserialize(distribution)
      const builder = new GroupSessionBuilder(this.#storage)
      try {
        await builder.process(name, message)
      } finally {
        builder.free()
        message.free()
      }
    })
  }

  /** Opens a group message; the sender key's signature is verified. @throws SignalError */
  decryptFromGroup(group: string, author: SignalAddress, body: Uint8Array): Promise<Uint8Array> {
    return this.#withSenderKey(group, author, (_name, cipher) => cipher.decrypt(body))
  }

  /** Drops our own sender key of a group, so that the next message distributes a new one. */
  forgetSenderKey(group: string, self: SignalAddress): void {
    const marker = `${group}::`
    for (const key of this.#senderKeys.keys()) {
      if (key.startsWith(marker) && key.includes(self.user)) this.#senderKeys.delete(key)
    }
  }

  #withCipher<Cipher extends { free(): void }, Result>(
    Type: new (storage: SignalStorage, address: ProtocolAddress) => Cipher,
    address: SignalAddress,
    operate: (cipher: Cipher) => Promise<Result>,
  ): Promise<Result> {
    return this.#lock.run(nameOf(address), () => this.#useCipher(Type, address, operate))
  }

  /** The caller holds the address's lock. */
  async #useCipher<Cipher extends { free(): void }, Result>(
    Type: new (storage: SignalStorage, address: ProtocolAddress) => Cipher,
    address: SignalAddress,
    operate: (cipher: Cipher) => Promise<Result>,
  ): Promise<Result> {
    const remote = new ProtocolAddress(address.user, address.device)
    const cipher = new Type(this.#storage, remote)
    try {
      return await operate(cipher)
    } catch (cause) {
      throw toSignalError(cause)
    } finally {
      cipher.free()
      remote.free()
    }
  }

  #withSenderKey<Result>(
    group: string,
    author: SignalAddress,
    operate: (name: SenderKeyName, cipher: GroupCipher) => Promise<Result>,
  ): Promise<Result> {
    return this.#lock.run(`${group} ${nameOf(author)}`, async () => {
      const address = new ProtocolAddress(author.user, author.device)
      const name = new SenderKeyName(group, address)
      const cipher = new GroupCipher(this.#storage, group, address)
      try {
        return await operate(name, cipher)
      } catch (cause) {
        throw toSignalError(cause)
      } finally {
        cipher.free()
        name.free()
        address.free()
      }
    })
  }

  #makeSignedPreKey(keyId: number, keyPair = generateKeyPair()) {
    return { keyId, keyPair, signature: sign(this.identity, withKeyType(keyPair.public)) }
  }

  #makeStorage(): SignalStorage {
    return {
      loadSession: (address) => this.#sessions.get(address),
      storeSession: (address, record: SessionRecord) => {
        this.#sessions.set(address, record.serialize())
      },
      getOurIdentity: () => forBridge(this.identity),
      getOurRegistrationId: () => this.registrationId,
      // A phone takes a changed identity (a contact who linked anew) and merely tells its owner.
      isTrustedIdentity: () => true,
      loadPreKey: (id) => {
        const keyPair = this.#preKeys.get(id)
        return keyPair && forBridge(keyPair)
      },
      removePreKey: (id) => {
        this.#preKeys.delete(id)
      },
      loadSignedPreKey: (id) => {
        const { keyId, keyPair, signature } = this.#signedPreKey
        return id === keyId ? { keyId, keyPair: forBridge(keyPair), signature } : undefined
      },
      loadSenderKey: (keyId) => this.#senderKeys.get(keyId),
      storeSenderKey: (keyId, record) => {
        this.#senderKeys.set(keyId, record)
      },
    }
  }
}

function nameOf({ user, device }: SignalAddress): string {
  return `${user}.${device}`
}

function forBridge(keyPair: KeyPair) {
  return { pubKey: withKeyType(keyPair.public), privKey: keyPair.private }
}

function toSignalError(cause: unknown): SignalError {
  if (cause instanceof SignalError) return cause
  const text = cause instanceof Error ? cause.message : String(cause)
  if (/duplicat|old counter/i.test(text)) return new SignalError('duplicate', text)
  if (/no session|session .*not found|no sender key|SessionNotFound|NoSenderKey/i.test(text)) {
    return new SignalError('no_session', text)
  }
  return new SignalError('invalid', text)
}
