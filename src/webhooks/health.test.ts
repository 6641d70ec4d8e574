import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answered, makeDispatching, turns, unreachable, webhookRow } from '../../test/support/dispatching.ts'
import { faultsOfPayload } from '../events/validate.ts'
import { silentLogger } from '../kernel/logger.ts'
import type { WebhookHealth, WebhookRow } from '../storage/index.ts'
import { EndpointHealth } from './health.ts'

const HOUR = 3_600_000

/** A dispatcher with its watch; `down` says what the receiver does. */
const open = async (pauseAfterMs = 24 * HOUR, first: Partial<WebhookRow> = {}) => {
  const state = { down: true, away: false }
  const stored: WebhookHealth[] = []
  const told: { type: string; payload: Readonly<Record<string, unknown>> }[] = []
  const owners: (string | undefined)[] = []
  let health!: EndpointHealth
  const world = makeDispatching(() => (state.down ? unreachable : answered(200)), {
    // longer than the pause, so that rows do not become too old before
    maxAgeMs: 100 * HOUR,
    health: { delivered: (id) => health.delivered(id), failed: (id, error) => health.failed(id, error) },
  })
  health = new EndpointHealth({
    webhooks: {
      setHealth: async (id, next) => {
        if (state.away) throw new Error('database away')
        stored.push(next)
        return { ...webhookRow(id, { url: 'https://hooks.example:8443/secret?key=1', ...first }), ...next }
      },
    },
    subscriptions: world.subscriptions,
    announce: async (deviceId, drafts) => {
      owners.push(deviceId)
      told.push(...drafts)
    },
    clock: world.clock,
    logger: silentLogger,
    pauseAfterMs,
  })
  world.subscriptions.set(webhookRow(1, { url: 'https://hooks.example:8443/secret?key=1', ...first }))
  const dispatcher = await world.start()
  return { ...world, state, stored, told, owners, health, dispatcher }
}

test('an endpoint that fails for long is paused, said so, and not tried again until it is resumed', async () => {
  const { clock, deliveries, subscriptions, seen, pass, state, stored, told, health, dispatcher } = await open()
  await using _ = dispatcher
  const startedAt = clock.now()
  for (let n = 0; n < 3; n++) deliveries.add(1, `chat ${n}`, String(n), startedAt)
  dispatcher.wake([1])
  await pass(23 * HOUR)
  assert.equal(subscriptions.get(1)?.pausedAt, undefined)
  assert.deepEqual(stored, [{ failingSince: startedAt, pausedAt: undefined }])
  await pass(2 * HOUR)
  const pausedAt = subscriptions.get(1)!.pausedAt!
  assert.ok(pausedAt >= startedAt + 24 * HOUR && pausedAt < startedAt + 25 * HOUR)
  assert.deepEqual(
    told.map(({ type, payload }) => [type, payload]),
    [
      [
        'webhook.paused',
        {
          webhook_id: 1,
          host: 'hooks.example:8443',
          failing_since: new Date(startedAt).toISOString(),
          paused_at: new Date(pausedAt).toISOString(),
          last_error: 'connect ECONNREFUSED',
        },
      ],
    ],
  )
  const attempts = seen.length
  deliveries.add(1, 'chat 3', 'later', clock.now())
  dispatcher.wake([1])
  await pass(5 * HOUR)
  assert.equal(seen.length, attempts)
  assert.equal(deliveries.count('pending'), 4)

  state.down = false
  assert.equal(await health.resume(subscriptions.get(1)!), true)
  dispatcher.changed(1, { moved: true })
  await turns()
  assert.equal(deliveries.count('success'), 4)
  assert.deepEqual(
    told.map(({ type }) => type),
    ['webhook.paused', 'webhook.resumed'],
  )
  for (const { type, payload } of told) assert.deepEqual(faultsOfPayload(type, payload), [])
  assert.equal(await health.resume(subscriptions.get(1)!), false)
})

test('the pause of a webhook of every device is told as that of no device', async () => {
  const { clock, deliveries, subscriptions, pass, told, owners, health, dispatcher } = await open(24 * HOUR, {
    deviceId: undefined,
  })
  await using _ = dispatcher
  deliveries.add(1, 'chat', 'one', clock.now())
  dispatcher.wake([1])
  await pass(25 * HOUR)
  await health.resume(subscriptions.get(1)!)
  assert.deepEqual(
    told.map(({ type }) => type),
    ['webhook.paused', 'webhook.resumed'],
  )
  assert.deepEqual(owners, [undefined, undefined])
})

test('one success starts the count anew, and short failures are never written down', async () => {
  const { deliveries, clock, pass, state, stored, told, subscriptions, dispatcher } = await open()
  await using _ = dispatcher
  for (let day = 0; day < 4; day++) {
    state.down = true
    deliveries.add(1, 'a', `day ${day}`, clock.now())
    dispatcher.wake([1])
    await pass(20 * HOUR)
    state.down = false
    await pass(HOUR)
  }
  assert.equal(subscriptions.get(1)?.pausedAt, undefined)
  assert.deepEqual(told, [])
  // each day: failing for a minute, then well again
  assert.equal(stored.length, 8)
  stored.length = 0
  state.down = true
  deliveries.add(1, 'a', 'short', clock.now())
  dispatcher.wake([1])
  await turns()
  state.down = false
  await pass(30_000)
  assert.deepEqual(stored, [])
})

test('how long it has been failing outlives a restart', async () => {
  const { clock, deliveries, pass, subscriptions, dispatcher } = await open(24 * HOUR, {
    failingSince: Date.UTC(2026, 0, 1) - 23 * HOUR,
  })
  await using _ = dispatcher
  deliveries.add(1, 'a', 'one', clock.now())
  dispatcher.wake([1])
  await pass(2 * HOUR)
  assert.notEqual(subscriptions.get(1)?.pausedAt, undefined)
})

test('an endpoint with hardly any events is not paused for two failures a day apart', async () => {
  const { clock, health, subscriptions, dispatcher } = await open(24 * HOUR)
  await using _ = dispatcher
  health.failed(1, 'HTTP 400')
  await clock.advance(25 * HOUR)
  for (let n = 0; n < 8; n++) health.failed(1, 'HTTP 400')
  await turns()
  assert.equal(subscriptions.get(1)?.pausedAt, undefined)
  health.failed(1, 'HTTP 400')
  await turns()
  assert.notEqual(subscriptions.get(1)?.pausedAt, undefined)
})

test('while the database is away nothing is paused; the next failure tries again', async () => {
  const { clock, health, state, stored, told, subscriptions, dispatcher } = await open(HOUR)
  await using _ = dispatcher
  state.away = true
  for (let n = 0; n < 12; n++) {
    health.failed(1, 'HTTP 500')
    await clock.advance(10 * 60_000)
  }
  assert.deepEqual([subscriptions.get(1)?.pausedAt, stored, told], [undefined, [], []])
  state.away = false
  health.failed(1, 'HTTP 500')
  await turns()
  assert.notEqual(subscriptions.get(1)?.pausedAt, undefined)
  assert.equal(told.length, 1)
})

test('a webhook that is deleted while it is being paused does not come back', async () => {
  const { clock, health, subscriptions, dispatcher } = await open(HOUR)
  await using _ = dispatcher
  for (let n = 0; n < 9; n++) health.failed(1, 'HTTP 500')
  await clock.advance(2 * HOUR)
  health.failed(1, 'HTTP 500')
  health.failed(1, 'HTTP 500')
  subscriptions.delete(1)
  await turns()
  assert.equal(subscriptions.get(1), undefined)
})
