/**
 * Every setting, in one table. From it come the typed Config, the errors at start, `.env.example` and
 * `docs/reference/configuration.md`. A group here is a group there.
 */
import type { Setting } from './setting.ts'
import * as server from './table/server.ts'
import { webhookSettings } from './table/webhooks.ts'
import * as whatsapp from './table/whatsapp.ts'

export const SETTINGS = {
  auth: server.authSettings,
  server: server.serverSettings,
  http: server.httpSettings,
  storage: server.storageSettings,
  whatsapp: whatsapp.whatsappSettings,
  version: whatsapp.versionSettings,
  reconnect: whatsapp.reconnectSettings,
  behaviour: whatsapp.behaviourSettings,
  rateLimit: whatsapp.rateLimitSettings,
  media: whatsapp.mediaSettings,
  caches: whatsapp.cacheSettings,
  webhooks: webhookSettings,
  observability: server.observabilitySettings,
} as const

export type GroupName = keyof typeof SETTINGS

export const GROUP_TITLES: Readonly<Record<GroupName, string>> = {
  auth: 'Secrets',
  server: 'Server',
  http: 'HTTP',
  storage: 'Database',
  whatsapp: 'WhatsApp connection',
  version: 'WhatsApp Web version',
  reconnect: 'Reconnecting',
  behaviour: 'Human-like behaviour',
  rateLimit: 'Sending limits',
  media: 'Media',
  caches: 'Caches',
  webhooks: 'Webhooks',
  observability: 'Logs and metrics',
}

/** What each variable is read into, group by group. */
export type Values = {
  readonly [G in GroupName]: {
    readonly [K in keyof (typeof SETTINGS)[G]]: (typeof SETTINGS)[G][K] extends Setting<infer T> ? T : never
  }
}

/** All settings with their group and key, in the order of the table. */
export const listSettings = (): readonly { group: GroupName; key: string; setting: Setting<unknown> }[] =>
  Object.entries(SETTINGS).flatMap(([group, settings]) =>
    Object.entries(settings).map(([key, setting]) => ({ group: group as GroupName, key, setting })),
  )
