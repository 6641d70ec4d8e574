// Signal sessions and sender keys in memory, on whatsapp-rust-bridge. Identities are pinned at first sight.
import {
  GroupCipher,
  GroupSessionBuilder,
  ProtocolAddress,
  SenderKeyDistributionMessage,
  SenderKeyName,
  SessionBuilder,
  SessionCipher,
  type SignalStorage,
} from 'whatsapp-rust-bridge'
import { type KeyPair, newKeyPair, signatureFits, typed } from './curve.ts'
import { readFields } from './protobuf.ts'
import { joinRecord, splitRecord } from './session-record.ts'
import { sameBytes } from './symmetric.ts'
import { demand, Violation } from './violation.ts'

/** A device by its LID user, however it was addressed. */
export interface Remote {
  readonly user: string
  readonly device: number
}

export interface Bundle {
  readonly registrationId: number
  readonly identity: Buffer
  readonly signedPreKey: { readonly id: number; readonly public: Buffer; readonly signature: Buffer }
  readonly preKey: { readonly id: number; readonly public: Buffer } | undefined
}

export interface Owner {
  readonly identity: KeyPair
  readonly registrationId: number
  readonly signedPreKey: { readonly id: number; readonly pair: KeyPair; readonly signature: Buffer }
}

const PKMSG = 3
const SIGNATURE = 64

export class SignalBox {
  readonly #owner: Owner
  readonly preKeys = new Map<number, KeyPair>()
  readonly #sessions = new Map<string, Uint8Array>()
  readonly #senderKeys = new Map<string, Uint8Array>()
  readonly #identities = new Map<string, Buffer>()
  /** Signing keys of other devices' sender keys, by group, device and key id. */
  readonly #senderSigners = new Map<string, Buffer>()
  readonly #storage: SignalStorage
  #work: Promise<unknown> = Promise.resolve()

  constructor(owner: Owner) {
    this.#owner = owner
    this.#storage = this.#makeStorage()
  }

  makePreKeys(from: number, count: number): { readonly id: number; readonly public: Buffer }[] {
    return Array.from({ length: count }, (_, offset) => {
      const pair = newKeyPair()
      this.preKeys.set(from + offset, pair)
      return { id: from + offset, public: pair.public }
    })
  }

  hasSession(remote: Remote): boolean {
    return this.#sessions.has(nameOf(remote))
  }

  identityOf(remote: Remote): Buffer | undefined {
    return this.#identities.get(nameOf(remote))
  }

  /** @throws Violation `identity` when the device had another one */
  pinIdentity(remote: Remote, identity: Uint8Array): void {
    const known = this.#identities.get(nameOf(remote))
    if (known === undefined) this.#identities.set(nameOf(remote), Buffer.from(identity))
    else demand(sameBytes(known, identity), 'identity', `${nameOf(remote)} changed its identity`)
  }

  /** @throws Violation `signed_pre_key` */
  startSession(remote: Remote, bundle: Bundle): Promise<void> {
    const { identity, signedPreKey, preKey, registrationId } = bundle
    const key = typed(signedPreKey.public)
    return this.#run(async () => {
      const fits = signatureFits(identity, key, signedPreKey.signature)
      demand(fits, 'signed_pre_key', `of ${nameOf(remote)} is not signed by its identity`)
      this.pinIdentity(remote, identity)
      const address = new ProtocolAddress(remote.user, remote.device)
      await new SessionBuilder(this.#storage, address).processPreKeyBundle({
        registrationId,
        identityKey: typed(identity),
        signedPreKey: { keyId: signedPreKey.id, publicKey: key, signature: signedPreKey.signature },
        preKey: preKey && { keyId: preKey.id, publicKey: typed(preKey.public) },
      })
    })
  }

  encrypt(remote: Remote, plain: Uint8Array): Promise<{ readonly type: 'pkmsg' | 'msg'; readonly body: Buffer }> {
    return this.#run(async () => {
      const { type, body } = await this.#cipherFor(remote).encrypt(plain)
      return { type: type === PKMSG ? 'pkmsg' : 'msg', body: Buffer.from(body) }
    })
  }

  /** @throws Violation `undecryptable`, `identity` */
  decrypt(remote: Remote, type: string, body: Uint8Array): Promise<Uint8Array> {
    return this.#run(() => {
      if (type !== 'pkmsg') return this.#decryptInAnySession(remote, body)
      this.pinIdentity(remote, identityIn(body))
      return this.#cipherFor(remote).decryptPreKeyWhisperMessage(body)
    })
  }

  /**
   * Tries one session state after the other, each alone. Left to itself the bridge keeps what a failed attempt did to the
   * state in use, when an older one succeeds: where two first messages crossed, both sides lose a session that way.
   */
  async #decryptInAnySession(remote: Remote, body: Uint8Array): Promise<Uint8Array> {
    const name = nameOf(remote)
    const record = this.#sessions.get(name)
    demand(record !== undefined, 'undecryptable', `no session with ${name}`)
    const states = splitRecord(record)
    let failure: unknown
    for (const [position, state] of states.entries()) {
      this.#sessions.set(name, joinRecord([state]))
      try {
        const plain = await this.#cipherFor(remote).decryptWhisperMessage(body)
        const [used] = splitRecord(this.#sessions.get(name)!)
        this.#sessions.set(name, joinRecord([used!, ...states.toSpliced(position, 1)]))
        return plain
      } catch (error) {
        failure ??= error
        this.#sessions.set(name, record)
      }
    }
    throw failure
  }

  #cipherFor({ user, device }: Remote): SessionCipher {
    return new SessionCipher(this.#storage, new ProtocolAddress(user, device))
  }

  /** Encrypts for a group; the distribution is what holders of it need to read this very message. */
  encryptForGroup(group: string, self: Remote, plain: Uint8Array) {
    return this.#run(async () => {
      const address = new ProtocolAddress(self.user, self.device)
      const message = await new GroupSessionBuilder(this.#storage).create(new SenderKeyName(group, address))
      const distribution = Buffer.from(message.serialize())
      const body = Buffer.from(await new GroupCipher(this.#storage, group, address).encrypt(plain))
      return { distribution, body }
    })
  }

  learnSenderKey(group: string, remote: Remote, distribution: Uint8Array): Promise<void> {
    return this.#run(async () => {
      const fields = readFields(distribution.subarray(1))
      const signer = fields.bytes(4)
      demand(signer?.length === 33, 'sender_key', 'a distribution without a signing key')
      this.#senderSigners.set(`${group} ${nameOf(remote)} ${fields.number(1)}`, signer.subarray(1))
      const address = new ProtocolAddress(remote.user, remote.device)
      const message = SenderKeyDistributionMessage.deserialize(distribution)
      await new GroupSessionBuilder(this.#storage).process(new SenderKeyName(group, address), message)
    })
  }

  /** @throws Violation `sender_key` when the signature is wrong, `undecryptable` */
  decryptFromGroup(group: string, remote: Remote, body: Uint8Array): Promise<Uint8Array> {
    return this.#run(() => {
      const signed = body.subarray(0, -SIGNATURE)
      const signer = this.#senderSigners.get(`${group} ${nameOf(remote)} ${readFields(signed.subarray(1)).number(1)}`)
      demand(signer !== undefined, 'sender_key', `no sender key of ${nameOf(remote)} in ${group}`)
      const fits = signatureFits(signer, signed, body.subarray(-SIGNATURE))
      demand(fits, 'sender_key', `signature of ${nameOf(remote)} in ${group}`)
      return new GroupCipher(this.#storage, group, new ProtocolAddress(remote.user, remote.device)).decrypt(body)
    })
  }

  /** One operation after the other: the bridge reads and writes records across awaits. */
  #run<Result>(operate: () => Promise<Result>): Promise<Result> {
    const result = this.#work.then(operate).catch((cause: unknown) => {
      // The bridge throws strings.
      throw cause instanceof Violation ? cause : new Violation('undecryptable', String(cause))
    })
    this.#work = result.catch(() => undefined)
    return result
  }

  #makeStorage(): SignalStorage {
    const { identity, registrationId, signedPreKey } = this.#owner
    const paired = (pair: KeyPair) => ({ pubKey: typed(pair.public), privKey: pair.private })
    return {
      loadSession: (address) => this.#sessions.get(address),
      storeSession: (address, record) => {
        this.#sessions.set(address, record.serialize())
      },
      getOurIdentity: () => paired(identity),
      getOurRegistrationId: () => registrationId,
      isTrustedIdentity: (name, key) => {
        const known = this.#identities.get(name)
        return known === undefined || sameBytes(typed(known), key)
      },
      loadPreKey: (id) => {
        const pair = this.preKeys.get(id)
        return pair && paired(pair)
      },
      removePreKey: (id) => {
        this.preKeys.delete(id)
      },
      loadSignedPreKey: (id) =>
        id === signedPreKey.id
          ? { keyId: id, keyPair: paired(signedPreKey.pair), signature: signedPreKey.signature }
          : undefined,
      loadSenderKey: (name) => this.#senderKeys.get(name),
      storeSenderKey: (name, record) => {
        this.#senderKeys.set(name, record)
      },
    }
  }
}

/** The sender's identity key (32 bytes) in a PreKeySignalMessage. */
export function identityIn(body: Uint8Array): Buffer {
  demand(body[0] === 0x33, 'undecryptable', 'a pkmsg of another version')
  const identity = readFields(body.subarray(1)).bytes(3)
  demand(identity?.length === 33 && identity[0] === 5, 'undecryptable', 'a pkmsg without an identity')
  return identity.subarray(1)
}

const nameOf = ({ user, device }: Remote): string => `${user}.${device}`
