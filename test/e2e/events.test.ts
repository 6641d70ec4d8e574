import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { WebSocket } from 'ws'
import { startReceiver } from '../../scripts/lib/receiver.ts'
import type { Envelope } from '../../src/events/envelope.ts'
import { type DatabaseKind, type Linked, Stage } from '../support/e2e/stage.ts'
import { until } from '../support/e2e/until.ts'
import { stopTestServer } from '../support/postgres.ts'

const idsOf = (envelopes: readonly { readonly id: string }[]) => envelopes.map(({ id }) => id)

for (const database of ['sqlite', 'postgres'] as const satisfies readonly DatabaseKind[])
  describe(`the event log, ${database}`, () => {
    let stage: Stage
    let ada: Linked
    before(async () => {
      stage = await Stage.open({ database })
      ada = await stage.linked('Ada')
    })
    after(async () => {
      await stage?.[Symbol.asyncDispose]()
      if (database === 'postgres') await stopTestServer()
    })

    /** The device's log, page by page. */
    const readLog = async (after = 0): Promise<readonly Envelope[]> => {
      const log: Envelope[] = []
      for (let cursor = after; ; ) {
        const { data } = await ada.device.ok('GET', `/events?after=${cursor}&limit=7`)
        log.push(...data.events)
        if (!data.more) return log
        cursor = data.next_after
      }
    }

    test('what comes from WhatsApp reaches every kind of reader, each event once and in order', async () => {
      const start = (await readLog()).at(-1)!.sequence
      const port = stage.gateway.port
      const headers = { authorization: `Bearer ${ada.device.token}` }
      const socket = new WebSocket(`ws://127.0.0.1:${port}/events/ws?after=${start}`, { headers })
      const overSocket: Envelope[] = []
      socket.on('message', (data) => overSocket.push(JSON.parse(String(data)) as Envelope))
      const stop = new AbortController()
      const stream = await fetch(`http://127.0.0.1:${port}/events/stream?after=${start}`, {
        headers,
        signal: stop.signal,
      })
      assert.equal(stream.status, 200)
      let streamed = ''
      const reading = (async () => {
        for await (const chunk of stream.body!.pipeThrough(new TextDecoderStream())) streamed += chunk
      })().catch((error: Error) => assert.equal(error.name, 'AbortError'))
      const overStream = () => [...streamed.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data!) as Envelope)

      const { data: everywhere } = await stage.admin.ok('POST', '/admin/webhooks', {
        url: stage.inbox.url,
        events: ['message.*'],
      })
      const { data: adminStart } = await stage.admin.ok('GET', '/admin/events?limit=200')
      const ben = await stage.whatsapp.person('Ben')
      for (let n = 0; n < 5; n++) {
        await ben.write(ada.phone, `from Ben ${n}`)
        const sent = await ada.device.send(ben, `to Ben ${n}`)
        await ben.message(`to Ben ${n}`)
        await ben.read(ada.phone, sent.message_id)
        await ada.device.event('message.read', { message_id: sent.message_id })
      }
      const log = await until('the log has settled', async () => {
        const before = await readLog(start)
        await new Promise((resolve) => setTimeout(resolve, 300))
        const now = await readLog(start)
        return now.length >= 20 && now.length === before.length && now
      })
      await until('the others have it too', () => overSocket.length >= log.length && overStream().length >= log.length)
      assert.deepEqual(
        log.map(({ sequence }) => sequence),
        log.map((_, index) => start + 1 + index),
      )
      assert.deepEqual(idsOf(overSocket), idsOf(log))
      assert.deepEqual(idsOf(overStream()), idsOf(log))

      const { data: page } = await stage.admin.ok('GET', `/admin/events?after=${adminStart.next_after}&limit=200`)
      const ofAll = (page.events as Envelope[]).filter(({ device_id }) => device_id === ada.device.id)
      assert.deepEqual(
        idsOf(ofAll),
        idsOf(log).filter((id) => idsOf(ofAll).includes(id)),
      )
      assert.ok(ofAll.length >= 20)
      // the device's own webhook, and that of every device
      for (const { id, event_type } of log.filter((event) => event.event_type.startsWith('message.')))
        await until(`${event_type} came twice`, () => {
          return stage.inbox.receiver.received.filter(({ event }) => event.id === id).length >= 2
        })
      const { data: stats } = await stage.admin.ok('GET', `/admin/webhooks/${everywhere.webhook_id}/stats`)
      assert.ok(stats.recent.deliveries > 0 && stats.recent.latency_ms.p99 >= stats.recent.latency_ms.p50)
      for (const [method, rest] of [
        ['GET', ''],
        ['GET', '/logs'],
        ['GET', '/dead-letters'],
        ['POST', '/resume'],
        ['POST', '/test'],
        ['DELETE', ''],
      ] as const) {
        await stage.admin.ok(method, `/admin/webhooks/${everywhere.webhook_id}${rest}`)
        await stage.admin.refused(404, method, `/admin/webhooks/999999${rest}`)
      }
      await stage.admin.ok('GET', '/admin/webhooks')
      stop.abort()
      await reading
      socket.close()
    })

    test('a cursor holds through a restart; readers are told goodbye', async () => {
      const before = await readLog()
      const socket = new WebSocket(`ws://127.0.0.1:${stage.gateway.port}/events/ws`, {
        headers: { authorization: `Bearer ${ada.device.token}` },
      })
      await new Promise((resolve) => socket.once('open', resolve))
      const closed = new Promise((resolve) => socket.once('close', resolve))
      await stage.restart()
      assert.equal(await closed, 1001)
      await ada.device.untilConnected()
      assert.deepEqual(idsOf((await readLog()).slice(0, before.length)), idsOf(before))
    })

    test('contact.merged: known as a LID and as a number apart, then known to be one', async () => {
      const dora = await stage.whatsapp.person('Dora')
      // As stanzas without the other name beside leave it; the simulated service always gives both.
      const { intake } = stage.gateway.storage
      for (const [name, party] of [
        [dora.lid, { lid: dora.lid, pn: undefined }],
        [dora.jid, { lid: undefined, pn: dora.jid }],
      ] as const)
        await intake.commit(ada.device.id, {
          key: `earlier ${name}`,
          chat: name,
          chatParty: party,
          senderParty: party,
          events: () => [],
        })
      await dora.write(ada.phone, 'that is me, both times')
      const { data } = await ada.device.event('message.received', { text: 'that is me, both times' })
      const merged = await ada.device.event('contact.merged', { contact_id: data.contact_id })
      assert.deepEqual([merged.data.pn, merged.data.lid], [dora.jid, dora.lid])
      assert.notEqual(merged.data.merged_contact_id, data.contact_id)
      const log = await readLog()
      assert.ok(
        log.findIndex(({ id }) => id === merged.id) <
          log.findIndex((event) => event.data.message_id === data.message_id),
        'the merge is told before the message that showed it',
      )
    })

    test('message.played and chat.clear', async () => {
      const emil = await stage.whatsapp.person('Emil')
      const sent = await ada.device.send(emil, 'as if it were a voice note')
      await emil.message('as if it were a voice note')
      await emil.call('POST', '/read', { chat: ada.phone.number, message_ids: [sent.message_id], played: true })
      const played = await ada.device.event('message.played', { message_id: sent.message_id })
      assert.deepEqual([played.data.from_pn, played.data.is_from_me], [emil.jid, false])
      await ada.phone.call('POST', '/chat', { chat: emil.number, action: 'clear' })
      const cleared = await ada.device.event('chat.clear')
      assert.equal(cleared.data.conversation_id, played.data.conversation_id)
    })

    test('webhook.paused and webhook.resumed: what was given up meanwhile is sent again, marked', async () => {
      await using bad = await startReceiver()
      bad.answer = () => 400
      const { data: made } = await ada.device.ok('POST', '/webhooks', { url: bad.url, events: ['message.received'] })
      const path = `/webhooks/${made.id}`
      // it has been failing for two days
      await stage.gateway.storage.webhooks.setHealth(made.id, {
        failingSince: Date.now() - 2 * 86_400_000,
        pausedAt: undefined,
      })
      await stage.restart()
      await ada.device.untilConnected()
      const people = await Promise.all(
        Array.from({ length: 10 }, (_, n) => stage.whatsapp.person(`Writer ${n} ${database}`)),
      )
      for (const person of people) await person.write(ada.phone, `hello from ${person.name}`)
      const paused = await ada.device.event('webhook.paused', { webhook_id: made.id })
      assert.equal(paused.data.host, new URL(bad.url).host)
      assert.match(String(paused.data.last_error), /^HTTP 400/)
      const shown = (await ada.device.ok('GET', path)).data.webhook
      assert.ok(shown.paused_at !== null && shown.failing_since !== null)
      await ada.device.refused(409, 'POST', `${path}/redrive`, { all: true })
      await ada.device.refused(409, 'POST', `${path}/test`)

      bad.answer = ({ event }) => (String(event.data.text).endsWith(`Writer 0 ${database}`) ? 410 : 200)
      assert.equal((await ada.device.ok('POST', `${path}/resume`)).data.resumed, true)
      await ada.device.event('webhook.resumed', { webhook_id: made.id })
      const letters = await until('one is given up', async () => {
        const { data } = await ada.device.ok('GET', `${path}/dead-letters`)
        return data.dead_letters.length === 1 && data.dead_letters
      })
      bad.answer = () => 200
      const { data: redriven } = await ada.device.ok('POST', `${path}/redrive`, {
        delivery_ids: [letters[0].delivery_id],
      })
      assert.deepEqual(redriven, { requeued: 1, skipped: [] })
      const again = await bad.next((event) => (event as { redelivered?: boolean }).redelivered === true)
      assert.equal(again.event.id, letters[0].event.id)
      await until('nothing is left', async () => {
        const { data } = await ada.device.ok('GET', `${path}/stats`)
        return data.pending === 0 && data.dead_letters === 0
      })
      await ada.device.ok('DELETE', path)
      for (const [method, rest] of [
        ['GET', '/dead-letters'],
        ['GET', '/stats'],
        ['POST', '/resume'],
      ] as const)
        await ada.device.refused(404, method, path + rest)
      stage.inbox.assertSchemas()
    })
  })
