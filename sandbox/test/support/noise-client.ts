// The initiator's side of Noise as a strict client does it: every certificate checked, IK when the server is known.
import assert from 'node:assert/strict'
import { proto } from 'baileys/WAProto/index.js'
import { agree, generateKeyPair, type KeyPair, verify } from '../../src/crypto/curve.ts'
import { decryptGcm, encryptGcm, hkdf, sha256 } from '../../src/crypto/symmetric.ts'
import { WA_HEADER } from '../../src/wire/frames.ts'

const { Details } = proto.CertChain.NoiseCertificate

export interface NoiseClientOptions {
  readonly root: Uint8Array
  readonly noiseKey: KeyPair
  readonly payload: Uint8Array
  /** The server's static key, if it is known from before: the client then starts with IK. */
  readonly serverStatic?: Uint8Array
}

export class NoiseClient {
  readonly #options: NoiseClientOptions
  readonly #ephemeral = generateKeyPair()
  #hash: Buffer = Buffer.alloc(0)
  #chainingKey: Buffer = Buffer.alloc(0)
  #key: Buffer = Buffer.alloc(0)
  #counter = 0
  #sent = 0
  #received = 0
  #toServer: Buffer | undefined
  #fromServer: Buffer | undefined
  serverStatic: Buffer | undefined
  pattern: 'XX' | 'IK' | 'XXfallback' = 'XX'

  constructor(options: NoiseClientOptions) {
    this.#options = options
  }

  hello(): Buffer {
    const { serverStatic, noiseKey, payload } = this.#options
    if (serverStatic === undefined) {
      this.#begin('Noise_XX_25519_AESGCM_SHA256')
      this.#mixHash(this.#ephemeral.public)
      return encode({ clientHello: { ephemeral: this.#ephemeral.public } })
    }
    this.#begin('Noise_IK_25519_AESGCM_SHA256')
    this.#mixHash(serverStatic)
    this.#mixHash(this.#ephemeral.public)
    this.#mixKey(agree(this.#ephemeral.private, serverStatic))
    const encryptedStatic = this.#encrypt(noiseKey.public)
    this.#mixKey(agree(noiseKey.private, serverStatic))
    const encryptedPayload = this.#encrypt(payload)
    return encode({
      clientHello: { ephemeral: this.#ephemeral.public, static: encryptedStatic, payload: encryptedPayload },
    })
  }

  /** Takes `serverHello`; returns `clientFinish`, or nothing when IK is over. */
  answer(message: Uint8Array): Buffer | undefined {
    const hello = proto.HandshakeMessage.decode(message).serverHello!
    if (this.#options.serverStatic !== undefined && !hello.static?.length) {
      this.pattern = 'IK'
      this.#mixHash(hello.ephemeral!)
      this.#mixKey(agree(this.#ephemeral.private, hello.ephemeral!))
      this.#mixKey(agree(this.#options.noiseKey.private, hello.ephemeral!))
      this.#verifyCertificate(this.#decrypt(hello.payload!), this.#options.serverStatic)
      this.#split()
      return undefined
    }
    if (this.#options.serverStatic !== undefined) {
      this.pattern = 'XXfallback'
      this.#begin('Noise_XXfallback_25519_AESGCM_SHA256')
      this.#mixHash(this.#ephemeral.public)
    }
    this.#mixHash(hello.ephemeral!)
    this.#mixKey(agree(this.#ephemeral.private, hello.ephemeral!))
    const serverStatic = this.#decrypt(hello.static!)
    this.#mixKey(agree(this.#ephemeral.private, serverStatic))
    this.#verifyCertificate(this.#decrypt(hello.payload!), serverStatic)
    const { noiseKey, payload } = this.#options
    const encryptedStatic = this.#encrypt(noiseKey.public)
    this.#mixKey(agree(noiseKey.private, hello.ephemeral!))
    const finish = encode({ clientFinish: { static: encryptedStatic, payload: this.#encrypt(payload) } })
    this.#split()
    return finish
  }

  seal(plain: Uint8Array): Buffer {
    this.#sent += 1
    return encryptGcm(this.#toServer!, nonce(this.#sent - 1), plain)
  }

  open(sealed: Uint8Array): Buffer {
    this.#received += 1
    return decryptGcm(this.#fromServer!, nonce(this.#received - 1), sealed)
  }

  #verifyCertificate(encoded: Uint8Array, serverStatic: Uint8Array): void {
    const { intermediate, leaf } = proto.CertChain.decode(encoded)
    const [upper, lower] = [Details.decode(intermediate!.details!), Details.decode(leaf!.details!)]
    assert.equal(upper.issuerSerial, 0)
    assert.equal(lower.issuerSerial, upper.serial)
    assert.ok(verify(this.#options.root, intermediate!.details!, intermediate!.signature!), 'intermediate certificate')
    assert.ok(verify(upper.key!, leaf!.details!, leaf!.signature!), 'leaf certificate')
    assert.deepEqual(Buffer.from(lower.key!), Buffer.from(serverStatic))
    const now = Date.now() / 1000
    for (const { notBefore, notAfter } of [upper, lower]) {
      assert.ok(Number(notBefore) < now && now < Number(notAfter), 'certificate dates')
    }
    this.serverStatic = Buffer.from(serverStatic)
  }

  #begin(protocol: string): void {
    const name = Buffer.from(protocol)
    this.#hash = name.length <= 32 ? Buffer.concat([name, Buffer.alloc(32 - name.length)]) : sha256(name)
    this.#chainingKey = this.#hash
    this.#key = this.#hash
    this.#counter = 0
    this.#mixHash(WA_HEADER)
  }

  #mixHash(data: Uint8Array): void {
    this.#hash = sha256(this.#hash, data)
  }

  #mixKey(input: Uint8Array): void {
    const okm = hkdf(input, 64, { salt: this.#chainingKey })
    this.#chainingKey = okm.subarray(0, 32)
    this.#key = okm.subarray(32)
    this.#counter = 0
  }

  #encrypt(plain: Uint8Array): Buffer {
    const sealed = encryptGcm(this.#key, nonce(this.#counter), plain, this.#hash)
    this.#counter += 1
    this.#mixHash(sealed)
    return sealed
  }

  #decrypt(sealed: Uint8Array): Buffer {
    const plain = decryptGcm(this.#key, nonce(this.#counter), sealed, this.#hash)
    this.#counter += 1
    this.#mixHash(sealed)
    return plain
  }

  #split(): void {
    const okm = hkdf(new Uint8Array(0), 64, { salt: this.#chainingKey })
    this.#toServer = okm.subarray(0, 32)
    this.#fromServer = okm.subarray(32)
  }
}

const encode = (message: proto.IHandshakeMessage): Buffer =>
  Buffer.from(proto.HandshakeMessage.encode(message).finish())

function nonce(counter: number): Buffer {
  const iv = Buffer.alloc(12)
  iv.writeUInt32BE(counter, 8)
  return iv
}
