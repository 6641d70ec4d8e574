import { envelopeOf } from '../../events/envelope.ts'
import { ok, type Route, route, STORAGE_AWAY } from '../../http/route.ts'
import type { DeadLetter } from '../../storage/index.ts'
import { rfc3339, rfc3339OrNull } from '../common.ts'
import {
  DEAD_LETTERS_DEFAULT,
  DeadLetters,
  DeadLettersQuery,
  RedriveBody,
  Redriven,
  ResumedWebhook,
  STATS_WINDOW,
  WebhookParams,
  WebhookStatsData,
} from './schema.ts'
import type { Scope } from './scope.ts'
import type { WebhookService } from './service.ts'
import { showStats } from './stats.ts'

const showDeadLetter = ({ delivery, event }: DeadLetter) => ({
  delivery_id: delivery.id,
  device_id: delivery.deviceId,
  event_type: delivery.eventType,
  sequence: delivery.sequence,
  attempt_count: delivery.attemptCount,
  redelivered: delivery.redelivered,
  last_error: delivery.lastError,
  last_status_code: delivery.lastStatusCode ?? null,
  queued_at: rfc3339(delivery.createdAt),
  failed_at: rfc3339(delivery.updatedAt),
  event: event ? envelopeOf(event) : null,
})

const EVENT = {
  id: '7c0c9f0e-6f0a-4a6e-9a0f-2f6f0b9b1c3d',
  sequence: 42,
  event_type: 'message.received',
  device_id: '2d1f3b0c-51f8-4b7e-8f38-7f0e5b8f1a2b',
  timestamp: '2026-11-22T09:00:00.000Z',
  data: { text: 'Is the order on its way?' },
}

/** What became of deliveries, and what can be done about it. */
export const deliveryRoutes = <const A extends 'jwt' | 'admin'>(scope: Scope<A>, service: WebhookService): Route[] => {
  const { auth, tag, base, word, ownerOf, noSuchWebhook } = scope
  const facts = { auth, tag } as const
  return [
    route({
      ...facts,
      id: `list${word}DeadLetters`,
      method: 'GET',
      path: `${base}/{webhook_id}/dead-letters`,
      summary: 'Deliveries that were given up',
      description:
        'Newest first. They are kept for WEBHOOK_DELIVERY_RETENTION_DAYS; `event` is null when the event itself is not kept any more (EVENT_RETENTION).',
      params: WebhookParams,
      query: DeadLettersQuery,
      data: DeadLetters,
      success: {
        example: {
          dead_letters: [
            {
              delivery_id: 81,
              device_id: EVENT.device_id,
              event_type: EVENT.event_type,
              sequence: EVENT.sequence,
              attempt_count: 3,
              redelivered: false,
              last_error: 'HTTP 400: no such order',
              last_status_code: 400,
              queued_at: '2026-11-22T09:00:00.000Z',
              failed_at: '2026-11-22T09:00:06.000Z',
              event: EVENT,
            },
          ],
          next_before: null,
        },
      },
      errors: [noSuchWebhook, STORAGE_AWAY],
      handler: async (input) => {
        const limit = input.query.limit ?? DEAD_LETTERS_DEFAULT
        const { before } = input.query
        const letters = await service.deadLetters(ownerOf(input.auth), input.params.webhook_id, before, limit)
        return ok('Dead letters', {
          dead_letters: letters.map(showDeadLetter),
          next_before: letters.length === limit ? letters.at(-1)!.delivery.id : null,
        })
      },
    }),
    route({
      ...facts,
      id: `redrive${word}`,
      method: 'POST',
      path: `${base}/{webhook_id}/redrive`,
      summary: 'Send what was given up once more',
      description:
        'Puts dead letters in line again, with all their attempts before them: those named, or all. Their requests say `"redelivered": true`. What is named and no dead letter, or has lost its event, is left out and listed.',
      params: WebhookParams,
      body: RedriveBody,
      bodyExample: { delivery_ids: [81] },
      data: Redriven,
      success: { example: { requeued: 1, skipped: [] } },
      errors: [
        noSuchWebhook,
        { code: 'conflict', when: 'the webhook is paused or not active, or delivery is switched off' },
        STORAGE_AWAY,
      ],
      handler: async (input) => {
        const { delivery_ids: ids, all } = input.body
        const done = await service.redrive(ownerOf(input.auth), input.params.webhook_id, { ids, all })
        return ok('Put in line again', done)
      },
    }),
    route({
      ...facts,
      id: `resume${word}`,
      method: 'POST',
      path: `${base}/{webhook_id}/resume`,
      summary: 'Try a paused webhook again',
      description:
        'Also forgets how it failed before: what waits is tried at once. `resumed` is false when it was not paused.',
      params: WebhookParams,
      data: ResumedWebhook,
      success: { example: { webhook_id: 1, resumed: true } },
      errors: [noSuchWebhook, STORAGE_AWAY],
      handler: async (input) => {
        const { webhook_id } = input.params
        const resumed = await service.resume(ownerOf(input.auth), webhook_id)
        return ok(resumed ? 'Webhook resumed' : 'Webhook was not paused', { webhook_id, resumed })
      },
    }),
    route({
      ...facts,
      id: `get${word}DeliveryStats`,
      method: 'GET',
      path: `${base}/{webhook_id}/stats`,
      summary: 'How deliveries go',
      description: `What waits, what was given up, and of the newest ${STATS_WINDOW} finished deliveries how many succeeded and how long they took.`,
      params: WebhookParams,
      data: WebhookStatsData,
      success: {
        example: {
          webhook_id: 1,
          pending: 0,
          oldest_pending_at: null,
          dead_letters: 1,
          failing_since: null,
          paused_at: null,
          recent: {
            deliveries: 1000,
            success_rate: 99.9,
            latency_ms: { p50: 12, p90: 31, p99: 120, max: 480 },
            total_ms: { p50: 15, p90: 40, p99: 900, max: 6100 },
          },
        },
      },
      errors: [noSuchWebhook, STORAGE_AWAY],
      handler: async (input) => {
        const { row, stats } = await service.stats(ownerOf(input.auth), input.params.webhook_id)
        return ok('Delivery statistics', {
          webhook_id: row.id,
          pending: stats.pending,
          oldest_pending_at: rfc3339OrNull(stats.oldestPendingAt),
          dead_letters: stats.deadLetters,
          failing_since: rfc3339OrNull(row.failingSince),
          paused_at: rfc3339OrNull(row.pausedAt),
          recent: showStats(stats.finished),
        })
      },
    }),
  ]
}
