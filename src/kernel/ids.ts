import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto'

/** A UUIDv4: device ids, event ids, conversation and contact ids. */
export const newUuid = (): string => randomUUID()

/** `wam_` and 28 lowercase hex digits (112 bits). */
export const newApiKey = (): string => `wam_${randomBytes(14).toString('hex')}`

/** 64 lowercase hex digits (256 bits): device secrets, generated webhook secrets. */
export const newSecret = (): string => randomBytes(32).toString('hex')

/** SHA-256 of a random secret, in hex. No slow hash: the secrets are random and long, so guessing them is hopeless. */
export const hashSecret = (secret: string): string => createHash('sha256').update(secret, 'utf8').digest('hex')

/** Compares two strings in time that depends on neither (both are hashed first, so lengths may differ). */
export const equalInConstantTime = (a: string, b: string): boolean =>
  timingSafeEqual(createHash('sha256').update(a, 'utf8').digest(), createHash('sha256').update(b, 'utf8').digest())
