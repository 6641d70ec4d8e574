import { randomBytes } from 'node:crypto'
import {
  aesEncryptCTR,
  type BinaryNode,
  bytesToCrockford,
  derivePairingCodeKey,
  getBinaryNodeChild,
  getCompanionPlatformId,
  jidEncode,
  S_WHATSAPP_NET,
  type WABrowserDescription,
  type WASocket,
} from 'baileys'
import type { AuthStore } from './auth-store.ts'
import { orTimeout, toEngineError } from './engine-errors.ts'

/**
 * Asks the service to offer linking by code to a phone. Baileys' own requestPairingCode sends this stanza without waiting
 * for the answer, so a refusal stays unseen; this one waits.
 * @returns the code as shown to the user, `XXXX-XXXX`
 * @throws whatsapp_refused, whatsapp_timeout, not_connected
 */
export const requestPairingCode = async (
  sock: WASocket,
  auth: AuthStore,
  browser: WABrowserDescription,
  phone: string,
): Promise<string> => {
  const { creds } = auth
  const code = bytesToCrockford(randomBytes(5))
  creds.pairingCode = code
  creds.me = { id: jidEncode(phone, 's.whatsapp.net'), name: '~' }
  const salt = randomBytes(32)
  const iv = randomBytes(16)
  const key = await derivePairingCodeKey(code, salt)
  const wrapped = aesEncryptCTR(creds.pairingEphemeralKeyPair.public, key, iv)
  const child = (tag: string, content: Uint8Array | string): BinaryNode => ({ tag, attrs: {}, content })
  const hello: BinaryNode = {
    tag: 'iq',
    attrs: { to: S_WHATSAPP_NET, type: 'set', xmlns: 'md' },
    content: [
      {
        tag: 'link_code_companion_reg',
        attrs: { jid: creds.me.id, stage: 'companion_hello', should_show_push_notification: 'true' },
        content: [
          child('link_code_pairing_wrapped_companion_ephemeral_pub', Buffer.concat([salt, iv, wrapped])),
          child('companion_server_auth_key_pub', creds.noiseKey.public),
          child('companion_platform_id', getCompanionPlatformId(browser)),
          child('companion_platform_display', `${browser[1]} (${browser[0]})`),
          child('link_code_pairing_nonce', '0'),
        ],
      },
    ],
  }
  try {
    const answer = orTimeout<BinaryNode>(await sock.query(hello), 'asking for a pairing code')
    if (!getBinaryNodeChild(answer, 'link_code_companion_reg')) throw new Error('the answer names no pairing ref')
  } catch (error) {
    throw toEngineError(error, 'asking for a pairing code')
  }
  return `${code.slice(0, 4)}-${code.slice(4)}`
}
