import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { isIP } from 'node:net'
import { sha1 } from '../crypto/symmetric.ts'
import { bits, boolean, integer, octets, oid, sequence, set, tagged, taggedBytes, time, utf8 } from './der.ts'

const ECDSA_WITH_SHA256 = oid('1.2.840.10045.4.3.2')
const COMMON_NAME = oid('2.5.4.3')
const BASIC_CONSTRAINTS = oid('2.5.29.19')
const KEY_USAGE = oid('2.5.29.15')
const EXTENDED_KEY_USAGE = oid('2.5.29.37')
const SERVER_AUTH = oid('1.3.6.1.5.5.7.3.1')
const SUBJECT_ALT_NAME = oid('2.5.29.17')
const SUBJECT_KEY_ID = oid('2.5.29.14')
const AUTHORITY_KEY_ID = oid('2.5.29.35')

/** Apple and others refuse server certificates valid for longer than this. */
const VALID_DAYS = 397
const DAY_MS = 86_400_000

/** What a TLS server needs, and what its clients have to trust. PEM. */
export interface ServerCredentials {
  readonly key: string
  /** The server's certificate, then the authority's. */
  readonly cert: string
  readonly ca: string
}

interface Subject {
  readonly name: string
  readonly publicKey: KeyObject
  readonly extensions: readonly Buffer[]
}

interface Issuer {
  readonly name: string
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
}

/** Makes a certificate authority and a server certificate for `names` (host names and IP addresses), valid from `now`. */
export function makeServerCredentials(names: readonly string[], now: number): ServerCredentials {
  const authorityKeys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const serverKeys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const authority: Issuer = { name: `Sandbox CA ${randomBytes(4).toString('hex')}`, ...authorityKeys }
  const ca = makeCertificate(authority, now, {
    name: authority.name,
    publicKey: authorityKeys.publicKey,
    // keyCertSign and cRLSign
    extensions: [extension(BASIC_CONSTRAINTS, sequence(boolean(true)), true), keyUsage(0b0000_0110, 1)],
  })
  const alternatives = names.map((name) =>
    isIP(name) === 0 ? taggedBytes(2, Buffer.from(name)) : taggedBytes(7, addressBytes(name)),
  )
  const cert = makeCertificate(authority, now, {
    name: names[0] ?? 'sandbox',
    publicKey: serverKeys.publicKey,
    extensions: [
      extension(BASIC_CONSTRAINTS, sequence(), true),
      // digitalSignature
      keyUsage(0b1000_0000, 7),
      extension(EXTENDED_KEY_USAGE, sequence(SERVER_AUTH)),
      extension(SUBJECT_ALT_NAME, sequence(...alternatives)),
    ],
  })
  const key = serverKeys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  return { key, cert: cert + ca, ca }
}

/** RFC 5280, 4.1. */
function makeCertificate(issuer: Issuer, now: number, subject: Subject): string {
  const algorithm = sequence(ECDSA_WITH_SHA256)
  const extensions = [
    ...subject.extensions,
    extension(SUBJECT_KEY_ID, octets(keyId(subject.publicKey))),
    extension(AUTHORITY_KEY_ID, sequence(taggedBytes(0, keyId(issuer.publicKey)))),
  ]
  const serial = randomBytes(16)
  serial[0]! |= 0x40
  const toBeSigned = sequence(
    tagged(0, integer(Buffer.of(2))),
    integer(serial),
    algorithm,
    distinguishedName(issuer.name),
    sequence(time(new Date(now - DAY_MS)), time(new Date(now + VALID_DAYS * DAY_MS))),
    distinguishedName(subject.name),
    subject.publicKey.export({ type: 'spki', format: 'der' }),
    tagged(3, sequence(...extensions)),
  )
  const signature = sign('sha256', toBeSigned, issuer.privateKey)
  return toPem(sequence(toBeSigned, algorithm, bits(signature)))
}

function extension(id: Buffer, value: Buffer, critical = false): Buffer {
  return critical ? sequence(id, boolean(true), octets(value)) : sequence(id, octets(value))
}

function keyUsage(usage: number, unusedBits: number): Buffer {
  return extension(KEY_USAGE, bits(Buffer.of(usage), unusedBits), true)
}

const distinguishedName = (name: string): Buffer => sequence(set(sequence(COMMON_NAME, utf8(name))))

const keyId = (key: KeyObject): Buffer => sha1(key.export({ type: 'spki', format: 'der' }))

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number))
  // Only the compressed forms a sandbox listens on: `::1`, `::` and full ones.
  const [head = '', tail = ''] = address.split('::')
  const groups = (text: string) => (text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16)))
  const [before, after] = [groups(head), groups(tail)]
  const words = [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after]
  return Buffer.from(words.flatMap((word) => [word >> 8, word & 0xff]))
}

function toPem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}
