import { proto } from 'baileys/WAProto/index.js'
import { generateKeyPair, type KeyPair, sign } from '../crypto/curve.ts'
import { hkdf } from '../crypto/symmetric.ts'

const { CertChain } = proto
const { Details } = proto.CertChain.NoiseCertificate

/** WhatsApp's own root has serial 0; Baileys insists on it as the intermediate's issuer. */
const ROOT_SERIAL = 0
const INTERMEDIATE_SERIAL = 1
const LEAF_SERIAL = 2

/** Ten years: no test lives longer, and clients check the dates. */
const VALIDITY_SECONDS = 10 * 365 * 86_400

/** The service's Noise identity: who it is and the certificates that say so. */
export interface NoiseIdentity {
  readonly root: KeyPair
  /** The key that the handshake proves. */
  readonly static: KeyPair
  /** Encoded `CertChain`: root signs intermediate, intermediate signs leaf, leaf names the static key. */
  readonly certificate: Buffer
  /** The same with a signature that does not fit, for tests of clients. */
  readonly forgedCertificate: Buffer
}

/** Derives all keys from `seed`, so that every process with the same seed is the same service to its clients. */
export function deriveNoiseIdentity(seed: string, now: number): NoiseIdentity {
  const derive = (name: string) => generateKeyPair(hkdf(Buffer.from(seed), 32, { info: `sandbox noise ${name}` }))
  const [root, intermediate, leaf] = [derive('root'), derive('intermediate'), derive('static')]
  const notBefore = Math.floor(now / 1000) - 86_400
  const validity = { notBefore, notAfter: notBefore + VALIDITY_SECONDS }
  const intermediateDetails = Details.encode({
    serial: INTERMEDIATE_SERIAL,
    issuerSerial: ROOT_SERIAL,
    key: intermediate.public,
    ...validity,
  }).finish()
  const leafDetails = Details.encode({
    serial: LEAF_SERIAL,
    issuerSerial: INTERMEDIATE_SERIAL,
    key: leaf.public,
    ...validity,
  }).finish()
  const encode = (intermediateSignature: Uint8Array) =>
    Buffer.from(
      CertChain.encode({
        leaf: { details: leafDetails, signature: sign(intermediate, leafDetails) },
        intermediate: { details: intermediateDetails, signature: intermediateSignature },
      }).finish(),
    )
  const signature = sign(root, intermediateDetails)
  const forged = Buffer.from(signature)
  forged[0]! ^= 1
  return { root, static: leaf, certificate: encode(signature), forgedCertificate: encode(forged) }
}
