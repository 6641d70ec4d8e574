import { ok, type Route, route, STORAGE_AWAY } from '../../http/route.ts'
import type { DeliveryRow, WebhookRow } from '../../storage/index.ts'
import { rfc3339, rfc3339OrNull } from '../common.ts'
import { deliveryRoutes } from './delivery-routes.ts'
import {
  CreatedWebhook,
  DeliveryLogs,
  LOG_LENGTH,
  NewWebhookBody,
  OneWebhook,
  ProbedWebhook,
  TestedWebhook,
  WebhookChangeBody,
  WebhookList,
  WebhookParams,
} from './schema.ts'
import { GLOBAL, OWN, type Scope } from './scope.ts'
import { WebhookService, type WebhookServiceParts } from './service.ts'

export type WebhookDeps = WebhookServiceParts

const showWebhook = (row: WebhookRow) => ({
  id: row.id,
  url: row.url,
  events: row.events,
  active: row.active,
  header_names: Object.keys(row.headers),
  failing_since: rfc3339OrNull(row.failingSince),
  paused_at: rfc3339OrNull(row.pausedAt),
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
  failing_since: null,
  paused_at: null,
  created_at: '2026-11-22T09:00:00.000Z',
  updated_at: '2026-11-22T09:00:00.000Z',
}

/** Those of a device, then those of every device. */
export const webhookRoutes = (deps: WebhookDeps): Route[] => {
  const service = new WebhookService(deps)
  return [
    ...managingRoutes(OWN, service),
    testRoute(service),
    ...deliveryRoutes(OWN, service),
    ...managingRoutes(GLOBAL, service),
    probeRoute(service),
    ...deliveryRoutes(GLOBAL, service),
  ]
}

const managingRoutes = <const A extends 'jwt' | 'admin'>(scope: Scope<A>, service: WebhookService): Route[] => {
  const { auth, tag, base, word, ownerOf, noSuchWebhook } = scope
  const facts = { auth, tag } as const
  const whose = auth === 'jwt' ? 'this device' : 'every device'
  return [
    route({
      ...facts,
      id: `list${word}s`,
      method: 'GET',
      path: base,
      summary: `Webhooks of ${whose}`,
      description: 'Oldest first. Secrets and header values are never shown.',
      data: WebhookList,
      success: { example: { webhooks: [EXAMPLE] } },
      errors: [STORAGE_AWAY],
      handler: async ({ auth: caller }) => {
        const rows = await service.list(ownerOf(caller))
        return ok('Webhooks', { webhooks: rows.map(showWebhook) })
      },
    }),
    route({
      ...facts,
      id: `create${word}`,
      method: 'POST',
      path: base,
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
        {
          code: 'conflict',
          when: 'there are as many webhooks as there may be (WEBHOOK_MAX_PER_DEVICE; 20 of every device)',
        },
        STORAGE_AWAY,
      ],
      handler: async ({ auth: caller, body }) => {
        const row = await service.create(ownerOf(caller), body)
        return ok('Webhook created; keep the secret, it is not shown again', {
          ...showWebhook(row),
          webhook_id: row.id,
          secret: row.secret,
        })
      },
    }),
    route({
      ...facts,
      id: `get${word}`,
      method: 'GET',
      path: `${base}/{webhook_id}`,
      summary: 'One webhook',
      params: WebhookParams,
      data: OneWebhook,
      success: { example: { webhook: EXAMPLE } },
      errors: [noSuchWebhook, STORAGE_AWAY],
      handler: async ({ auth: caller, params }) => {
        const row = await service.get(ownerOf(caller), params.webhook_id)
        return ok('Webhook', { webhook: showWebhook(row) })
      },
    }),
    route({
      ...facts,
      id: `change${word}`,
      method: 'PATCH',
      path: `${base}/{webhook_id}`,
      summary: 'Change URL, events or active flag',
      description: 'Changes what it names and nothing else; also the secret and the custom headers.',
      params: WebhookParams,
      body: WebhookChangeBody,
      bodyExample: { active: false },
      errors: [
        { code: 'bad_request', when: 'the URL is not allowed, or an event name is unknown' },
        noSuchWebhook,
        STORAGE_AWAY,
      ],
      handler: async ({ auth: caller, params, body }) => {
        await service.change(ownerOf(caller), params.webhook_id, body)
        return ok('Webhook updated')
      },
    }),
    route({
      ...facts,
      id: `delete${word}`,
      method: 'DELETE',
      path: `${base}/{webhook_id}`,
      summary: 'Remove a webhook',
      description: 'With its delivery log, and whatever waits for it.',
      params: WebhookParams,
      errors: [noSuchWebhook, STORAGE_AWAY],
      handler: async ({ auth: caller, params }) => {
        await service.delete(ownerOf(caller), params.webhook_id)
        return ok('Webhook deleted')
      },
    }),
    route({
      ...facts,
      id: `get${word}Logs`,
      method: 'GET',
      path: `${base}/{webhook_id}/logs`,
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
      errors: [noSuchWebhook, STORAGE_AWAY],
      handler: async ({ auth: caller, params }) => {
        const rows = await service.logs(ownerOf(caller), params.webhook_id)
        return ok('Delivery logs', { logs: rows.map(showLog) })
      },
    }),
  ]
}

const testRoute = (service: WebhookService): Route =>
  route({
    auth: 'jwt',
    tag: OWN.tag,
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
      OWN.noSuchWebhook,
      { code: 'conflict', when: 'the webhook is not active or paused, or delivery is switched off' },
      STORAGE_AWAY,
    ],
    handler: async ({ auth, params }) => {
      const eventId = await service.test(auth.device.deviceId, params.webhook_id)
      return ok('Test event queued', { webhook_id: params.webhook_id, event_id: eventId })
    },
  })

const probeRoute = (service: WebhookService): Route =>
  route({
    auth: 'admin',
    tag: GLOBAL.tag,
    id: 'testGlobalWebhook',
    method: 'POST',
    path: '/admin/webhooks/{webhook_id}/test',
    summary: 'Send a test event',
    description:
      'Sends `test.ping` once, signed as every event, and answers how it went. It belongs to no device: `device_id` is the nil UUID, `sequence` is 0, and no log has it.',
    params: WebhookParams,
    data: ProbedWebhook,
    success: {
      example: {
        webhook_id: 1,
        event_id: '7c0c9f0e-6f0a-4a6e-9a0f-2f6f0b9b1c3d',
        delivered: true,
        status_code: 200,
        latency_ms: 31,
        error: '',
      },
    },
    errors: [GLOBAL.noSuchWebhook, STORAGE_AWAY],
    handler: async ({ params }) => {
      const result = await service.probe(params.webhook_id)
      return ok(result.delivered ? 'Test event delivered' : 'Test event not delivered', {
        webhook_id: params.webhook_id,
        event_id: result.eventId,
        delivered: result.delivered,
        status_code: result.statusCode ?? null,
        latency_ms: result.latencyMs,
        error: result.error,
      })
    },
  })
