import { Type } from 'typebox'
import type { LiveStatus } from '../sessions/index.ts'

/** Schemas and shapes that several areas show in the same form. */

export const rfc3339 = (ms: number): string => new Date(ms).toISOString()

export const rfc3339OrNull = (ms: number | undefined): string | null => (ms === undefined ? null : rfc3339(ms))

export const Time = Type.String({ format: 'date-time', description: 'RFC 3339, UTC' })

export const TimeOrNull = Type.Union([Time, Type.Null()])

export const DeviceId = Type.String({ format: 'uuid', description: 'UUIDv4 of the device' })

export const DeviceStatusName = Type.Enum(['pending', 'active', 'disconnected', 'logged_out'], {
  description: 'pending: never linked; active: linked and meant to be online',
})

export const KeyId = Type.Integer({
  minimum: 1,
  maximum: Number.MAX_SAFE_INTEGER,
  description: 'Numeric id of the API key',
})

export const FullJid = Type.String({ description: 'Device JID `user:device@s.whatsapp.net`; empty until linked' })

/** The live part of a device's status. */
export const liveFields = {
  client_loaded: Type.Boolean({ description: 'This process holds a session of the device' }),
  connected: Type.Boolean({ description: 'The socket is up and logged in' }),
  is_connected: Type.Boolean({ description: 'The socket is up' }),
  is_logged_in: Type.Boolean({ description: 'WhatsApp knows the device' }),
}

export const showLive = (live: LiveStatus) => ({
  client_loaded: live.clientLoaded,
  connected: live.isConnected && live.isLoggedIn,
  is_connected: live.isConnected,
  is_logged_in: live.isLoggedIn,
})

export const LiveError = Type.String({ description: 'Why it is not connected' })

/** `error` is left out when there is nothing to say. */
export const showLiveError = (live: LiveStatus): { readonly error?: string } =>
  live.error === '' ? {} : { error: live.error }
