// The initiator's side of WhatsApp's Noise handshake: XX, IK with a cached server key, and XXfallback.
import { proto } from 'baileys/WAProto/index.js'
import { verifyChain } from './certificate.ts'
import { type KeyPair, newKeyPair, shareSecret } from './curve.ts'
import { digest, expand, openGcm, sealGcm } from './symmetric.ts'
import { demand, Violation } from './violation.ts'

/** "WA", protocol 6, dictionary 3. */
export const HEADER = Buffer.of(0x57, 0x41, 6, 3)

export type Pattern = 'XX' | 'IK' | 'XXfallback'

export interface NoiseOptions {
  readonly root: Uint8Array
  readonly own: KeyPair
  /** Encoded ClientPayload. */
  readonly payload: Uint8Array
  /** The server's static key from an earlier connection: IK is tried with it. */
  readonly serverStatic: Uint8Array | undefined
  /** Seconds since 1970. */
  readonly now: number
}

export interface Secured {
  readonly pattern: Pattern
  readonly serverStatic: Buffer
  readonly seal: (plain: Uint8Array) => Buffer
  /** @throws Violation `frame` */
  readonly open: (sealed: Uint8Array) => Buffer
}

export class NoiseInitiator {
  readonly #options: NoiseOptions
  readonly #ephemeral = newKeyPair()
  #state: SymmetricState

  constructor(options: NoiseOptions) {
    this.#options = options
    this.#state = new SymmetricState(options.serverStatic === undefined ? 'XX' : 'IK')
  }

  hello(): Buffer {
    const { serverStatic, own, payload } = this.#options
    const state = this.#state
    const ephemeral = this.#ephemeral.public
    if (serverStatic !== undefined) state.mixHash(serverStatic)
    state.mixHash(ephemeral)
    if (serverStatic === undefined) return encode({ clientHello: { ephemeral } })
    state.mixKey(shareSecret(this.#ephemeral, serverStatic))
    const sealedStatic = state.seal(own.public)
    state.mixKey(shareSecret(own, serverStatic))
    return encode({ clientHello: { ephemeral, static: sealedStatic, payload: state.seal(payload) } })
  }

  /** Takes serverHello; `finish` is to be sent when there is one. @throws Violation */
  answer(message: Uint8Array): { readonly finish: Buffer | undefined; readonly secured: Secured } {
    const hello = proto.HandshakeMessage.decode(message).serverHello
    demand(hello?.ephemeral?.length === 32 && !!hello.payload?.length, 'handshake', 'serverHello is incomplete')
    const { ephemeral, payload, static: sealedStatic } = hello
    const { serverStatic, own } = this.#options
    if (sealedStatic?.length) return this.#answerXx(ephemeral, sealedStatic, payload!)
    demand(serverStatic !== undefined, 'handshake', 'serverHello without a static key')
    this.#state.mixHash(ephemeral)
    this.#state.mixKey(shareSecret(this.#ephemeral, ephemeral))
    this.#state.mixKey(shareSecret(own, ephemeral))
    this.#verify(this.#state.open(payload!), serverStatic)
    return { finish: undefined, secured: this.#state.split('IK', serverStatic) }
  }

  #answerXx(ephemeral: Uint8Array, sealedStatic: Uint8Array, sealedCertificate: Uint8Array) {
    const { serverStatic, own, payload } = this.#options
    const pattern = serverStatic === undefined ? 'XX' : 'XXfallback'
    if (pattern === 'XXfallback') {
      this.#state = new SymmetricState(pattern)
      this.#state.mixHash(this.#ephemeral.public)
    }
    const state = this.#state
    state.mixHash(ephemeral)
    state.mixKey(shareSecret(this.#ephemeral, ephemeral))
    const theirs = state.open(sealedStatic)
    state.mixKey(shareSecret(this.#ephemeral, theirs))
    this.#verify(state.open(sealedCertificate), theirs)
    const ownStatic = state.seal(own.public)
    state.mixKey(shareSecret(own, ephemeral))
    const finish = encode({ clientFinish: { static: ownStatic, payload: state.seal(payload) } })
    return { finish, secured: state.split(pattern, theirs) }
  }

  #verify(certificate: Uint8Array, serverStatic: Uint8Array): void {
    verifyChain(certificate, this.#options.root, serverStatic, this.#options.now)
  }
}

class SymmetricState {
  #hash: Buffer
  #chainingKey: Buffer
  #key: Buffer
  #counter = 0

  constructor(pattern: Pattern) {
    const name = Buffer.from(`Noise_${pattern}_25519_AESGCM_SHA256`)
    this.#hash = name.length > 32 ? digest('sha256', name) : Buffer.concat([name, Buffer.alloc(32 - name.length)])
    this.#chainingKey = this.#hash
    this.#key = this.#hash
    this.mixHash(HEADER)
  }

  mixHash(data: Uint8Array): void {
    this.#hash = digest('sha256', this.#hash, data)
  }

  mixKey(secret: Uint8Array): void {
    const okm = expand(secret, 64, '', this.#chainingKey)
    this.#chainingKey = okm.subarray(0, 32)
    this.#key = okm.subarray(32)
    this.#counter = 0
  }

  seal(plain: Uint8Array): Buffer {
    const sealed = sealGcm(this.#key, counterIv(this.#counter), plain, this.#hash)
    this.#counter += 1
    this.mixHash(sealed)
    return sealed
  }

  open(sealed: Uint8Array): Buffer {
    const plain = tryOpen(this.#key, this.#counter, sealed, this.#hash)
    if (plain === undefined) throw new Violation('handshake', 'a handshake ciphertext does not open')
    this.#counter += 1
    this.mixHash(sealed)
    return plain
  }

  split(pattern: Pattern, serverStatic: Uint8Array): Secured {
    const okm = expand(new Uint8Array(0), 64, '', this.#chainingKey)
    const [toServer, fromServer] = [okm.subarray(0, 32), okm.subarray(32)]
    let [sent, received] = [0, 0]
    return {
      pattern,
      serverStatic: Buffer.from(serverStatic),
      seal: (plain) => {
        sent += 1
        return sealGcm(toServer, counterIv(sent - 1), plain)
      },
      open: (sealed) => {
        const plain = tryOpen(fromServer, received, sealed)
        if (plain === undefined) throw new Violation('frame', `frame ${received} does not open`)
        received += 1
        return plain
      },
    }
  }
}

function tryOpen(key: Uint8Array, counter: number, sealed: Uint8Array, aad?: Uint8Array): Buffer | undefined {
  try {
    return openGcm(key, counterIv(counter), sealed, aad)
  } catch {
    // node throws a plain Error for a tag that does not fit; the caller says what that means.
    return undefined
  }
}

function counterIv(counter: number): Buffer {
  const iv = Buffer.alloc(12)
  iv.writeUInt32BE(counter, 8)
  return iv
}

const encode = (message: proto.IHandshakeMessage): Buffer =>
  Buffer.from(proto.HandshakeMessage.encode(message).finish())
