import { silentLogger } from '../../src/kernel/logger.ts'
import type { WebhookRow } from '../../src/storage/index.ts'
import type { Answer, WebhookClient } from '../../src/webhooks/client.ts'
import { Dispatcher, type DispatcherOptions } from '../../src/webhooks/dispatcher.ts'
import { Slots } from '../../src/webhooks/slots.ts'
import { Subscriptions } from '../../src/webhooks/subscriptions.ts'
import { FakeClock } from './fake-clock.ts'
import { MemoryDeliveries } from './memory-deliveries.ts'

/** A request as the receiver sees it. */
export interface Seen {
  readonly webhook: string
  readonly label: string
  readonly id: string
  readonly attempt: number
  readonly at: number
}

export type Script = (seen: Seen) => Answer | Promise<Answer>

export const answered = (
  status: number,
  more: { readonly retryAfter?: string; readonly excerpt?: string } = {},
): Answer => ({
  kind: 'answered',
  status,
  latencyMs: 1,
  excerpt: more.excerpt ?? '',
  retryAfter: more.retryAfter,
})

export const unreachable: Answer = { kind: 'failed', latencyMs: 1, error: 'connect ECONNREFUSED' }

export const webhookRow = (id: number, more: Partial<WebhookRow> = {}): WebhookRow => ({
  id,
  deviceId: 'device',
  url: `https://example.org/${id}`,
  events: [],
  active: true,
  secret: 'a secret of the webhook',
  headers: {},
  failingSince: undefined,
  pausedAt: undefined,
  createdAt: 0,
  updatedAt: 0,
  ...more,
})

/** Lets promises, immediates and what they lead to run. */
export const turns = async (count = 30): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** A dispatcher over a queue in memory, a clock that stands still and a receiver that answers as scripted. */
export const makeDispatching = (
  script: Script,
  more: Partial<DispatcherOptions> & { readonly capacity?: { fast: number; slow: number } } = {},
) => {
  const clock = new FakeClock()
  const deliveries = new MemoryDeliveries()
  const subscriptions = new Subscriptions({ enabled: true })
  const seen: Seen[] = []
  const client: WebhookClient = {
    post: async ({ url, body }) => {
      const envelope = JSON.parse(Buffer.from(body).toString('utf8')) as {
        readonly id: string
        readonly attempt: number
        readonly data: { readonly message: string }
      }
      const one: Seen = {
        webhook: url.slice(url.lastIndexOf('/') + 1),
        label: envelope.data.message,
        id: envelope.id,
        attempt: envelope.attempt,
        at: clock.now(),
      }
      seen.push(one)
      return script(one)
    },
  }
  /** A stop lets the grace pass, so that a test with a receiver that hangs can end; `plain` leaves that to the test. */
  class Stopping extends Dispatcher {
    override async [Symbol.asyncDispose](): Promise<void> {
      const stopped = super[Symbol.asyncDispose]()
      await pass(5_000)
      await stopped
    }
  }
  let dead = { value: false }
  const start = async (kind: 'plain' | 'stopping' | 'killable' = 'stopping'): Promise<Dispatcher> => {
    const self = { value: false }
    dead = self
    const dispatcher = new (kind === 'plain' ? Dispatcher : Stopping)({
      ...(kind === 'killable'
        ? {
            deliveries: deadEnd(deliveries, self),
            client: deadEnd(client, self),
          }
        : { deliveries, client }),
      subscriptions,
      clock,
      logger: silentLogger,
      enabled: true,
      workers: 4,
      retryLimit: 3,
      maxAgeMs: 86_400_000,
      version: '0.0.0',
      random: () => 1,
      ...(more.capacity ? { slots: new Slots(clock, more.capacity) } : {}),
      ...more,
    })
    await dispatcher.start()
    return dispatcher
  }
  const labels = (webhook?: string) =>
    seen.filter((one) => webhook === undefined || one.webhook === webhook).map((one) => one.label)
  /** Moves time, and lets what follows happen. */
  const pass = async (ms: number): Promise<void> => {
    await turns()
    await clock.advance(ms)
    await turns()
  }
  /** As SIGKILL: the dispatcher that was started last hears of nothing and changes nothing any more. */
  const kill = () => {
    dead.value = true
  }
  return { kill, clock, deliveries, subscriptions, seen, labels, start, pass }
}

/** The same object until `dead` is set: from then on a call does nothing and answers never. */
const deadEnd = <T extends object>(target: T, dead: { readonly value: boolean }): T =>
  new Proxy(target, {
    get: (_, name) => {
      const member = Reflect.get(target, name) as (...given: unknown[]) => Promise<unknown>
      return async (...given: unknown[]) => {
        const never = new Promise(() => undefined)
        if (dead.value) return never
        const answer = await member.apply(target, given)
        return dead.value ? never : answer
      }
    },
  })
