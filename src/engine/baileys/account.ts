import type { AuthenticationCreds } from 'baileys'
import type { Account } from '../index.ts'

/** The linked account in the credentials; undefined before pair-success. */
export const accountOf = ({ me, account, platform }: AuthenticationCreds): Account | undefined =>
  me && account
    ? {
        jid: me.id,
        lid: me.lid,
        pushName: me.name && me.name !== '~' ? me.name : undefined,
        platform,
        businessName: me.verifiedName,
      }
    : undefined
