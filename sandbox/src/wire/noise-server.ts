import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto'
import { proto } from 'baileys/WAProto/index.js'
import { agree, generateKeyPair, type KeyPair } from '../crypto/curve.ts'
import { decryptGcm, encryptGcm, hkdf, sha256 } from '../crypto/symmetric.ts'
import { WA_HEADER } from './frames.ts'

/*
 * The responder's side of the handshake. States:
 *
 *   hello --clientHello{ephemeral}-------------------> finish --clientFinish--> done      Noise XX
 *   hello --clientHello{ephemeral, static, payload}--> done                               Noise IK
 *   hello --the same, made for a static key that is not ours--> finish --clientFinish--> done   Noise XXfallback
 */

const XX = protocolHash('Noise_XX_25519_AESGCM_SHA256')
const IK = protocolHash('Noise_IK_25519_AESGCM_SHA256')
const XX_FALLBACK = protocolHash('Noise_XXfallback_25519_AESGCM_SHA256')

const GCM_TAG_BYTES = 16
const NOTHING = new Uint8Array(0)

/** Noise 5.2: a name of at most 32 bytes is padded with zeros, a longer one is hashed. */
function protocolHash(name: string): Buffer {
  const bytes = Buffer.from(name)
  return bytes.length <= 32 ? Buffer.concat([bytes, Buffer.alloc(32 - bytes.length)]) : sha256(bytes)
}

/** What a finished handshake yields. */
export interface Handshaken {
  readonly pattern: 'XX' | 'IK' | 'XXfallback'
  /** The client's static public key, which identifies its installation. */
  readonly clientStatic: Buffer
  /** Encoded `ClientPayload`. */
  readonly payload: Buffer
  readonly transport: NoiseTransport
}

export interface HelloAnswer {
  /** Encoded `HandshakeMessage` to send. */
  readonly reply: Buffer
  /** Set when the handshake is over with this answer (IK). */
  readonly done: Handshaken | undefined
}

export class NoiseServer {
  readonly #static: KeyPair
  readonly #certificate: Uint8Array
  #pattern: Handshaken['pattern'] = 'XX'
  #symmetric = new SymmetricState(XX)
  #ephemeral: KeyPair | undefined

  constructor(options: { readonly static: KeyPair; readonly certificate: Uint8Array }) {
    this.#static = options.static
    this.#certificate = options.certificate
  }

  /** Takes the first handshake message. Throws when it is malformed. */
  receiveHello(message: Uint8Array): HelloAnswer {
    const hello = proto.HandshakeMessage.decode(message).clientHello
    const clientEphemeral = hello?.ephemeral
    if (clientEphemeral?.length !== 32) throw new Error('clientHello without a 32-byte ephemeral key')
    if (hello?.static?.length && hello.payload?.length) {
      const answer = this.#answerIk(clientEphemeral, hello.static, hello.payload)
      if (answer !== undefined) return answer
      this.#pattern = 'XXfallback'
      this.#symmetric = new SymmetricState(XX_FALLBACK)
    }
    return this.#answerXx(clientEphemeral)
  }

  /** Takes `clientFinish`. Throws when it is malformed or does not decrypt. */
  receiveFinish(message: Uint8Array): Handshaken {
    const finish = proto.HandshakeMessage.decode(message).clientFinish
    if (!finish?.static?.length || !finish.payload?.length) throw new Error('clientFinish lacks static or payload')
    const state = this.#symmetric
    const clientStatic = state.decryptAndHash(finish.static)
    state.mixKey(agree(this.#ephemeral!.private, clientStatic))
    const payload = state.decryptAndHash(finish.payload)
    return { pattern: this.#pattern, clientStatic, payload, transport: state.split() }
  }

  #answerXx(clientEphemeral: Uint8Array): HelloAnswer {
    const state = this.#symmetric
    state.mixHash(WA_HEADER)
    state.mixHash(clientEphemeral)
    const ephemeral = generateKeyPair()
    this.#ephemeral = ephemeral
    state.mixHash(ephemeral.public)
    state.mixKey(agree(ephemeral.private, clientEphemeral))
    const encryptedStatic = state.encryptAndHash(this.#static.public)
    state.mixKey(agree(this.#static.private, clientEphemeral))
    const payload = state.encryptAndHash(this.#certificate)
    const serverHello = { ephemeral: ephemeral.public, static: encryptedStatic, payload }
    return { reply: Buffer.from(proto.HandshakeMessage.encode({ serverHello }).finish()), done: undefined }
  }

  /** Undefined when the client's message was made for another static key: the caller falls back to XX. */
  #answerIk(clientEphemeral: Uint8Array, encryptedStatic: Uint8Array, encryptedPayload: Uint8Array) {
    const state = new SymmetricState(IK)
    state.mixHash(WA_HEADER)
    state.mixHash(this.#static.public)
    state.mixHash(clientEphemeral)
    state.mixKey(agree(this.#static.private, clientEphemeral))
    const clientStatic = state.tryDecryptAndHash(encryptedStatic)
    if (clientStatic === undefined) return undefined
    state.mixKey(agree(this.#static.private, clientStatic))
    const clientPayload = state.decryptAndHash(encryptedPayload)
    const ephemeral = generateKeyPair()
    state.mixHash(ephemeral.public)
    state.mixKey(agree(ephemeral.private, clientEphemeral))
    state.mixKey(agree(ephemeral.private, clientStatic))
    const serverHello = { ephemeral: ephemeral.public, payload: state.encryptAndHash(this.#certificate) }
    const done: Handshaken = { pattern: 'IK', clientStatic, payload: clientPayload, transport: state.split() }
    return { reply: Buffer.from(proto.HandshakeMessage.encode({ serverHello }).finish()), done }
  }
}

/** Noise's SymmetricState with AES-256-GCM and SHA-256. */
class SymmetricState {
  #hash: Buffer
  #chainingKey: Buffer
  #key: Buffer
  #counter = 0

  constructor(protocol: Buffer) {
    this.#hash = protocol
    this.#chainingKey = protocol
    this.#key = protocol
  }

  mixHash(data: Uint8Array): void {
    this.#hash = sha256(this.#hash, data)
  }

  mixKey(input: Uint8Array): void {
    const [chainingKey, key] = this.#expand(input)
    this.#chainingKey = chainingKey
    this.#key = key
    this.#counter = 0
  }

  encryptAndHash(plaintext: Uint8Array): Buffer {
    const ciphertext = encryptGcm(this.#key, nonce(this.#counter), plaintext, this.#hash)
    this.#counter += 1
    this.mixHash(ciphertext)
    return ciphertext
  }

  decryptAndHash(ciphertext: Uint8Array): Buffer {
    const plaintext = this.tryDecryptAndHash(ciphertext)
    if (plaintext === undefined) throw new Error('a handshake ciphertext does not decrypt')
    return plaintext
  }

  tryDecryptAndHash(ciphertext: Uint8Array): Buffer | undefined {
    try {
      const plaintext = decryptGcm(this.#key, nonce(this.#counter), ciphertext, this.#hash)
      this.#counter += 1
      this.mixHash(ciphertext)
      return plaintext
    } catch (error) {
      if (error instanceof Error) return undefined
      throw error
    }
  }

  split(): NoiseTransport {
    const [fromClient, toClient] = this.#expand(NOTHING)
    return new NoiseTransport(fromClient, toClient)
  }

  #expand(input: Uint8Array): [Buffer, Buffer] {
    const okm = hkdf(input, 64, { salt: this.#chainingKey })
    return [okm.subarray(0, 32), okm.subarray(32)]
  }
}

/** The two cipher states after the handshake, each with its own counter from 0. */
export class NoiseTransport {
  readonly #fromClient: KeyObject
  readonly #toClient: KeyObject
  #received = 0
  #sent = 0

  constructor(fromClient: Uint8Array, toClient: Uint8Array) {
    this.#fromClient = createSecretKey(fromClient)
    this.#toClient = createSecretKey(toClient)
  }

  encrypt(plaintext: Uint8Array): Buffer {
    const cipher = createCipheriv('aes-256-gcm', this.#toClient, nonce(this.#sent))
    this.#sent += 1
    return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
  }

  /** Throws when the frame was changed, repeated or left out. */
  decrypt(ciphertext: Uint8Array): Buffer {
    if (ciphertext.length < GCM_TAG_BYTES) throw new Error('a transport frame is at least 16 bytes long')
    const decipher = createDecipheriv('aes-256-gcm', this.#fromClient, nonce(this.#received))
    this.#received += 1
    decipher.setAuthTag(ciphertext.subarray(ciphertext.length - GCM_TAG_BYTES))
    const body = decipher.update(ciphertext.subarray(0, ciphertext.length - GCM_TAG_BYTES))
    decipher.final()
    return body
  }
}

/** 8 zero bytes, then the counter. */
function nonce(counter: number): Buffer {
  const iv = Buffer.alloc(12)
  iv.writeUInt32BE(counter, 8)
  return iv
}
