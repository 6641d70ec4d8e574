import type { Generated } from 'kysely'

/** A flag: 0 or 1 on SQLite, true or false on PostgreSQL. Written as a boolean, read through `Boolean()`. */
type Flag = boolean | 0 | 1

/** The tables that Kysely builds queries for; see `migrations/`. */
export interface Tables {
  api_keys: ApiKeyTable
  devices: DeviceTable
  webhooks: WebhookTable
  settings: { name: string; value: string }
}

export interface ApiKeyTable {
  id: Generated<number>
  key_hash: string
  masked_key: string
  customer_name: string
  customer_email: string
  customer_phone: string
  max_devices: number
  rate_limit_per_hour: number
  is_active: Generated<Flag>
  created_at: number
  updated_at: number | null
}

export interface DeviceTable {
  id: Generated<number>
  device_id: string
  api_key_id: number
  device_name: string
  secret_hash: string
  jid: string | null
  lid: string | null
  push_name: string | null
  status: Generated<string>
  status_reason: string | null
  token_version: Generated<number>
  proxy_url: Uint8Array | null
  event_sequence: Generated<number>
  created_at: number
  last_active_at: number | null
}

export interface WebhookTable {
  id: Generated<number>
  device_id: string | null
  url: string
  events: string
  active: Flag
  secret: Uint8Array
  headers: Uint8Array
  failing_since: number | null
  paused_at: number | null
  created_at: number
  updated_at: number
}
