import { testPing } from '../events/catalogue/ping.ts'
import type { Clock } from '../kernel/clock.ts'
import { NIL_UUID, newUuid } from '../kernel/ids.ts'
import type { WebhookClient } from './client.ts'
import { describeAnswer, verdictOf } from './outcome.ts'
import { buildRequest } from './request.ts'
import type { Subscription } from './subscriptions.ts'

/** How one attempt went that belongs to no log and is not repeated. */
export interface ProbeResult {
  readonly eventId: string
  readonly delivered: boolean
  readonly statusCode: number | undefined
  readonly latencyMs: number
  /** Empty when there is none; never with credentials. */
  readonly error: string
}

export type Probe = (subscription: Pick<Subscription, 'url' | 'secret' | 'headers'>) => Promise<ProbeResult>

/** Sends `test.ping`, signed as every event, to an endpoint that belongs to no device. */
export const createProbe =
  (parts: { readonly client: WebhookClient; readonly clock: Clock; readonly version: string }): Probe =>
  async (subscription) => {
    const { client, clock, version } = parts
    const now = clock.now()
    const eventId = newUuid()
    const event = {
      deviceId: NIL_UUID,
      sequence: 0,
      eventId,
      type: testPing.name,
      orderKey: undefined,
      payload: testPing.example,
      occurredAt: now,
    }
    const answer = await client.post(buildRequest(subscription, event, 1, now, version))
    const delivered = verdictOf(answer) === 'delivered'
    return {
      eventId,
      delivered,
      statusCode: answer.kind === 'answered' ? answer.status : undefined,
      latencyMs: answer.latencyMs,
      error: delivered ? '' : describeAnswer(answer, subscription),
    }
  }
