import {
  GroupCipher,
  GroupSessionBuilder,
  ProtocolAddress,
  SenderKeyDistributionMessage,
  SenderKeyName,
  SessionBuilder,
  SessionCipher,
  SessionRecord,
  type SignalStorage,
} from 'whatsapp-rust-bridge'
import { messageOf } from '../../kernel/errors.ts'
import { joinSessionRecord, readSessionRecord, splitSessionRecord } from './session-record.ts'
import {
  formatAddress,
  type SessionFacts,
  type SignalAddress,
  type SignalBundle,
  type SignalCiphertext,
  type SignalCore,
  type SignalStore,
} from './signal-core.ts'

interface Freeable {
  free(): void
}

/**
 * SignalCore on whatsapp-rust-bridge (WASM). Two traps are kept away here: it throws strings, and freeing an object
 * while a call on it is pending ends the process ("memory access out of bounds"), so objects live for one call and are
 * freed only after it has settled.
 */
export class RustSignalCore implements SignalCore {
  /** Records that an encryption left: their session is open. Every message asks, and reading a record is not cheap. */
  readonly #open = new WeakSet<Uint8Array>()

  async encrypt(store: SignalStore, address: SignalAddress, plaintext: Uint8Array): Promise<SignalCiphertext> {
    const noting: SignalStorage = {
      ...adapt(store),
      storeSession: (name, record) => {
        const bytes = record.serialize()
        this.#open.add(bytes)
        return store.storeSession(name, bytes)
      },
    }
    const { type, body } = await this.#use(new SessionCipher(noting, toBridge(address)), (cipher) =>
      cipher.encrypt(plaintext),
    )
    return { type: type === PRE_KEY_MESSAGE ? 'pkmsg' : 'msg', body: Buffer.from(body) }
  }

  decrypt(store: SignalStore, address: SignalAddress, { type, body }: SignalCiphertext): Promise<Uint8Array> {
    if (type === 'msg') return this.#decryptInAnyState(store, address, body)
    return this.#use(new SessionCipher(adapt(store), toBridge(address)), (cipher) =>
      cipher.decryptPreKeyWhisperMessage(body),
    )
  }

  /**
   * Tries one state of the session after the other, each alone. Left to itself the bridge also stores what a failed
   * attempt did to the state in use when an older one then succeeds: where two first messages cross, both sides lose a
   * session that way.
   */
  async #decryptInAnyState(store: SignalStore, address: SignalAddress, body: Uint8Array): Promise<Uint8Array> {
    const name = formatAddress(address)
    const record = await store.loadSession(name)
    const states = record ? splitSessionRecord(record) : []
    let failure: Error | undefined
    for (const [position, state] of states.entries()) {
      let used: Uint8Array | undefined
      const alone: SignalStore = {
        ...adaptable(store),
        loadSession: async () => joinSessionRecord([state]),
        storeSession: (_, stored) => {
          used = stored
        },
      }
      try {
        const plaintext = await this.#use(new SessionCipher(adapt(alone), toBridge(address)), (cipher) =>
          cipher.decryptWhisperMessage(body),
        )
        const [advanced = state] = used ? splitSessionRecord(used) : []
        store.storeSession(name, joinSessionRecord([advanced, ...states.toSpliced(position, 1)]))
        return plaintext
      } catch (error) {
        // that a message key was used already says more than that another state does not fit
        if (!failure || isRepetition(messageOf(error))) failure = error as Error
      }
    }
    throw failure ?? new Error(`no session record for ${name}`)
  }

  async processBundle(store: SignalStore, address: SignalAddress, bundle: SignalBundle): Promise<void> {
    await this.#use(new SessionBuilder(adapt(store), toBridge(address)), (builder) =>
      builder.processPreKeyBundle({
        registrationId: bundle.registrationId,
        identityKey: bundle.identityKey,
        signedPreKey: { ...bundle.signedPreKey },
        preKey: bundle.preKey && { ...bundle.preKey },
      }),
    )
  }

  encryptGroup(store: SignalStore, group: string, sender: SignalAddress, plaintext: Uint8Array): Promise<Uint8Array> {
    return this.#use(new GroupCipher(adapt(store), group, toBridge(sender)), (cipher) => cipher.encrypt(plaintext))
  }

  decryptGroup(store: SignalStore, group: string, sender: SignalAddress, ciphertext: Uint8Array): Promise<Uint8Array> {
    return this.#use(new GroupCipher(adapt(store), group, toBridge(sender)), (cipher) => cipher.decrypt(ciphertext))
  }

  async createDistribution(store: SignalStore, group: string, sender: SignalAddress): Promise<Uint8Array> {
    const name = new SenderKeyName(group, toBridge(sender))
    const message = await this.#use(new GroupSessionBuilder(adapt(store)), (builder) => builder.create(name))
    return message.serialize()
  }

  async processDistribution(
    store: SignalStore,
    group: string,
    sender: SignalAddress,
    message: Uint8Array,
  ): Promise<void> {
    const name = new SenderKeyName(group, toBridge(sender))
    await this.#use(new GroupSessionBuilder(adapt(store)), (builder) =>
      builder.process(name, SenderKeyDistributionMessage.deserialize(message)),
    )
  }

  senderKeyId(group: string, sender: SignalAddress): string {
    return new SenderKeyName(group, toBridge(sender)).toString()
  }

  isOpen(record: Uint8Array): boolean {
    if (this.#open.has(record)) return true
    const parsed = SessionRecord.deserialize(record)
    try {
      return parsed.haveOpenSession()
    } finally {
      parsed.free()
    }
  }

  readSession(record: Uint8Array): SessionFacts {
    return readSessionRecord(record)
  }

  async #use<O extends Freeable, R>(object: O, call: (object: O) => Promise<R>): Promise<R> {
    try {
      return await call(object)
    } catch (thrown) {
      throw thrown instanceof Error ? thrown : new Error(messageOf(thrown))
    } finally {
      object.free()
    }
  }
}

/** CiphertextMessage type number of a PreKeySignalMessage in libsignal. */
const PRE_KEY_MESSAGE = 3

const toBridge = ({ name, deviceId }: SignalAddress): ProtocolAddress => new ProtocolAddress(name, deviceId)

export const isRepetition = (message: string): boolean => /duplicate|old counter/i.test(message)

/** The methods of a store as plain functions, so that single ones can be replaced. */
const adaptable = (store: SignalStore): SignalStore => ({
  loadSession: (address) => store.loadSession(address),
  storeSession: (address, record) => store.storeSession(address, record),
  loadPreKey: (id) => store.loadPreKey(id),
  removePreKey: (id) => store.removePreKey(id),
  loadSignedPreKey: (id) => store.loadSignedPreKey(id),
  loadSenderKey: (id) => store.loadSenderKey(id),
  storeSenderKey: (id, record) => store.storeSenderKey(id, record),
  identity: () => store.identity(),
  registrationId: () => store.registrationId(),
})

const adapt = (store: SignalStore): SignalStorage => ({
  loadSession: (address) => store.loadSession(address),
  storeSession: (address, record) => store.storeSession(address, record.serialize()),
  getOurIdentity: () => store.identity(),
  getOurRegistrationId: () => store.registrationId(),
  // trust on first use, as WhatsApp Web: a changed identity is told to the user, not refused
  isTrustedIdentity: () => true,
  loadPreKey: (id) => store.loadPreKey(id),
  removePreKey: (id) => store.removePreKey(id),
  loadSignedPreKey: (id) => store.loadSignedPreKey(id),
  loadSenderKey: (id) => store.loadSenderKey(id),
  storeSenderKey: (id, record) => store.storeSenderKey(id, record),
})
