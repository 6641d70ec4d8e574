import { type AuthenticationCreds, jidNormalizedUser, USyncQuery, USyncUser, type WASocket } from 'baileys'
import type { ChatTimer } from '../../kernel/message-facts.ts'
import { orTimeout, toEngineError } from './engine-errors.ts'

/**
 * Under this name in `additionalData` of the credentials, which Baileys leaves to us. Its own place for it,
 * `accountSettings`, is overwritten as a whole when another setting of the account is synchronised.
 */
const FIELD = 'defaultTimer'

/** After how long messages of new chats disappear, as the account is set; undefined = not known yet. */
export const timerOfAccount = ({ additionalData }: AuthenticationCreds): ChatTimer | undefined =>
  (additionalData as Readonly<Record<string, ChatTimer>> | undefined)?.[FIELD]

/** Whoever calls saves the credentials. */
const keep = (creds: AuthenticationCreds, timer: ChatTimer): void => {
  creds.additionalData = { ...creds.additionalData, [FIELD]: timer }
}

/** Takes in what `account_sync` tells, which Baileys shows as an update of the credentials. */
export const noteDefaultTimer = (creds: AuthenticationCreds, update: Partial<AuthenticationCreds>): void => {
  const mode = update.accountSettings?.defaultDisappearingMode
  if (mode)
    keep(creds, { seconds: Number(mode.ephemeralExpiration) || 0, setAt: Number(mode.ephemeralSettingTimestamp) || 0 })
}

/** @throws whatsapp_timeout, whatsapp_refused */
export const setDefaultTimer = async (sock: WASocket, seconds: number, now: number): Promise<void> => {
  try {
    const attrs = { to: 's.whatsapp.net', type: 'set', xmlns: 'disappearing_mode' }
    const content = [{ tag: 'disappearing_mode', attrs: { duration: String(seconds) } }]
    orTimeout(await sock.query({ tag: 'iq', attrs, content }), 'setting the timer')
  } catch (error) {
    throw toEngineError(error, 'setting the timer')
  }
  keep(sock.authState.creds, { seconds, setAt: now })
}

/** Asks WhatsApp what the account is set to. */
export const readDefaultTimer = async (sock: WASocket): Promise<void> => {
  const { creds } = sock.authState
  const own = jidNormalizedUser(creds.me?.id)
  const query = new USyncQuery().withDisappearingModeProtocol().withUser(new USyncUser().withId(own))
  const answer = await sock.executeUSyncQuery(query)
  const mode = answer?.list.find(({ id }) => id === own)?.disappearing_mode as
    | { readonly duration: number; readonly setAt: Date }
    | undefined
  if (!mode || timerOfAccount(creds)) return
  keep(creds, { seconds: mode.duration || 0, setAt: Math.floor(mode.setAt.getTime() / 1000) || 0 })
}
