import { Type } from 'typebox'
import { event } from '../event.ts'
import { instant, text } from './fields.ts'

const category = 'Webhooks'

const endpointFields = {
  webhook_id: Type.Integer({ minimum: 1, description: 'The webhook' }),
  host: text("The endpoint's host and port"),
}

export const webhookPaused = event({
  name: 'webhook.paused',
  category,
  description:
    'Nothing could be delivered to a webhook of this device for as long as WEBHOOK_MAX_AGE: it is not tried any more until it is resumed. The webhook itself gets this event when it is resumed. Of a webhook of every device it belongs to none: only `GET /admin/events` has it, with the nil UUID as `device_id`.',
  payload: Type.Object({
    ...endpointFields,
    failing_since: instant('Since when nothing could be delivered'),
    paused_at: instant('When it was paused'),
    last_error: text('How the last attempt ended'),
  }),
  example: {
    webhook_id: 1,
    host: 'your-server.com',
    failing_since: '2026-11-21T10:00:00.000Z',
    paused_at: '2026-11-22T10:00:12.000Z',
    last_error: 'connect ECONNREFUSED 93.184.215.14:443',
  },
})

export const webhookResumed = event({
  name: 'webhook.resumed',
  category,
  description:
    'A paused webhook is tried again: somebody asked for it, or gave it another URL. Of a webhook of every device only `GET /admin/events` has it.',
  payload: Type.Object({ ...endpointFields, paused_at: instant('Since when it was paused') }),
  example: { webhook_id: 1, host: 'your-server.com', paused_at: '2026-11-22T10:00:12.000Z' },
})
