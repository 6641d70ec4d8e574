import { Type } from 'typebox'
import { event } from '../event.ts'
import { instant, orNull, ownJid, text, textOrNull } from './fields.ts'

const category = 'Connection'
const jid = '6289876543210'

export const connectionConnected = event({
  name: 'connection.connected',
  category,
  description: 'The device logged in and can send.',
  payload: Type.Object({
    jid: ownJid,
    phone_number: text('Own phone number, digits only'),
    lid: textOrNull('Own LID'),
    push_name: text('Own display name; empty when not known'),
    platform: text("The phone's platform, `android`, `iphone`, ...; empty when not known"),
    business_name: text('Verified business name; empty when there is none'),
    is_logged_in: Type.Boolean(),
    is_connected: Type.Boolean(),
  }),
  example: {
    jid,
    phone_number: jid,
    lid: '182736455463729@lid',
    push_name: 'Toko Ayu',
    platform: 'android',
    business_name: '',
    is_logged_in: true,
    is_connected: true,
  },
})

export const connectionDisconnected = event({
  name: 'connection.disconnected',
  category,
  description:
    'An open connection ended without our asking, or WhatsApp refused the login. A more particular event may precede it.',
  payload: Type.Object({
    jid: ownJid,
    reason: Type.Optional(text('`network: ...`, `keepalive_timeout`, `replaced`, `connect_failure: CODE`, ...')),
  }),
  example: { jid, reason: 'keepalive_timeout' },
})

export const connectionLoggedOut = event({
  name: 'connection.logged_out',
  category,
  description: 'The device was removed from the account, on the phone or through the API. It must be linked anew.',
  payload: Type.Object({ jid: ownJid }),
  example: { jid },
})

export const connectionReconnecting = event({
  name: 'connection.reconnecting',
  category,
  description: 'An attempt to reconnect starts.',
  payload: Type.Object({
    jid: ownJid,
    attempt: Type.Integer({ minimum: 1, description: 'Counts from 1 since the last open connection' }),
  }),
  example: { jid, attempt: 1 },
})

export const connectionKeepaliveTimeout = event({
  name: 'connection.keepalive_timeout',
  category,
  description: 'A keep-alive ping went unanswered.',
  payload: Type.Object({
    jid: ownJid,
    error_count: Type.Integer({ minimum: 1, description: 'Unanswered pings in a row' }),
    last_success: instant('When WhatsApp was last heard'),
  }),
  example: { jid, error_count: 1, last_success: '2026-11-22T09:59:30.000Z' },
})

export const connectionKeepaliveRestored = event({
  name: 'connection.keepalive_restored',
  category,
  description: 'Pings are answered again.',
  payload: Type.Object({ jid: ownJid }),
  example: { jid },
})

export const connectionTemporaryBan = event({
  name: 'connection.temporary_ban',
  category,
  description: 'WhatsApp banned the account for a time. Parley does not reconnect before it is over.',
  payload: Type.Object({
    jid: ownJid,
    code: Type.Integer({ description: "WhatsApp's code: 101 to 104, 106" }),
    reason: text('The code in words'),
    expires: orNull(Type.String({ format: 'date-time' }), 'When the ban ends, where WhatsApp says so'),
  }),
  example: {
    jid,
    code: 101,
    reason: 'messages to too many people who do not have this number in their address book',
    expires: '2026-11-23T10:00:00.000Z',
  },
})

export const connectionClientOutdated = event({
  name: 'connection.client_outdated',
  category,
  description: 'WhatsApp refuses the announced client version as too old.',
  payload: Type.Object({ jid: ownJid }),
  example: { jid },
})

export const connectionConnectFailure = event({
  name: 'connection.connect_failure',
  category,
  description:
    'WhatsApp refused the login; or the stored keys of the device are damaged, and it must be linked anew (`keys_damaged`).',
  payload: Type.Object({
    jid: ownJid,
    reason: text("WhatsApp's code, as text, or `keys_damaged`"),
    message: text('What it means, or what WhatsApp said'),
  }),
  example: { jid, reason: '403', message: 'the account is locked' },
})

export const connectionStreamError = event({
  name: 'connection.stream_error',
  category,
  description: 'WhatsApp ended an open connection with an error.',
  payload: Type.Object({ jid: ownJid, code: text("WhatsApp's code, as text"), message: text('What WhatsApp said') }),
  example: { jid, code: '503', message: 'service unavailable' },
})

export const connectionStreamReplaced = event({
  name: 'connection.stream_replaced',
  category,
  description: 'Another client connected with the same credentials. Parley does not reconnect by itself.',
  payload: Type.Object({ jid: ownJid, warning: text('What to check') }),
  example: { jid, warning: 'another client uses the credentials of this device' },
})

export const connectionQr = event({
  name: 'connection.qr',
  category,
  description: 'A new QR code is to be shown while a device is being linked. Each replaces the one before.',
  payload: Type.Object({
    jid: ownJid,
    codes: Type.Array(Type.String(), { description: 'The text of the QR code' }),
    expires_at: instant('Until when the code can be scanned'),
  }),
  example: { jid: '', codes: ['2@Xy...,abc,def,ghi'], expires_at: '2026-11-22T10:00:20.000Z' },
})

const pairFields = {
  pair_jid: text('Full device JID, empty when not known'),
  pair_lid: text('Full device LID, empty when not known'),
  business_name: text('Verified business name; empty when there is none'),
  platform: text("The phone's platform; empty when not known"),
}

export const connectionPairSuccess = event({
  name: 'connection.pair_success',
  category,
  description: 'The phone agreed to link this device. `connection.connected` follows.',
  payload: Type.Object({ jid: ownJid, ...pairFields }),
  example: {
    jid,
    pair_jid: '6289876543210:12@s.whatsapp.net',
    pair_lid: '182736455463729:12@lid',
    business_name: '',
    platform: 'android',
  },
})

export const connectionPairError = event({
  name: 'connection.pair_error',
  category,
  description: 'Linking failed after the code was scanned or typed.',
  payload: Type.Object({ jid: ownJid, ...pairFields, error: text('What went wrong') }),
  example: { jid: '', pair_jid: '', pair_lid: '', business_name: '', platform: '', error: 'bad account signature' },
})

export const connectionPasskeyRequired = event({
  name: 'connection.passkey_required',
  category,
  description: 'WhatsApp demands a WebAuthn assertion while a device is being linked.',
  payload: Type.Object({
    options: Type.Record(Type.String(), Type.Unknown(), {
      description: 'The `publicKey` argument of `navigator.credentials.get`, bytes as unpadded base64url',
    }),
    expires_at: instant('Until when the assertion is taken'),
  }),
  example: {
    options: { challenge: 'q2eJ0H0iZ0uXw1nJmS3lVQ', rpId: 'whatsapp.com', userVerification: 'required' },
    expires_at: '2026-11-22T10:05:00.000Z',
  },
})
