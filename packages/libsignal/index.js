// The part of libsignal's session API that Baileys' stock repository calls, on whatsapp-rust-bridge.
// Parley itself uses its own repository (src/engine/baileys); this serves whoever runs a stock socket, such as our
// interoperability tests. Records are the bridge's binary form, not libsignal's JSON.
import * as bridge from 'whatsapp-rust-bridge'

const toError = (cause) => (cause instanceof Error ? cause : new Error(String(cause)))

export const ProtocolAddress = bridge.ProtocolAddress

export class SessionRecord {
  #bytes
  constructor(bytes) {
    this.#bytes = Buffer.from(bytes)
  }
  static deserialize(bytes) {
    return new SessionRecord(bytes)
  }
  serialize() {
    return this.#bytes
  }
  haveOpenSession() {
    const record = bridge.SessionRecord.deserialize(this.#bytes)
    try {
      return record.haveOpenSession()
    } finally {
      record.free()
    }
  }
}

const withTypeByte = (key) => (key.length === 33 ? key : Buffer.concat([Buffer.from([5]), key]))

const adapt = (storage) => ({
  loadSession: async (address) => (await storage.loadSession(address))?.serialize(),
  storeSession: (address, record) => storage.storeSession(address, new SessionRecord(record.serialize())),
  getOurIdentity: () => storage.getOurIdentity(),
  getOurRegistrationId: () => storage.getOurRegistrationId(),
  isTrustedIdentity: () => true,
  loadPreKey: async (id) => {
    const pair = await storage.loadPreKey(id)
    return pair && { pubKey: withTypeByte(pair.pubKey), privKey: pair.privKey }
  },
  removePreKey: (id) => storage.removePreKey(id),
  loadSignedPreKey: (id) => {
    const pair = storage.loadSignedPreKey(id)
    const keyPair = { pubKey: withTypeByte(pair.pubKey), privKey: pair.privKey }
    // stock storage does not hand out the signature, and decryption does not look at it
    return { keyId: id, keyPair, signature: new Uint8Array(64) }
  },
  loadSenderKey: () => undefined,
  storeSenderKey: () => {
    throw new Error('sender keys do not pass through here')
  },
})

export class SessionCipher {
  #cipher
  constructor(storage, address) {
    this.#cipher = new bridge.SessionCipher(adapt(storage), address)
  }
  async encrypt(data) {
    const { type, body } = await this.#cipher.encrypt(data).catch((cause) => Promise.reject(toError(cause)))
    return { type, body: Buffer.from(body) }
  }
  async decryptPreKeyWhisperMessage(data) {
    return Buffer.from(
      await this.#cipher.decryptPreKeyWhisperMessage(data).catch((cause) => Promise.reject(toError(cause))),
    )
  }
  async decryptWhisperMessage(data) {
    return Buffer.from(await this.#cipher.decryptWhisperMessage(data).catch((cause) => Promise.reject(toError(cause))))
  }
}

export class SessionBuilder {
  #builder
  constructor(storage, address) {
    this.#builder = new bridge.SessionBuilder(adapt(storage), address)
  }
  async initOutgoing(bundle) {
    const { registrationId, identityKey, signedPreKey, preKey } = bundle
    await this.#builder
      .processPreKeyBundle({
        registrationId,
        identityKey,
        signedPreKey: {
          keyId: signedPreKey.keyId,
          publicKey: signedPreKey.publicKey,
          signature: signedPreKey.signature,
        },
        preKey: preKey && { keyId: preKey.keyId, publicKey: preKey.publicKey },
      })
      .catch((cause) => Promise.reject(toError(cause)))
  }
}
