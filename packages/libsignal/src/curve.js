// Curve25519 and XEdDSA in the shape Baileys imports, on whatsapp-rust-bridge.
// Public keys carry Signal's type byte (0x05) here: 33 bytes.
import * as bridge from 'whatsapp-rust-bridge'

const asError = (cause, what) => (cause instanceof Error ? cause : new Error(`${what}: ${String(cause)}`))

export function generateKeyPair() {
  const { pubKey, privKey } = bridge.generateKeyPair()
  return { pubKey: Buffer.from(pubKey), privKey: Buffer.from(privKey) }
}

export function calculateAgreement(publicKey, privateKey) {
  try {
    return Buffer.from(bridge.calculateAgreement(publicKey, privateKey))
  } catch (cause) {
    throw asError(cause, 'key agreement failed')
  }
}

export function calculateSignature(privateKey, message) {
  try {
    return Buffer.from(bridge.calculateSignature(privateKey, message))
  } catch (cause) {
    throw asError(cause, 'signing failed')
  }
}

/**
 * True for a good signature; throws for a bad one. Baileys' Curve.verify ignores the value and reports false only
 * when this throws, while its sender-key code checks the value: doing both satisfies both.
 */
export function verifySignature(publicKey, message, signature) {
  let good = false
  try {
    good = bridge.verifySignature(publicKey, message, signature)
  } catch (cause) {
    throw asError(cause, 'signature check failed')
  }
  if (!good) throw new Error('invalid signature')
  return true
}
