// X25519 on node:crypto. XEdDSA by libsignal's own code in whatsapp-rust-bridge: not the implementation under test.
import { createPrivateKey, createPublicKey, diffieHellman, generateKeyPairSync } from 'node:crypto'
import { calculateSignature, verifySignature } from 'whatsapp-rust-bridge'

/** 32 bytes each, no type byte. */
export interface KeyPair {
  readonly public: Buffer
  readonly private: Buffer
}

const PKCS8 = Buffer.from('302e020100300506032b656e04220420', 'hex')
const SPKI = Buffer.from('302a300506032b656e032100', 'hex')

export function newKeyPair(): KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync('x25519')
  return {
    public: publicKey.export({ type: 'spki', format: 'der' }).subarray(-32),
    private: privateKey.export({ type: 'pkcs8', format: 'der' }).subarray(-32),
  }
}

export function shareSecret(own: KeyPair, theirs: Uint8Array): Buffer {
  return diffieHellman({
    privateKey: createPrivateKey({ key: Buffer.concat([PKCS8, own.private]), format: 'der', type: 'pkcs8' }),
    publicKey: createPublicKey({ key: Buffer.concat([SPKI, theirs]), format: 'der', type: 'spki' }),
  })
}

/** 33 bytes: libsignal's type byte, then the key. */
export const typed = (publicKey: Uint8Array): Buffer => Buffer.concat([Buffer.of(5), publicKey])

export const signWith = (own: KeyPair, message: Uint8Array): Buffer =>
  Buffer.from(calculateSignature(own.private, message))

/** `publicKey` has 32 bytes. False as well when something is malformed. */
export function signatureFits(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false
  return verifySignature(typed(publicKey), message, signature)
}
