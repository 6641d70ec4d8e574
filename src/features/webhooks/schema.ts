import { Type } from 'typebox'
import { DeviceId, Time, TimeOrNull } from '../common.ts'
import { Envelope } from '../envelope.ts'

export const MIN_SECRET = 16
export const MAX_SECRET = 256
export const MAX_HEADERS = 20
export const MAX_HEADER_VALUE = 1_024
/** What `GET /webhooks/{webhook_id}/logs` shows. */
export const LOG_LENGTH = 100

const WebhookId = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, description: 'Numeric id' })

export const WebhookParams = Type.Object({ webhook_id: WebhookId })

const Url = Type.String({
  minLength: 1,
  maxLength: 2_048,
  description:
    'https (http where the gateway permits it), without credentials; private, loopback and link-local targets are refused, also those a name resolves to',
})
const Events = Type.Array(Type.String({ maxLength: 100 }), {
  maxItems: 200,
  description: 'Event names, `area.*` or `*`; empty = all',
})
const Secret = Type.String({
  minLength: MIN_SECRET,
  maxLength: MAX_SECRET,
  description: 'Signs the requests; 64 hex digits are made up when it is absent',
})
const Headers = Type.Record(Type.String(), Type.String(), {
  description: `Up to ${MAX_HEADERS} headers to send along, such as Authorization; kept encrypted and never shown`,
})
const Active = Type.Boolean({
  description: 'An inactive webhook gets no events; what already waits for it is held back',
})

export const NewWebhookBody = Type.Object(
  {
    url: Url,
    events: Type.Optional(Events),
    secret: Type.Optional(Secret),
    headers: Type.Optional(Headers),
    active: Type.Optional(Active),
  },
  { title: 'NewWebhook' },
)

export const WebhookChangeBody = Type.Object(
  {
    url: Type.Optional(Url),
    events: Type.Optional(Events),
    active: Type.Optional(Active),
    secret: Type.Optional(Secret),
    headers: Type.Optional(Headers),
  },
  { title: 'WebhookChange' },
)

const shown = {
  id: WebhookId,
  url: Type.String(),
  events: Type.Array(Type.String(), { description: 'Empty = all' }),
  active: Type.Boolean(),
  header_names: Type.Array(Type.String(), { description: 'Names of the custom headers' }),
  failing_since: Type.Union([Time, Type.Null()], {
    description: 'Since when nothing could be delivered, once that lasts a minute; null = it works',
  }),
  paused_at: Type.Union([Time, Type.Null()], {
    description: 'Since when it is paused, because nothing could be delivered for WEBHOOK_MAX_AGE; null = it is not',
  }),
  created_at: Time,
  updated_at: Time,
}

export const Webhook = Type.Object(shown, { title: 'Webhook' })

export const OneWebhook = Type.Object({ webhook: Webhook }, { title: 'OneWebhook' })

export const WebhookList = Type.Object({ webhooks: Type.Array(Webhook) }, { title: 'WebhookList' })

export const CreatedWebhook = Type.Object(
  {
    ...shown,
    webhook_id: WebhookId,
    secret: Type.String({ description: 'The signing secret: shown here and never again' }),
  },
  { title: 'CreatedWebhook' },
)

export const DeliveryLogs = Type.Object(
  {
    logs: Type.Array(
      Type.Object(
        {
          id: Type.Integer(),
          webhook_id: WebhookId,
          event_type: Type.String(),
          sequence: Type.Integer({ description: "Position in the device's event log" }),
          status: Type.Enum(['success', 'failed', 'retrying'], {
            description: 'retrying: at least one attempt failed, more follow',
          }),
          attempt_count: Type.Integer(),
          last_error: Type.String({ description: 'Empty when there is none' }),
          last_status_code: Type.Union([Type.Integer(), Type.Null()], {
            description: 'HTTP status of the last attempt; null when there was no answer',
          }),
          last_latency_ms: Type.Union([Type.Integer(), Type.Null()]),
          created_at: Time,
          updated_at: Time,
        },
        { title: 'DeliveryLog' },
      ),
    ),
  },
  { title: 'DeliveryLogs' },
)

export const TestedWebhook = Type.Object(
  {
    webhook_id: WebhookId,
    event_id: Type.String({ format: 'uuid', description: 'The `id` of the request that the receiver gets' }),
  },
  { title: 'TestedWebhook' },
)

/** `POST /admin/webhooks/{webhook_id}/test` sends at once and says how it went. */
export const ProbedWebhook = Type.Object(
  {
    webhook_id: WebhookId,
    event_id: Type.String({ format: 'uuid', description: 'The `id` of the request that the receiver got' }),
    delivered: Type.Boolean({ description: 'It answered with 200 to 299' }),
    status_code: Type.Union([Type.Integer(), Type.Null()], { description: 'Null when there was no answer' }),
    latency_ms: Type.Integer(),
    error: Type.String({ description: 'Empty when there is none' }),
  },
  { title: 'ProbedWebhook' },
)

export const DEAD_LETTERS_DEFAULT = 50

export const DeadLettersQuery = Type.Object({
  before: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: Number.MAX_SAFE_INTEGER,
      description: '`next_before` of the reply before: what is older than that',
    }),
  ),
  limit: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 200, description: `How many at most; ${DEAD_LETTERS_DEFAULT} unless said` }),
  ),
})

export const DeadLetters = Type.Object(
  {
    dead_letters: Type.Array(
      Type.Object(
        {
          delivery_id: Type.Integer(),
          device_id: DeviceId,
          event_type: Type.String(),
          sequence: Type.Integer({ description: "Position in the device's event log" }),
          attempt_count: Type.Integer(),
          redelivered: Type.Boolean({ description: 'It had been given up before' }),
          last_error: Type.String(),
          last_status_code: Type.Union([Type.Integer(), Type.Null()], {
            description: 'HTTP status of the last attempt; null when there was no answer',
          }),
          queued_at: Time,
          failed_at: Time,
          event: Type.Union([Envelope, Type.Null()], { description: 'Null when it is not kept any more' }),
        },
        { title: 'DeadLetter' },
      ),
    ),
    next_before: Type.Union([Type.Integer(), Type.Null()], { description: 'Null when there are no more' }),
  },
  { title: 'DeadLetters' },
)

/** Ids in one call. */
export const MAX_REDRIVE = 1_000

export const RedriveBody = Type.Object(
  {
    delivery_ids: Type.Optional(
      Type.Array(Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }), {
        minItems: 1,
        maxItems: MAX_REDRIVE,
        description: '`delivery_id` of dead letters',
      }),
    ),
    all: Type.Optional(Type.Boolean({ description: 'True: every dead letter of this webhook' })),
  },
  { title: 'Redrive' },
)

export const Redriven = Type.Object(
  {
    requeued: Type.Integer({ description: 'Put in line again' }),
    skipped: Type.Array(Type.Integer(), {
      description: 'Named, but no dead letters of this webhook, or their event is not kept any more',
    }),
  },
  { title: 'Redriven' },
)

export const ResumedWebhook = Type.Object(
  { webhook_id: WebhookId, resumed: Type.Boolean({ description: 'False when it was not paused' }) },
  { title: 'ResumedWebhook' },
)

/** Finished deliveries that the statistics look at. */
export const STATS_WINDOW = 1_000

const MsOrNull = Type.Union([Type.Integer(), Type.Null()])
const Spread = (description: string) =>
  Type.Object({ p50: MsOrNull, p90: MsOrNull, p99: MsOrNull, max: MsOrNull }, { description })

export const WebhookStatsData = Type.Object(
  {
    webhook_id: WebhookId,
    pending: Type.Integer({ description: 'Wait or are under way' }),
    oldest_pending_at: TimeOrNull,
    dead_letters: Type.Integer(),
    failing_since: TimeOrNull,
    paused_at: TimeOrNull,
    recent: Type.Object({
      deliveries: Type.Integer({ description: 'Finished deliveries that were looked at' }),
      success_rate: Type.Union([Type.Number({ minimum: 0, maximum: 100 }), Type.Null()], {
        description: 'Percent of them; null when there are none',
      }),
      latency_ms: Spread('How long the receiver took to answer the last attempt'),
      total_ms: Spread('From the event to its delivery, waiting and retries included'),
    }),
  },
  { title: 'WebhookStats' },
)
