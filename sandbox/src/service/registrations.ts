import type { Registration } from './peer.ts'

/** The clients that wait to be linked. */
export interface Registrations {
  list(): readonly Registration[]
  /** Whose QR code shows this ref, while the ref may be scanned. */
  findByRef(ref: string): Registration | undefined
  /** The newest client that asked for a link code for this number (digits). */
  findByPhoneNumber(pn: string): Registration | undefined
}
