import { Type } from 'typebox'
import { NOT_BLANK } from '../../http/route.ts'
import { DeviceId, DeviceStatusName, FullJid, KeyId, LiveError, liveFields, Time, TimeOrNull } from '../common.ts'

const MOST = 2_147_483_647

const Masked = Type.String({ description: 'First 8 characters, `...`, last 4' })

const owner = {
  customer_name: Type.String(),
  customer_email: Type.String(),
  customer_phone: Type.String(),
  max_devices: Type.Integer(),
  rate_limit_per_hour: Type.Integer(),
}

export const NewKeyBody = Type.Object(
  {
    customer_name: Type.String({ pattern: NOT_BLANK, maxLength: 255 }),
    customer_email: Type.Optional(Type.String({ maxLength: 255 })),
    customer_phone: Type.Optional(Type.String({ maxLength: 50 })),
    max_devices: Type.Optional(
      Type.Integer({ minimum: 1, maximum: MOST, description: 'Devices the key may have; 1 unless given' }),
    ),
    rate_limit_per_hour: Type.Optional(
      Type.Integer({ minimum: 1, maximum: MOST, description: 'Messages per hour; 1000 unless given' }),
    ),
  },
  { title: 'NewApiKey' },
)

export const CreatedKey = Type.Object(
  {
    id: KeyId,
    api_key: Type.String({ description: '`wam_` and 28 hex digits; shown only now', pattern: '^wam_[0-9a-f]{28}$' }),
    ...owner,
  },
  { title: 'CreatedApiKey' },
)

const keyFields = {
  id: KeyId,
  api_key_masked: Masked,
  ...owner,
  is_active: Type.Boolean(),
  device_count: Type.Integer(),
}

export const KeyList = Type.Array(Type.Object(keyFields, { title: 'ApiKey' }))

export const KeyDetails = Type.Object(
  {
    ...keyFields,
    devices: Type.Array(
      Type.Object({
        device_id: DeviceId,
        api_key_id: KeyId,
        device_name: Type.Optional(Type.String()),
        whatsmeow_jid: Type.Optional(Type.String()),
        status: DeviceStatusName,
        created_at: Time,
        last_active_at: Type.Optional(Time),
      }),
    ),
    created_at: Time,
    updated_at: TimeOrNull,
  },
  { title: 'ApiKeyDetails' },
)

export const KeyChangeBody = Type.Object(
  {
    customer_name: Type.Optional(Type.String({ maxLength: 255 })),
    customer_email: Type.Optional(Type.String({ maxLength: 255 })),
    customer_phone: Type.Optional(Type.String({ maxLength: 50 })),
    max_devices: Type.Optional(Type.Integer({ maximum: MOST, description: '0 or less keeps the old value' })),
    rate_limit_per_hour: Type.Optional(Type.Integer({ maximum: MOST, description: '0 or less keeps the old value' })),
    is_active: Type.Optional(
      Type.Boolean({ description: 'False: the key and the tokens of its devices stop working at once' }),
    ),
  },
  { title: 'ApiKeyChange' },
)

export const KeyParams = Type.Object({ id: KeyId })

export const KeyDevices = Type.Array(
  Type.Object(
    {
      device_id: DeviceId,
      device_name: Type.String(),
      whatsmeow_jid: FullJid,
      status: DeviceStatusName,
      created_at: Time,
      last_active_at: TimeOrNull,
    },
    { title: 'ApiKeyDevice' },
  ),
)

export const KeyDevicesStatus = Type.Array(
  Type.Object(
    {
      device_id: DeviceId,
      device_name: Type.String(),
      whatsmeow_jid: FullJid,
      db_status: DeviceStatusName,
      ...liveFields,
      error: Type.Optional(LiveError),
    },
    { title: 'ApiKeyDeviceStatus' },
  ),
)
