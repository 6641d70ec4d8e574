import { proto } from 'baileys/WAProto/index.js'
import { signatureFits } from './curve.ts'
import { sameBytes } from './symmetric.ts'
import { demand } from './violation.ts'

const ROOT_SERIAL = 0

/**
 * Verifies a Noise certificate chain up to the pinned root and down to the static key that the handshake proved.
 * @throws Violation `certificate`
 */
export function verifyChain(encoded: Uint8Array, root: Uint8Array, serverStatic: Uint8Array, now: number): void {
  const { intermediate, leaf } = proto.CertChain.decode(encoded)
  const upper = readCertificate(intermediate, 'intermediate')
  const lower = readCertificate(leaf, 'leaf')
  demand(upper.issuerSerial === ROOT_SERIAL, 'certificate', `intermediate issued by ${upper.issuerSerial}`)
  demand(lower.issuerSerial === upper.serial, 'certificate', 'the leaf was issued by another certificate')
  demand(lower.serial !== upper.serial, 'certificate', 'two certificates of one serial')
  demand(signatureFits(root, upper.details, upper.signature), 'certificate', 'intermediate signature')
  demand(signatureFits(upper.key, lower.details, lower.signature), 'certificate', 'leaf signature')
  demand(sameBytes(lower.key, serverStatic), 'certificate', 'the leaf is for another static key')
  for (const { notBefore, notAfter } of [upper, lower]) {
    demand(notBefore <= now && now < notAfter, 'certificate', `valid from ${notBefore} to ${notAfter}`)
  }
}

function readCertificate(certificate: proto.CertChain.INoiseCertificate | null | undefined, name: string) {
  const { details, signature } = certificate ?? {}
  demand(details?.length !== undefined && signature?.length === 64, 'certificate', `${name} is incomplete`)
  const { serial, issuerSerial, key, notBefore, notAfter } = proto.CertChain.NoiseCertificate.Details.decode(details)
  demand(typeof serial === 'number' && typeof issuerSerial === 'number', 'certificate', `${name} lacks serials`)
  demand(key?.length === 32, 'certificate', `${name} lacks a key`)
  return { details, signature, serial, issuerSerial, key, notBefore: Number(notBefore), notAfter: Number(notAfter) }
}
