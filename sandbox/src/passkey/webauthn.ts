// WebAuthn as far as an assertion goes: the shapes, and what a relying party checks of one
// (https://www.w3.org/TR/webauthn-3/#sctn-verifying-assertion; the step numbers below are its).
import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { equalBytes, sha256 } from '../crypto/symmetric.ts'

/** Flags of the authenticator data. */
export const FLAG_USER_PRESENT = 0x01
export const FLAG_USER_VERIFIED = 0x04
const FLAG_BACKUP_ELIGIBLE = 0x08
const FLAG_BACKED_UP = 0x10
const AUTHENTICATOR_DATA_BYTES = 37

/** The `publicKey` argument of `navigator.credentials.get` as JSON; bytes are unpadded base64url. */
export interface RequestOptions {
  readonly challenge: string
  /** Milliseconds. */
  readonly timeout: number
  readonly rpId: string
  readonly allowCredentials: readonly { readonly type: 'public-key'; readonly id: string }[]
  readonly userVerification: 'required' | 'preferred' | 'discouraged'
  readonly extensions: Readonly<Record<string, unknown>>
}

/** The result of `navigator.credentials.get` as JSON. */
export interface Assertion {
  readonly id: string
  readonly rawId: string
  readonly type: 'public-key'
  readonly response: {
    readonly clientDataJSON: string
    readonly authenticatorData: string
    readonly signature: string
    readonly userHandle: string | null
  }
}

/** What a relying party knows of a registered credential. */
export interface Credential {
  readonly id: Buffer
  /** P-256, for ES256. */
  readonly publicKey: KeyObject
  readonly userHandle: Buffer
  /** The counter of the last accepted assertion; whoever accepts one moves it on. */
  signCount: number
}

/** Why an assertion was refused. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError'
}

/**
 * Verifies an assertion against the challenge that was sent and the credential on record.
 * @returns the authenticator's counter, to be kept with the credential
 * @throws AssertionError
 */
export function verifyAssertion(
  assertion: unknown,
  expected: {
    readonly challenge: Buffer
    readonly origin: string
    readonly rpId: string
    readonly credential: Credential
    readonly userVerification: 'required' | 'preferred'
  },
): { readonly signCount: number } {
  const { credential } = expected
  const { id, rawId, clientDataJSON, authenticatorData, signature, userHandle } = readAssertion(assertion)
  // 5, 6: the credential is one that was allowed, and belongs to the user
  if (id !== rawId.toString('base64url')) refuse('id and rawId differ')
  if (!equalBytes(rawId, credential.id)) refuse('the credential is not the one on record')
  if (userHandle !== undefined && !equalBytes(userHandle, credential.userHandle)) refuse('userHandle is another user')
  // 10 to 14: what the browser vouches for
  const client = readClientData(clientDataJSON)
  if (client.type !== 'webauthn.get') refuse(`clientData type is ${String(client.type)}`)
  if (client.challenge !== expected.challenge.toString('base64url'))
    refuse('the challenge is not the one that was sent')
  if (client.origin !== expected.origin) refuse(`origin is ${String(client.origin)}`)
  if (client.crossOrigin !== undefined && client.crossOrigin !== false) refuse('the assertion was made cross-origin')
  // 15 to 19: what the authenticator vouches for. No extension was asked for, so nothing may follow the counter.
  if (authenticatorData.length !== AUTHENTICATOR_DATA_BYTES) refuse('authenticatorData has a wrong length')
  if (!equalBytes(authenticatorData.subarray(0, 32), sha256(Buffer.from(expected.rpId)))) refuse('rpIdHash is wrong')
  const flags = authenticatorData[32]!
  if ((flags & FLAG_USER_PRESENT) === 0) refuse('the user was not present')
  const verified = (flags & FLAG_USER_VERIFIED) !== 0
  if (expected.userVerification === 'required' && !verified) refuse('the user was not verified')
  if ((flags & FLAG_BACKED_UP) !== 0 && (flags & FLAG_BACKUP_ELIGIBLE) === 0) refuse('the backup flags contradict')
  const known = FLAG_USER_PRESENT | FLAG_USER_VERIFIED | FLAG_BACKUP_ELIGIBLE | FLAG_BACKED_UP
  if ((flags & ~known) !== 0) refuse('unexpected flags are set')
  // 20, 21
  const signed = Buffer.concat([authenticatorData, sha256(clientDataJSON)])
  if (!verify('sha256', signed, { key: credential.publicKey, dsaEncoding: 'der' }, signature)) {
    refuse('the signature is wrong')
  }
  // 22
  const signCount = authenticatorData.readUInt32BE(33)
  if ((signCount !== 0 || credential.signCount !== 0) && signCount <= credential.signCount) {
    refuse('the counter did not grow: a replay or a cloned authenticator')
  }
  return { signCount }
}

/** A P-256 public key from its SPKI DER form. */
export function importCredentialKey(spki: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
}

/** Unpadded base64url to bytes; undefined for any other text. */
export function fromBase64Url(text: unknown): Buffer | undefined {
  return typeof text === 'string' && /^[A-Za-z0-9_-]*$/.test(text) ? Buffer.from(text, 'base64url') : undefined
}

function readAssertion(value: unknown) {
  const assertion = asRecord(value, 'the assertion')
  const response = asRecord(assertion.response, 'response')
  if (assertion.type !== 'public-key') refuse('type is not public-key')
  return {
    id: assertion.id,
    rawId: bytesAt(assertion, 'rawId'),
    clientDataJSON: bytesAt(response, 'clientDataJSON'),
    authenticatorData: bytesAt(response, 'authenticatorData'),
    signature: bytesAt(response, 'signature'),
    userHandle:
      response.userHandle === null || response.userHandle === undefined ? undefined : bytesAt(response, 'userHandle'),
  }
}

function readClientData(json: Buffer): Record<string, unknown> {
  try {
    return asRecord(JSON.parse(json.toString('utf8')), 'clientDataJSON')
  } catch (error) {
    if (error instanceof AssertionError) throw error
    return refuse('clientDataJSON is not JSON')
  }
}

function asRecord(value: unknown, name: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse(`${name} is not an object`)
  return value as Record<string, unknown>
}

function bytesAt(record: Record<string, unknown>, name: string): Buffer {
  return fromBase64Url(record[name]) ?? refuse(`${name} is not unpadded base64url`)
}

function refuse(reason: string): never {
  throw new AssertionError(reason)
}
