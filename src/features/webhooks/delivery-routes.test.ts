import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { isSignedBy, type Receiver, startReceiver } from '../../../scripts/lib/receiver.ts'
import { until } from '../../../test/support/e2e/until.ts'
import { type EventGateway, openEventGateway } from '../../../test/support/event-gateway.ts'
import { FakeClock } from '../../../test/support/fake-clock.ts'

const NIL = '00000000-0000-0000-0000-000000000000'

describe('dead letters, pauses and webhooks of every device', { timeout: 30_000 }, () => {
  let gateway: EventGateway
  let receiver: Receiver
  before(async () => {
    gateway = await openEventGateway()
    receiver = await startReceiver()
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
    await receiver[Symbol.asyncDispose]()
  })

  const subscribed = async () => {
    const device = await gateway.newDevice()
    const { data } = await gateway.as(device.token, 'POST', '/webhooks', { url: receiver.url })
    return { ...device, webhookId: data.webhook_id as number, secret: data.secret as string }
  }
  const got = (label: string) => receiver.received.filter(({ event }) => event.data.message === label)

  test('a dead letter is shown with its event, sent again when asked for, and marked', async () => {
    const { deviceId, token, webhookId } = await subscribed()
    receiver.answer = ({ event }) => (String(event.data.message).startsWith('gone') ? 410 : 200)
    await gateway.ping(deviceId, ['gone 1', 'fine', 'gone 2'])
    const path = `/webhooks/${webhookId}`
    const letters = async (query = '') => (await gateway.as(token, 'GET', `${path}/dead-letters${query}`)).data
    await until('two are given up', async () => (await letters()).dead_letters.length === 2)
    const { dead_letters: dead, next_before: next } = await letters()
    assert.equal(next, null)
    assert.deepEqual(
      // biome-ignore lint/suspicious/noExplicitAny: as the reply is
      dead.map((one: any) => [one.event.data.message, one.last_status_code, one.attempt_count, one.redelivered]),
      [
        ['gone 2', 410, 1, false],
        ['gone 1', 410, 1, false],
      ],
    )
    const page = await letters('?limit=1')
    assert.deepEqual([page.dead_letters[0].event.sequence, page.next_before], [3, page.dead_letters[0].delivery_id])
    const second = await letters(`?limit=1&before=${page.next_before}`)
    assert.equal(second.dead_letters[0].event.sequence, 1)

    receiver.answer = () => 200
    const one = dead[1].delivery_id
    const { data: redriven } = await gateway.as(token, 'POST', `${path}/redrive`, { delivery_ids: [one, 999_999, one] })
    assert.deepEqual(redriven, { requeued: 1, skipped: [999_999] })
    await until('it comes again', () => got('gone 1').length === 2)
    const [before, again] = got('gone 1').map(({ raw }) => JSON.parse(raw.toString('utf8')))
    assert.deepEqual([before.redelivered, again.redelivered, again.attempt], [undefined, true, 2])
    assert.equal(before.id, again.id)
    assert.equal(got('gone 2').length, 1)

    const all = await gateway.as(token, 'POST', `${path}/redrive`, { all: true })
    assert.deepEqual(all.data, { requeued: 1, skipped: [] })
    await until('the other comes too', () => got('gone 2').length === 2)
    await until('none are left', async () => (await letters()).dead_letters.length === 0)

    const { data: stats } = await gateway.as(token, 'GET', `${path}/stats`)
    assert.deepEqual(
      [stats.webhook_id, stats.pending, stats.dead_letters, stats.paused_at, stats.recent.deliveries],
      [webhookId, 0, 0, null, 3],
    )
    assert.equal(stats.recent.success_rate, 100)
    for (const spread of [stats.recent.latency_ms, stats.recent.total_ms])
      assert.ok(spread.p50 <= spread.p90 && spread.p90 <= spread.p99 && spread.p99 <= spread.max)
  })

  test('bad input is refused with its field, and nothing of others is shown', async () => {
    const { token, webhookId } = await subscribed()
    const other = await gateway.newDevice()
    const path = `/webhooks/${webhookId}`
    const cases: readonly [unknown, string][] = [
      [{}, 'delivery_ids'],
      [{ all: false }, 'delivery_ids'],
      [{ all: true, delivery_ids: [1] }, 'delivery_ids'],
      [{ delivery_ids: [] }, 'delivery_ids'],
      [{ delivery_ids: ['1'] }, 'delivery_ids[0]'],
      [{ delivery_ids: [0] }, 'delivery_ids[0]'],
      [{ delivery_ids: [1.5] }, 'delivery_ids[0]'],
      [{ delivery_ids: Array.from({ length: 1_001 }, (_, n) => n + 1) }, 'delivery_ids'],
      [{ all: 'yes' }, 'all'],
    ]
    for (const [body, field] of cases) {
      const { status, data } = await gateway.as(token, 'POST', `${path}/redrive`, body)
      assert.deepEqual([status, data.field], [400, field], JSON.stringify(body).slice(0, 60))
    }
    for (const [query, field] of [
      ['limit=0', 'limit'],
      ['limit=201', 'limit'],
      ['before=0', 'before'],
      ['before=x', 'before'],
    ] as const)
      assert.equal((await gateway.as(token, 'GET', `${path}/dead-letters?${query}`)).data.field, field)
    for (const [method, rest, body] of [
      ['GET', '/dead-letters', undefined],
      ['GET', '/stats', undefined],
      ['POST', '/resume', undefined],
      ['POST', '/redrive', { all: true }],
    ] as const) {
      assert.equal((await gateway.as(other.token, method, path + rest, body)).status, 404, rest)
      assert.equal((await gateway.as(token, method, `/webhooks/0${rest}`, body)).status, 400, rest)
      assert.equal((await gateway.as('x', method, path + rest, body)).status, 401, rest)
      assert.equal((await gateway.asAdmin(method, `/admin${path}${rest}`, body)).status, 404, rest)
      assert.equal((await gateway.as(token, method, `/admin${path}${rest}`, body)).status, 401, rest)
    }
    await gateway.as(token, 'PATCH', path, { active: false })
    assert.equal((await gateway.as(token, 'POST', `${path}/redrive`, { all: true })).status, 409)
    const resumed = await gateway.as(token, 'POST', `${path}/resume`)
    assert.deepEqual([resumed.status, resumed.data], [200, { webhook_id: webhookId, resumed: false }])
  })

  test('a webhook of every device gets what happens to all of them, signed; the test goes out at once', async () => {
    const [a, b] = [await gateway.newDevice(), await gateway.newDevice()]
    const { status, data: made } = await gateway.asAdmin('POST', '/admin/webhooks', {
      url: `${receiver.url}everything`,
      events: ['test.*'],
      secret: 'a secret of the admin',
      headers: { Authorization: 'Bearer inside' },
    })
    assert.equal(status, 200)
    const path = `/admin/webhooks/${made.webhook_id}`
    await gateway.ping(a.deviceId, ['of a'])
    await gateway.ping(b.deviceId, ['of b'])
    for (const [label, device] of [
      ['of a', a],
      ['of b', b],
    ] as const) {
      await until(label, () => got(label).length === 1)
      const [request] = got(label)
      assert.equal(request!.event.device_id, device.deviceId)
      assert.ok(isSignedBy('a secret of the admin', request!))
      assert.equal(request!.headers.authorization, 'Bearer inside')
    }
    await until('the log has both', async () => (await gateway.asAdmin('GET', `${path}/logs`)).data.logs.length === 2)
    const { data: probe } = await gateway.asAdmin('POST', `${path}/test`)
    assert.deepEqual(
      [probe.webhook_id, probe.delivered, probe.status_code, probe.error],
      [made.webhook_id, true, 200, ''],
    )
    const request = receiver.received.find(({ event }) => event.id === probe.event_id)!
    assert.deepEqual([request.event.device_id, request.event.sequence], [NIL, 0])
    assert.ok(isSignedBy('a secret of the admin', request))
    receiver.answer = () => 503
    const failed = await gateway.asAdmin('POST', `${path}/test`)
    assert.deepEqual(
      [failed.status, failed.data.delivered, failed.data.status_code, failed.data.error],
      [200, false, 503, 'HTTP 503'],
    )
    receiver.answer = () => 200

    const { data: list } = await gateway.asAdmin('GET', '/admin/webhooks')
    assert.deepEqual(
      list.webhooks.map((one: { id: number }) => one.id),
      [made.webhook_id],
    )
    assert.ok(!JSON.stringify(list).includes('a secret of the admin') && !JSON.stringify(list).includes('inside'))
    assert.equal((await gateway.asAdmin('GET', path)).data.webhook.url, `${receiver.url}everything`)
    assert.equal((await gateway.as(a.token, 'GET', `/webhooks/${made.webhook_id}`)).status, 404)
    assert.equal((await gateway.asAdmin('PATCH', path, { events: ['no.such'] })).data.field, 'events[0]')
    assert.equal((await gateway.asAdmin('POST', '/admin/webhooks', { url: 'https://10.0.0.1/' })).data.field, 'url')
    assert.equal((await gateway.asAdmin('PATCH', path, { active: false })).status, 200)
    await gateway.ping(a.deviceId, ['unheard'])
    assert.equal((await gateway.asAdmin('GET', `${path}/stats`)).data.pending, 0)
    assert.equal((await gateway.asAdmin('DELETE', path)).status, 200)
    assert.equal((await gateway.asAdmin('GET', path)).status, 404)
    assert.equal(got('unheard').length, 0)
  })

  test('there are twenty webhooks of every device at most', async () => {
    const made: number[] = []
    for (let n = 0; n < 20; n++)
      made.push(
        (await gateway.asAdmin('POST', '/admin/webhooks', { url: receiver.url, active: false })).data.webhook_id,
      )
    const { status, data } = await gateway.asAdmin('POST', '/admin/webhooks', { url: receiver.url })
    assert.deepEqual([status, data.limit], [409, 20])
    for (const id of made) await gateway.asAdmin('DELETE', `/admin/webhooks/${id}`)
  })

  test('a device or key that is deleted takes its subscriptions out of memory', async () => {
    const [alone, withKey] = [await subscribed(), await subscribed()]
    assert.ok(gateway.subscriptions.get(alone.webhookId) && gateway.subscriptions.get(withKey.webhookId))
    await gateway.accounts.devices.delete(alone.deviceId)
    await gateway.accounts.apiKeys.delete(withKey.apiKeyId)
    assert.equal(gateway.subscriptions.get(alone.webhookId), undefined)
    assert.equal(gateway.subscriptions.get(withKey.webhookId), undefined)
    assert.deepEqual(gateway.subscriptions.webhookIdsFor(alone.deviceId, 'test.ping'), [])
  })
})

test('an endpoint that fails for WEBHOOK_MAX_AGE is paused; resumed, it gets what waited and what was given up', async () => {
  const clock = new FakeClock()
  await using gateway = await openEventGateway({ clock, maxAgeMs: 10 * 60_000 })
  await using receiver = await startReceiver()
  const { deviceId, token } = await gateway.newDevice()
  const { data: made } = await gateway.as(token, 'POST', '/webhooks', { url: receiver.url })
  const path = `/webhooks/${made.webhook_id}`
  const show = async () => (await gateway.as(token, 'GET', path)).data.webhook
  receiver.answer = () => 503
  await gateway.ping(deviceId, ['first'])
  /** Lets time pass in steps, with real sockets in between. */
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 5_000) {
      await clock.advance(5_000)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }
  await pass(2 * 60_000)
  await until('it is known to fail', async () => (await show()).failing_since !== null)
  assert.equal((await show()).paused_at, null)
  for (let n = 0; (await show()).paused_at === null; n++) {
    assert.ok(n < 60, 'it is paused')
    await gateway.ping(deviceId, [`while failing ${n}`], `chat ${n}`)
    await pass(60_000)
  }
  const attempts = receiver.received.length
  await gateway.ping(deviceId, ['while paused'], 'another chat')
  await pass(60_000)
  assert.equal(receiver.received.length, attempts)
  for (const [rest, body] of [
    ['/test', undefined],
    ['/redrive', { all: true }],
  ] as const)
    assert.equal((await gateway.as(token, 'POST', path + rest, body)).status, 409, rest)
  const { data: told } = await gateway.as(token, 'GET', '/events?types=webhook.*')
  assert.deepEqual(
    // biome-ignore lint/suspicious/noExplicitAny: as the reply is
    told.events.map((event: any) => [event.event_type, event.data.webhook_id, event.data.last_error]),
    [['webhook.paused', made.webhook_id, 'HTTP 503']],
  )

  receiver.answer = () => 200
  const { data: resumed } = await gateway.as(token, 'POST', `${path}/resume`)
  assert.deepEqual(resumed, { webhook_id: made.webhook_id, resumed: true })
  await until('what waited comes', () => receiver.received.some(({ event }) => event.data.message === 'while paused'))
  const { data: log } = await gateway.as(token, 'GET', '/events')
  const wanted = new Set<string>(log.events.map(({ id }: { id: string }) => id))
  await until('everything has come', async () => {
    // again: what had become too old while it was paused is given up only when its turn comes
    await gateway.as(token, 'POST', `${path}/redrive`, { all: true })
    const delivered = receiver.received.slice(attempts).map(({ event }) => event.id)
    return wanted.size > 0 && [...wanted].every((id) => delivered.includes(id))
  })
  assert.deepEqual(
    log.events.map((event: { event_type: string }) => event.event_type).filter((type: string) => type !== 'test.ping'),
    ['webhook.paused', 'webhook.resumed'],
  )
  assert.deepEqual([(await show()).paused_at, (await show()).failing_since], [null, null])
})

test('with WEBHOOKS_ENABLED=false the log goes on, its readers read, and nothing is sent', async () => {
  await using gateway = await openEventGateway({ webhooksEnabled: false })
  await using receiver = await startReceiver()
  const { deviceId, token } = await gateway.newDevice()
  const { data: made } = await gateway.as(token, 'POST', '/webhooks', { url: receiver.url })
  await gateway.ping(deviceId, ['logged'])
  const { data } = await gateway.as(token, 'GET', '/events')
  assert.equal(data.events[0].data.message, 'logged')
  assert.equal((await gateway.as(token, 'POST', `/webhooks/${made.webhook_id}/test`)).status, 409)
  assert.equal((await gateway.as(token, 'POST', `/webhooks/${made.webhook_id}/redrive`, { all: true })).status, 409)
  assert.equal((await gateway.as(token, 'GET', `/webhooks/${made.webhook_id}/stats`)).data.pending, 0)
  assert.equal(receiver.received.length, 0)
})
