import { type Backoff, backoffDelay } from '../kernel/backoff.ts'
import type { DeliveryResult, DeliveryRow } from '../storage/index.ts'
import type { Answer } from './client.ts'
import { type Secrets, withoutCredentials } from './redact.ts'

/** What an answer says about the delivery and about the endpoint. */
export type Verdict =
  | 'delivered' // 2xx
  | 'refused' // 4xx, and 3xx, which are not followed: this delivery is at fault
  | 'gone' // 410: never again
  | 'down' // no answer, 408, 425, 429 or 5xx: the endpoint is at fault

const DOWN = new Set([408, 425, 429])

export const verdictOf = (answer: Answer): Verdict => {
  if (answer.kind === 'failed') return 'down'
  const { status } = answer
  if (status >= 200 && status < 300) return 'delivered'
  if (status === 410) return 'gone'
  return status >= 500 || DOWN.has(status) ? 'down' : 'refused'
}

/** Between attempts that were refused: 2 s, 4 s, ... to 10 min. */
const REFUSAL_BACKOFF: Backoff = { baseMs: 2_000, capMs: 10 * 60_000, jitter: 'equal' }

export interface RetryPolicy {
  /** Refused attempts before a delivery is given up. */
  readonly retryLimit: number
  /** Age at which a delivery is given up whatever happened. */
  readonly maxAgeMs: number
  readonly random: () => number
}

/** Milliseconds from a `Retry-After` header (RFC 9110, 10.2.3: seconds or a date); 0 when absent or unreadable. */
export const retryAfterMs = (header: string | undefined, now: number): number => {
  if (header === undefined) return 0
  const text = header.trim()
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000
  const at = Date.parse(text)
  return Number.isNaN(at) ? 0 : Math.max(0, at - now)
}

/** How long the row waits by itself after failing `attempts` times. */
export const ownDelayMs = (attempts: number, policy: RetryPolicy): number =>
  backoffDelay(REFUSAL_BACKOFF, attempts, policy.random)

interface Judged {
  readonly delivery: DeliveryRow
  readonly subscription: Secrets
  readonly answer: Answer
  readonly now: number
  /** For `down`: when the endpoint may be tried again. */
  readonly notBefore: number
}

/** The row as it is to be stored after an attempt. */
export const resultOf = (
  { delivery, subscription, answer, now, notBefore }: Judged,
  policy: RetryPolicy,
): DeliveryResult => {
  const verdict = verdictOf(answer)
  const refusalCount = delivery.refusalCount + (verdict === 'refused' || verdict === 'gone' ? 1 : 0)
  const common = {
    id: delivery.id,
    attemptCount: delivery.attemptCount + 1,
    refusalCount,
    lastStatusCode: answer.kind === 'answered' ? answer.status : undefined,
    lastLatencyMs: answer.latencyMs,
  }
  if (verdict === 'delivered') return { ...common, state: 'success', lastError: '', nextAttemptAt: undefined }

  const lastError = describeAnswer(answer, subscription)
  const failed = { ...common, state: 'failed', lastError, nextAttemptAt: undefined } as const
  if (verdict === 'gone' || (verdict === 'refused' && refusalCount >= policy.retryLimit)) return failed

  const patience = answer.kind === 'answered' ? retryAfterMs(answer.retryAfter, now) : 0
  const nextAttemptAt = verdict === 'refused' ? now + Math.max(ownDelayMs(refusalCount, policy), patience) : notBefore
  // It would be too old by then; its chat need not wait for that.
  if (nextAttemptAt > delivery.createdAt + policy.maxAgeMs) return { ...failed, lastError: `gave up: ${lastError}` }
  return { ...common, state: 'pending', lastError, nextAttemptAt }
}

/** A delivery that became too old before it could be tried (again). */
export const tooOld = (delivery: DeliveryRow): DeliveryResult => ({
  id: delivery.id,
  state: 'failed',
  attemptCount: delivery.attemptCount,
  refusalCount: delivery.refusalCount,
  lastError:
    delivery.lastError === '' ? 'gave up: too old' : `gave up: ${delivery.lastError.replace(/^gave up: /, '')}`,
  lastStatusCode: delivery.lastStatusCode,
  lastLatencyMs: delivery.lastLatencyMs,
  nextAttemptAt: undefined,
})

/** What an answer that is no success says, on one line; never with the webhook's credentials. */
export const describeAnswer = (answer: Answer, subscription: Secrets): string =>
  withoutCredentials(describe(answer), subscription)

const describe = (answer: Answer): string => {
  if (answer.kind === 'failed') return answer.error
  const what =
    answer.status >= 300 && answer.status < 400 ? `HTTP ${answer.status} (not followed)` : `HTTP ${answer.status}`
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a foreign answer, to be shown on one line
  const excerpt = answer.excerpt.replace(/[\x00-\x1f\x7f\ufffd]+/g, ' ').trim()
  return excerpt === '' ? what : `${what}: ${excerpt}`
}
