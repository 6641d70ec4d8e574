import { Type } from 'typebox'
import { DeviceId, DeviceStatusName, FullJid, LiveError, liveFields, Time, TimeOrNull } from '../common.ts'

const Secret = Type.String({ description: '64 hex digits; shown only now' })
const Token = Type.String({ description: 'JWT (HS256) for `Authorization: Bearer`; it does not expire' })
const Message = Type.String()

export const NewDeviceBody = Type.Object(
  { device_name: Type.Optional(Type.String({ maxLength: 255 })) },
  { title: 'NewDevice' },
)

export const CreatedDevice = Type.Object(
  { device_id: DeviceId, device_secret: Secret, device_name: Type.String(), token: Token, message: Message },
  { title: 'CreatedDevice' },
)

export const TokenBody = Type.Object(
  {
    device_id: Type.String({ minLength: 1, maxLength: 64 }),
    device_secret: Type.String({ minLength: 1, maxLength: 256 }),
  },
  { title: 'DeviceCredentials' },
)

export const FreshToken = Type.Object({ device_id: DeviceId, token: Token, message: Message }, { title: 'FreshToken' })

export const OwnDevice = Type.Object(
  {
    device_id: DeviceId,
    device_name: Type.String(),
    whatsmeow_jid: FullJid,
    status: DeviceStatusName,
    created_at: Time,
    last_active: TimeOrNull,
  },
  { title: 'Device' },
)

export const OwnStatus = Type.Object(
  { db_status: DeviceStatusName, ...liveFields, error: LiveError },
  { title: 'DeviceStatus' },
)

/** Any text: one that is not a UUID is simply unknown. */
export const DeviceParams = Type.Object({ device_id: Type.String({ description: 'UUID of the device' }) })
