import { ok, type Route, type RouteError, route, STORAGE_AWAY } from '../../http/route.ts'
import { rfc3339OrNull } from '../common.ts'
import {
  AllDevices,
  AllDevicesStatus,
  Health,
  Reconnected,
  RefreshQuery,
  StanzaFailures,
  StanzaFailuresQuery,
  Stats,
  Version,
  VersionRefreshed,
  WebhookStats,
} from './schema.ts'
import { AdminService, type AdminServiceParts } from './service.ts'
import type { WhatsAppVersion } from './whatsapp-version.ts'

export interface AdminDeps extends AdminServiceParts {
  readonly whatsappVersion: WhatsAppVersion
}

const facts = { auth: 'admin', tag: 'Admin Dashboard' } as const

const FETCH_FAILED: RouteError = { code: 'whatsapp_refused', when: 'the version could not be fetched' }

export const adminRoutes = (deps: AdminDeps): Route[] => {
  const service = new AdminService(deps)

  const showVersion = () => {
    const version = deps.whatsappVersion
    const current = version.current()
    return {
      wa_web_version: { array: [...current], string: current.join('.') },
      last_refreshed: rfc3339OrNull(version.lastRefreshedAt),
      last_error: version.lastError,
    }
  }

  return [
    route({
      ...facts,
      id: 'getStats',
      method: 'GET',
      path: '/admin/stats',
      summary: 'Counts of keys, devices by status, and webhooks',
      description: '`connected_devices` counts devices whose stored status is `active`.',
      data: Stats,
      errors: [STORAGE_AWAY],
      handler: async () => ok('System statistics', await service.stats()),
    }),
    route({
      ...facts,
      id: 'getHealth',
      method: 'GET',
      path: '/admin/health',
      summary: 'Process, memory, uptime and database health',
      description: 'Answers 200 even when the database is away; `database` then says why, and `status` is `degraded`.',
      data: Health,
      errors: [],
      handler: async () => ok('System health', await service.health()),
    }),
    route({
      ...facts,
      id: 'getWhatsAppVersion',
      method: 'GET',
      path: '/admin/whatsapp/version',
      summary: 'Current WhatsApp Web version and last refresh outcome',
      data: Version,
      errors: [],
      handler: () => ok('WhatsApp Web version', showVersion()),
    }),
    route({
      ...facts,
      id: 'refreshWhatsAppVersion',
      method: 'POST',
      path: '/admin/whatsapp/version/refresh',
      summary: 'Fetch newest WhatsApp Web version and apply it',
      description:
        'New connections announce it; open ones stay. Calls at the same time share one fetch, which may take 15 s.',
      query: RefreshQuery,
      data: VersionRefreshed,
      errors: [FETCH_FAILED, STORAGE_AWAY],
      handler: async ({ query }) => {
        const { refreshed } = await deps.whatsappVersion.refresh(query.force ?? true)
        const message = refreshed ? 'WhatsApp Web version refreshed' : 'Refreshed too recently; nothing was fetched'
        return ok(message, { refreshed, ...showVersion() })
      },
    }),
    route({
      ...facts,
      id: 'listAllDevices',
      method: 'GET',
      path: '/admin/devices',
      summary: 'Every device of every customer with summary',
      description: 'Newest first.',
      data: AllDevices,
      errors: [STORAGE_AWAY],
      handler: async () => ok('All devices', await service.devices()),
    }),
    route({
      ...facts,
      id: 'getAllDevicesStatus',
      method: 'GET',
      path: '/admin/devices/status',
      summary: 'Live connection state of every device',
      data: AllDevicesStatus,
      errors: [STORAGE_AWAY],
      handler: async () => ok('Live status of all devices', await service.devicesStatus()),
    }),
    route({
      ...facts,
      id: 'reconnectAllDevices',
      method: 'POST',
      path: '/admin/devices/reconnect',
      summary: 'Reconnect every device that is currently offline',
      description: 'A bounded number at a time; answers when each one is connected or has failed.',
      data: Reconnected,
      errors: [STORAGE_AWAY],
      handler: async () => {
        const outcome = await service.reconnect()
        return ok(`${outcome.summary.reconnected} of ${outcome.summary.total} devices reconnected`, outcome)
      },
    }),
    route({
      ...facts,
      id: 'getWebhookStats',
      method: 'GET',
      path: '/admin/webhooks/stats',
      summary: 'Totals and success rate of webhook deliveries',
      data: WebhookStats,
      errors: [STORAGE_AWAY],
      handler: async () => ok('Webhook statistics', await service.webhookStats()),
    }),
    route({
      ...facts,
      id: 'listStanzaFailures',
      method: 'GET',
      path: '/admin/stanza-failures',
      summary: 'What came in and could not be handled',
      description:
        'The newest first, of the last 30 days. WhatsApp sends what is not acknowledged again; after 5 attempts a stanza is acknowledged and kept, sealed, for inspection. Content is not shown here.',
      query: StanzaFailuresQuery,
      data: StanzaFailures,
      errors: [STORAGE_AWAY],
      handler: async ({ query }) => ok('Stanza failures', await service.stanzaFailures(query.limit ?? 100)),
    }),
  ]
}
