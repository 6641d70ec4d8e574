import { ok, type Route, type RouteError, route, STORAGE_AWAY } from '../../http/route.ts'
import type { DeliveryRow, WebhookRow } from '../../storage/index.ts'
import { rfc3339 } from '../common.ts'
import {
  CreatedWebhook,
  DeliveryLogs,
  LOG_LENGTH,
  NewWebhookBody,
  OneWebhook,
  TestedWebhook,
  WebhookChangeBody,
  WebhookList,
  WebhookParams,
} from './schema.ts'
import { WebhookService, type WebhookServiceParts } from './service.ts'

export type WebhookDeps = WebhookServiceParts

const facts = { auth: 'jwt', tag: 'Webhooks' } as const

const NO_SUCH_WEBHOOK: RouteError = { code: 'not_found', when: 'the device has no such webhook' }

const showWebhook = (row: WebhookRow) => ({
  id: row.id,
  url: row.url,
  events: row.events,
  active: row.active,
  header_names: Object.keys(row.headers),
  created_at: rfc3339(row.createdAt),
  updated_at: rfc3339(row.updatedAt),
})

const showLog = (row: DeliveryRow) => ({
  id: row.id,
  webhook_id: row.webhookId,
  event_type: row.eventType,
  sequence: row.sequence,
  status: row.state === 'pending' ? ('retrying' as const) : row.state,
  attempt_count: row.attemptCount,
  last_error: row.lastError,
  last_status_code: row.lastStatusCode ?? null,
  last_latency_ms: row.lastLatencyMs ?? null,
  created_at: rfc3339(row.createdAt),
  updated_at: rfc3339(row.updatedAt),
})

const EXAMPLE = {
  id: 1,
  url: 'https://your-server.com/webhook',
  events: ['message.received', 'connection.*'],
  active: true,
  header_names: [],
  created_at: '2026-11-22T09:00:00.000Z',
  updated_at: '2026-11-22T09:00:00.000Z',
}

export const webhookRoutes = (deps: WebhookDeps): Route[] => {
  const service = new WebhookService(deps)
  return [
    route({
      ...facts,
      id: 'listWebhooks',
      method: 'GET',
      path: '/webhooks',
      summary: 'Webhooks of this device',
      description: 'Oldest first. Secrets and header values are never shown.',
      data: WebhookList,
      success: { example: { webhooks: [EXAMPLE] } },
      errors: [STORAGE_AWAY],
      handler: async ({ auth }) => {
        const rows = await service.list(auth.device.deviceId)
        return ok('Webhooks', { webhooks: rows.map(showWebhook) })
      },
    }),
    route({
      ...facts,
      id: 'createWebhook',
      method: 'POST',
      path: '/webhooks',
      summary: 'Subscribe a URL to events',
      description:
        'Requests are signed with the secret, which is shown in this reply only. See the guide for envelope, headers, retries and how to verify.',
      body: NewWebhookBody,
      bodyExample: { url: EXAMPLE.url, events: EXAMPLE.events },
      data: CreatedWebhook,
      success: {
        example: {
          ...EXAMPLE,
          webhook_id: 1,
          secret: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
        },
      },
      errors: [
        { code: 'bad_request', when: 'the URL is not allowed, or an event name is unknown' },
        { code: 'conflict', when: 'the device has as many webhooks as it may have (WEBHOOK_MAX_PER_DEVICE)' },
        STORAGE_AWAY,
      ],
      handler: async ({ auth, body }) => {
        const row = await service.create(auth.device.deviceId, body)
        return ok('Webhook created; keep the secret, it is not shown again', {
          ...showWebhook(row),
          webhook_id: row.id,
          secret: row.secret,
        })
      },
    }),
    route({
      ...facts,
      id: 'getWebhook',
      method: 'GET',
      path: '/webhooks/{webhook_id}',
      summary: 'One webhook',
      params: WebhookParams,
      data: OneWebhook,
      success: { example: { webhook: EXAMPLE } },
      errors: [NO_SUCH_WEBHOOK, STORAGE_AWAY],
      handler: async ({ auth, params }) => {
        const row = await service.get(auth.device.deviceId, params.webhook_id)
        return ok('Webhook', { webhook: showWebhook(row) })
      },
    }),
    route({
      ...facts,
      id: 'changeWebhook',
      method: 'PATCH',
      path: '/webhooks/{webhook_id}',
      summary: 'Change URL, events or active flag',
      description: 'Changes what it names and nothing else; also the secret and the custom headers.',
      params: WebhookParams,
      body: WebhookChangeBody,
      bodyExample: { active: false },
      errors: [
        { code: 'bad_request', when: 'the URL is not allowed, or an event name is unknown' },
        NO_SUCH_WEBHOOK,
        STORAGE_AWAY,
      ],
      handler: async ({ auth, params, body }) => {
        await service.change(auth.device.deviceId, params.webhook_id, body)
        return ok('Webhook updated')
      },
    }),
    route({
      ...facts,
      id: 'deleteWebhook',
      method: 'DELETE',
      path: '/webhooks/{webhook_id}',
      summary: 'Remove a webhook',
      description: 'With its delivery log, and whatever waits for it.',
      params: WebhookParams,
      errors: [NO_SUCH_WEBHOOK, STORAGE_AWAY],
      handler: async ({ auth, params }) => {
        await service.delete(auth.device.deviceId, params.webhook_id)
        return ok('Webhook deleted')
      },
    }),
    route({
      ...facts,
      id: 'getWebhookLogs',
      method: 'GET',
      path: '/webhooks/{webhook_id}/logs',
      summary: 'Latest delivery attempts',
      description: `The newest ${LOG_LENGTH} deliveries that were attempted, one entry each.`,
      params: WebhookParams,
      data: DeliveryLogs,
      success: {
        example: {
          logs: [
            {
              id: 81,
              webhook_id: 1,
              event_type: 'message.received',
              sequence: 42,
              status: 'success',
              attempt_count: 1,
              last_error: '',
              last_status_code: 200,
              last_latency_ms: 31,
              created_at: '2026-11-22T09:00:00.000Z',
              updated_at: '2026-11-22T09:00:00.040Z',
            },
          ],
        },
      },
      errors: [NO_SUCH_WEBHOOK, STORAGE_AWAY],
      handler: async ({ auth, params }) => {
        const rows = await service.logs(auth.device.deviceId, params.webhook_id)
        return ok('Delivery logs', { logs: rows.map(showLog) })
      },
    }),
    route({
      ...facts,
      id: 'testWebhook',
      method: 'POST',
      path: '/webhooks/{webhook_id}/test',
      summary: 'Send a test event',
      description:
        'Sends `test.ping` to this webhook alone, whatever it subscribes to, the same way as every event: signed, logged and tried again. Answers before it is delivered.',
      params: WebhookParams,
      data: TestedWebhook,
      success: { example: { webhook_id: 1, event_id: '7c0c9f0e-6f0a-4a6e-9a0f-2f6f0b9b1c3d' } },
      errors: [
        NO_SUCH_WEBHOOK,
        { code: 'conflict', when: 'the webhook is not active, or delivery is switched off' },
        STORAGE_AWAY,
      ],
      handler: async ({ auth, params }) => {
        const eventId = await service.test(auth.device.deviceId, params.webhook_id)
        return ok('Test event queued', { webhook_id: params.webhook_id, event_id: eventId })
      },
    }),
  ]
}
