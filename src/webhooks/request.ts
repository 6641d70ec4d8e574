import { envelopeOf } from '../events/envelope.ts'
import type { EventRow } from '../storage/index.ts'
import { signBody, signBodyWithTime } from './signature.ts'
import type { Subscription } from './subscriptions.ts'

/** Header names that a webhook may not set itself: ours, the connection's, and those that would change the framing. */
const RESERVED = new Set([
  'accept-encoding',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'user-agent',
  'x-hub-signature',
  'x-hub-signature-256',
])

export const isReservedHeader = (name: string): boolean => {
  const lower = name.toLowerCase()
  return RESERVED.has(lower) || lower.startsWith('x-webhook-')
}

export interface WebhookRequest {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

/**
 * The signed request of one attempt. `attempt` counts from 1; `now` in ms is the time that is signed; `redelivered`: it
 * was given up once and put in line again.
 */
export const buildRequest = (
  subscription: Pick<Subscription, 'url' | 'secret' | 'headers'>,
  event: EventRow,
  attempt: number,
  now: number,
  version: string,
  redelivered = false,
): WebhookRequest => {
  const envelope = { ...envelopeOf(event), attempt, ...(redelivered && { redelivered }) }
  const body = Buffer.from(JSON.stringify(envelope), 'utf8')
  const unixSeconds = Math.floor(now / 1000)
  const signature = signBody(subscription.secret, body)
  return {
    url: subscription.url,
    body,
    headers: {
      ...subscription.headers,
      'Content-Type': 'application/json',
      'User-Agent': `Parley/${version}`,
      'X-Webhook-Event': event.type,
      'X-Webhook-Id': event.eventId,
      'X-Webhook-Attempt': String(attempt),
      'X-Webhook-Timestamp': String(unixSeconds),
      'X-Webhook-Signature': signature,
      'X-Hub-Signature-256': signature,
      'X-Webhook-Signature-V2': signBodyWithTime(subscription.secret, body, unixSeconds),
    },
  }
}
