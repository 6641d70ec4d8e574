import { Type } from 'typebox'
import { DeviceId, DeviceStatusName, FullJid, KeyId, LiveError, liveFields, Time, TimeOrNull } from '../common.ts'

const Count = Type.Integer({ minimum: 0 })

export const Stats = Type.Object({
  total_api_keys: Count,
  active_api_keys: Count,
  total_devices: Count,
  connected_devices: Count,
  disconnected_devices: Count,
  pending_devices: Count,
  logged_out_devices: Count,
  total_webhooks: Count,
  active_webhooks: Count,
})

export const Health = Type.Object({
  status: Type.Enum(['ok', 'degraded']),
  database: Type.String({ description: '`ok`, or `error: ` and why' }),
  whatsapp_clients: Type.Integer({ minimum: 0, description: 'Sessions held by this process' }),
  total_devices: Count,
  memory_alloc: Type.String({ description: 'JavaScript heap in use' }),
  memory_sys: Type.String({ description: 'Resident memory of the process' }),
  goroutines: Type.Integer({ minimum: 0, description: 'Open handles and timers of the event loop' }),
  uptime: Type.String(),
  uptime_seconds: Count,
  version: Type.String(),
  go_version: Type.String({ description: 'The runtime: Node.js and its version' }),
  refused: Type.Record(Type.String(), Count, {
    description:
      'What did not verify since the start, by kind: `message`, `sender_key_message`, `pre_key_bundle`, `device_identity`, `plaintext`, `app_state`, `pairing`, `certificate`',
  }),
  api_keys: Type.Optional(Count),
  active_api_keys: Type.Optional(Count),
})

export const AllDevices = Type.Object({
  devices: Type.Array(
    Type.Object({
      device_id: DeviceId,
      device_name: Type.String(),
      api_key_id: KeyId,
      customer_name: Type.String(),
      whatsmeow_jid: FullJid,
      status: DeviceStatusName,
      created_at: Time,
      last_active_at: TimeOrNull,
    }),
  ),
  summary: Type.Object({
    total: Count,
    connected: Type.Integer({ minimum: 0, description: 'Status active' }),
    disconnected: Type.Integer({ minimum: 0, description: 'Status disconnected or logged_out' }),
    pending: Count,
  }),
})

export const AllDevicesStatus = Type.Object({
  devices: Type.Array(
    Type.Object({
      device_id: DeviceId,
      device_name: Type.String(),
      whatsmeow_jid: FullJid,
      db_status: DeviceStatusName,
      ...liveFields,
      error: Type.Optional(LiveError),
      customer_name: Type.String(),
    }),
  ),
  summary: Type.Object({ total: Count, online: Count, offline: Count }),
})

export const Reconnected = Type.Object({
  results: Type.Array(
    Type.Object({
      device_id: DeviceId,
      device_name: Type.String(),
      status: Type.Enum(['reconnected', 'failed', 'skipped', 'already_connected']),
      error: Type.Optional(Type.String()),
    }),
  ),
  summary: Type.Object({
    total: Count,
    reconnected: Count,
    failed: Count,
    skipped: Type.Integer({ minimum: 0, description: 'Never linked, or connected already' }),
  }),
})

export const WebhookStats = Type.Object({
  total_webhooks: Count,
  active_webhooks: Count,
  total_deliveries: Count,
  success_deliveries: Count,
  failed_deliveries: Count,
  success_rate: Type.Number({ minimum: 0, maximum: 100, description: 'Percent of the finished deliveries' }),
})

export const StanzaFailuresQuery = Type.Object({
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, default: 100 })),
})

export const StanzaFailures = Type.Object({
  failures: Type.Array(
    Type.Object({
      device_id: DeviceId,
      tag: Type.String({ description: 'Kind of the stanza: `message`, `receipt`' }),
      attempts: Type.Integer({ minimum: 1, description: 'How often it came and failed' }),
      error: Type.String({ description: 'Why it could not be handled, the last time' }),
      first_at: Time,
      last_at: Time,
      given_up: Type.Boolean({
        description: 'True: acknowledged and put aside. False: it comes again, or has been handled since',
      }),
    }),
  ),
})

const WebVersionNumber = Type.Object({
  array: Type.Array(Type.Integer({ minimum: 0 }), { minItems: 3, maxItems: 3 }),
  string: Type.String(),
})

export const Version = Type.Object({
  wa_web_version: WebVersionNumber,
  last_refreshed: TimeOrNull,
  last_error: Type.String({ description: 'Empty when the last refresh went well' }),
})

export const VersionRefreshed = Type.Object({
  refreshed: Type.Boolean({ description: 'False when the last attempt is too recent' }),
  wa_web_version: WebVersionNumber,
  last_refreshed: TimeOrNull,
  last_error: Type.String(),
})

export const RefreshQuery = Type.Object({
  force: Type.Optional(
    Type.Boolean({ default: true, description: 'False: not when the last attempt is younger than the set interval' }),
  ),
})
