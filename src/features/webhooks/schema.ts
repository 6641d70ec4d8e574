import { Type } from 'typebox'
import { Time } from '../common.ts'

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
