import { WA_CERT_DETAILS } from 'baileys'

/**
 * Pins the root of the Noise certificate chain. Baileys reads this exported object at every handshake and offers no
 * option for it; without a root of our own it stays WhatsApp's.
 */
export const pinNoiseRoot = (root: Uint8Array | undefined): void => {
  if (root) WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(root)
}
