import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto'

/** A UUIDv4: device ids, event ids, conversation and contact ids. */
export const newUuid = (): string => randomUUID()

/** RFC 9562, 5.9: stands for no device. */
export const NIL_UUID = '00000000-0000-0000-0000-000000000000'

/** `wam_` and 28 lowercase hex digits (112 bits). */
export const newApiKey = (): string => `wam_${randomBytes(14).toString('hex')}`

/** 64 lowercase hex digits (256 bits): device secrets, generated webhook secrets. */
export const newSecret = (): string => randomBytes(32).toString('hex')

/** SHA-256 of a random secret, in hex. No slow hash: the secrets are random and long, so guessing them is hopeless. */
export const hashSecret = (secret: string): string => createHash('sha256').update(secret, 'utf8').digest('hex')

/** Compares two strings in time that depends on neither (both are hashed first, so lengths may differ). */
export const equalInConstantTime = (a: string, b: string): boolean =>
  timingSafeEqual(createHash('sha256').update(a, 'utf8').digest(), createHash('sha256').update(b, 'utf8').digest())

/** An id for a WhatsApp message of ours, as WhatsApp Web's look: `3EB0` and 18 upper-case hex digits. */
export const newMessageId = (): string => `3EB0${randomBytes(9).toString('hex').toUpperCase()}`

/** Longest id from the wire that is kept as it is, in bytes. WhatsApp's own have 20 to 40. */
const LONGEST_ID = 512

/**
 * The id itself, or its SHA-256 when it is over 512 bytes: anybody can write an id of any length on the wire, and an
 * index of PostgreSQL takes 2.7 KB.
 */
export const boundId = (id: string): string =>
  id.length <= LONGEST_ID / 3 || Buffer.byteLength(id) <= LONGEST_ID
    ? id
    : `sha256:${createHash('sha256').update(id, 'utf8').digest('hex')}`
