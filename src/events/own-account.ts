import { phoneOfJid } from '../kernel/jid.ts'

/** The device's own account, as far as payloads name it. */
export interface OwnAccount {
  /** Device or bare PN JID; undefined before linking. */
  readonly jid: string | undefined
  /** Device or bare LID, where known. */
  readonly lid?: string | undefined
}

/** Own phone digits as the contract's `jid` fields have them; empty before linking. */
export const ownDigits = (account: OwnAccount | undefined): string => (account?.jid && phoneOfJid(account.jid)) || ''
