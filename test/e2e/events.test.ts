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

    test('what waited at WhatsApp is announced, told, and then said to be all', async () => {
      const hal = await stage.whatsapp.person('Hal')
      const sent = await ada.device.send(hal, 'before the pause')
      await hal.message('before the pause')
      await ada.device.event('message.delivered', { message_id: sent.message_id })
      const start = (await readLog()).at(-1)!.sequence
      await stage.stop()
      for (let n = 0; n < 3; n++) await hal.write(ada.phone, `while away ${n}`)
      await hal.read(ada.phone, sent.message_id)
      await stage.start()
      const isNew = ({ sequence }: { readonly sequence: number }) => sequence > start
      const completed = await ada.device.event('offline.sync_completed', isNew)
      const preview = await ada.device.event('offline.sync_preview', isNew)
      assert.equal(completed.data.count, preview.data.total)
      assert.deepEqual([preview.data.messages, preview.data.receipts], [3, 1])
      const between = (await readLog(start)).filter(
        ({ sequence }) => sequence > preview.sequence && sequence < completed.sequence,
      )
      const told = between.filter(({ data, event_type }) => event_type === 'message.received' && data.offline === true)
      assert.deepEqual(
        told.map(({ data }) => data.text),
        [0, 1, 2].map((n) => `while away ${n}`),
      )
      assert.ok(between.some(({ event_type, data }) => event_type === 'message.read' && data.from_lid === hal.lid))
      await ada.device.untilConnected()
    })

    test('contact.merged: known as a LID and as a number apart, then a message shows that they are one', async () => {
      const dora = await stage.whatsapp.person('Dora')
      // The phone's own changes name a chat once: by its LID, or, where it is not moved over yet, by its number.
      await ada.phone.call('POST', '/chat', { chat: dora.lid, action: 'archive' })
      const byLid = await ada.device.event('chat.archive', { chat: dora.lid })
      await ada.phone.call('POST', '/chat', { chat: dora.jid, action: 'pin' })
      const byNumber = await ada.device.event('chat.pin', { chat: dora.jid })
      assert.deepEqual([byLid.data.chat_pn, byLid.data.chat_lid], [null, dora.lid])
      assert.deepEqual([byNumber.data.chat_pn, byNumber.data.chat_lid], [dora.jid, null])
      assert.notEqual(byLid.data.contact_id, byNumber.data.contact_id)
      assert.notEqual(byLid.data.conversation_id, byNumber.data.conversation_id)

      await dora.write(ada.phone, 'that is me, both times')
      const { data } = await ada.device.event('message.received', { text: 'that is me, both times' })
      const merged = await ada.device.event('contact.merged', { pn: dora.jid })
      assert.deepEqual(merged.data, {
        jid: ada.phone.number,
        contact_id: byLid.data.contact_id,
        merged_contact_id: byNumber.data.contact_id,
        pn: dora.jid,
        lid: dora.lid,
        conversation_id: byLid.data.conversation_id,
        merged_conversation_id: byNumber.data.conversation_id,
      })
      assert.deepEqual([data.contact_id, data.conversation_id], [byLid.data.contact_id, byLid.data.conversation_id])
      const log = await readLog()
      assert.ok(
        log.findIndex(({ id }) => id === merged.id) <
          log.findIndex((event) => event.data.message_id === data.message_id),
        'the merge is told before the message that showed it',
      )
      // under either name it is the one that stays
      await ada.phone.call('POST', '/chat', { chat: dora.jid, action: 'pin', on: false })
      const later = await ada.device.event('chat.pin', { chat: dora.jid, pinned: false })
      assert.deepEqual(
        [later.data.chat_pn, later.data.chat_lid, later.data.contact_id, later.data.conversation_id],
        [dora.jid, dora.lid, byLid.data.contact_id, byLid.data.conversation_id],
      )
    })

    test('contact.merged: a send looks the number up, and that shows it', async () => {
      const gil = await stage.whatsapp.person('Gil')
      await ada.phone.call('POST', '/chat', { chat: gil.lid, action: 'archive' })
      const byLid = await ada.device.event('chat.archive', { chat: gil.lid })
      await ada.phone.call('POST', '/chat', { chat: gil.jid, action: 'pin' })
      const byNumber = await ada.device.event('chat.pin', { chat: gil.jid })
      const sent = await ada.device.send(gil, 'hello Gil')
      await gil.message('hello Gil')
      const merged = await ada.device.event('contact.merged', { pn: gil.jid })
      assert.deepEqual(
        [merged.data.contact_id, merged.data.merged_contact_id, merged.data.conversation_id],
        [byLid.data.contact_id, byNumber.data.contact_id, byLid.data.conversation_id],
      )
      assert.equal(merged.data.merged_conversation_id, byNumber.data.conversation_id)
      const status = await ada.device.event('message.status', { message_id: sent.message_id, status: 'server_ack' })
      assert.ok(merged.sequence < status.sequence)
      assert.deepEqual(
        [status.data.chat_pn, status.data.chat_lid, status.data.contact_id, status.data.conversation_id],
        [gil.jid, gil.lid, byLid.data.contact_id, byLid.data.conversation_id],
      )
    })

    test('whatever happens with a person names them both ways, and always as the same contact and conversation', async () => {
      const fay = await stage.whatsapp.person('Fay')
      const start = (await readLog()).at(-1)!.sequence
      const written = await fay.write(ada.phone, 'hello from Fay')
      const known = (await ada.device.event('message.received', { message_id: written })).data
      assert.deepEqual([known.from_pn, known.from_lid], [fay.jid, fay.lid])
      const sent = await ada.device.send(fay, 'hello Fay')
      await fay.message('hello Fay')
      await fay.read(ada.phone, sent.message_id)
      await ada.device.ok('POST', '/presence/subscribe', { jid: fay.jid })
      await fay.call('POST', '/availability', { available: false })
      await fay.call('POST', '/availability', { available: true })
      await fay.call('POST', '/typing', { to: ada.phone.number, state: 'composing' })
      await ada.phone.call('POST', '/chat', { chat: fay.number, action: 'star', message_id: written })
      const poll = await ada.device.ok('POST', `/chats/${fay.jid}/polls`, {
        question: 'Tea?',
        options: ['Yes', 'No'],
      })
      await fay.message(poll.data.message_id)
      await fay.call('POST', '/vote', { message_id: poll.data.message_id, options: ['Yes'] })
      const wanted = [
        'message.received',
        'message.delivered',
        'message.read',
        'message.status',
        'presence.update',
        'chat.presence',
        'chat.star',
        'poll.created',
        'poll.vote',
        'poll.update',
        'poll.vote_decrypted',
      ]
      const ofFay = (type: string) => ada.device.events(type).filter((event) => event.sequence > start)
      await until('all of it is told', () => wanted.every((type) => ofFay(type).length > 0))
      await ada.device.event('message.status', { message_id: sent.message_id, status: 'read' })
      for (const { data, event_type } of wanted.flatMap(ofFay)) {
        const person = data.is_from_me === true ? undefined : (data.from ?? data.sender)
        assert.equal(data.conversation_id, known.conversation_id, event_type)
        if ('chat' in data)
          assert.deepEqual([data.chat_pn, data.chat_lid, data.is_group], [fay.jid, fay.lid, false], event_type)
        if (person === undefined) continue
        assert.equal(data.contact_id, known.contact_id, event_type)
        const names = 'from' in data ? [data.from_pn, data.from_lid] : [data.sender_pn, data.sender_lid]
        assert.deepEqual(names, [fay.jid, fay.lid], event_type)
      }
    })

    test('pushname.update: a message shows that its sender goes by another name', async () => {
      const ida = await stage.whatsapp.person('Ida')
      const before = await ida.write(ada.phone, 'as Ida')
      const known = (await ada.device.event('message.received', { message_id: before })).data
      await ida.call('PATCH', '', { name: 'Ida Maria' })
      const after = await ida.write(ada.phone, 'as Ida Maria')
      const shown = await ada.device.event('message.received', { message_id: after })
      assert.equal(shown.data.push_name, 'Ida Maria')
      const renamed = await ada.device.event('pushname.update', { new: 'Ida Maria' })
      assert.deepEqual(renamed.data, {
        jid: ada.phone.number,
        target: shown.data.from,
        target_alt: shown.data.from === ida.lid ? ida.jid : ida.lid,
        target_pn: ida.jid,
        target_lid: ida.lid,
        contact_id: known.contact_id,
        conversation_id: known.conversation_id,
        old: 'Ida',
        new: 'Ida Maria',
      })
      assert.equal(renamed.sequence, shown.sequence - 1)
      await ida.write(ada.phone, 'still Ida Maria')
      await ada.device.event('message.received', { text: 'still Ida Maria' })
      assert.equal(ada.device.events('pushname.update').length, 1)
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
      // nothing but failure for so long pauses an endpoint
      await stage.restart({ WEBHOOK_MAX_AGE: '4s' })
      await ada.device.untilConnected()
      const { data: made } = await ada.device.ok('POST', '/webhooks', { url: bad.url, events: ['message.received'] })
      const { data: general } = await stage.admin.ok('POST', '/admin/webhooks', {
        url: bad.url,
        events: ['message.received'],
      })
      const { next_after: place } = (await stage.admin.ok('GET', '/admin/events?types=webhook.*')).data
      const path = `/webhooks/${made.id}`
      const generalPath = `/admin/webhooks/${general.id}`
      const people = await Promise.all(
        Array.from({ length: 5 }, (_, n) => stage.whatsapp.person(`Writer ${n} ${database}`)),
      )
      const pausedOnes = async () =>
        (await stage.admin.ok('GET', `/admin/events?after=${place}&types=webhook.paused`)).data.events as Envelope[]
      let round = 0
      const events = await until(
        'both are paused',
        async () => {
          round += 1
          for (const person of people) await person.write(ada.phone, `round ${round} from ${person.name}`)
          const found = await pausedOnes()
          return found.length >= 2 && found
        },
        30_000,
      )
      const paused = await ada.device.event('webhook.paused', { webhook_id: made.id })
      assert.equal(paused.data.host, new URL(bad.url).host)
      assert.match(String(paused.data.last_error), /HTTP 400/)
      const since = Date.parse(String(paused.data.failing_since))
      assert.ok(Date.parse(String(paused.data.paused_at)) - since >= 4_000)
      // that of every device belongs to none: the operator's log has it, and no device's
      const ofGeneral = events.find(({ data }) => data.webhook_id === general.id)!
      assert.equal(ofGeneral.device_id, '00000000-0000-0000-0000-000000000000')
      assert.match(String(ofGeneral.data.last_error), /HTTP 400/)
      assert.deepEqual(idsOf(events).toSorted(), [paused.id, ofGeneral.id].toSorted())
      assert.ok(!(await readLog()).some(({ id }) => id === ofGeneral.id))
      const shown = (await ada.device.ok('GET', path)).data.webhook
      assert.ok(shown.paused_at !== null && shown.failing_since !== null)
      assert.ok((await stage.admin.ok('GET', generalPath)).data.webhook.paused_at !== null)
      await ada.device.refused(409, 'POST', `${path}/redrive`, { all: true })
      await ada.device.refused(409, 'POST', `${path}/test`)

      await stage.restart()
      await ada.device.untilConnected()
      assert.deepEqual((await ada.device.ok('GET', path)).data.webhook.paused_at, shown.paused_at)
      const tried = bad.received.length
      await people[0]!.write(ada.phone, 'too early')
      await people[1]!.write(ada.phone, 'not for it')
      await ada.device.event('message.received', { text: 'not for it' })
      assert.equal(bad.received.length, tried, 'nothing is sent while it is paused')
      bad.answer = ({ event }) => (event.data.text === 'not for it' ? 410 : 200)
      assert.equal((await ada.device.ok('POST', `${path}/resume`)).data.resumed, true)
      await ada.device.event('webhook.resumed', { webhook_id: made.id })
      await bad.next(({ data }) => data.text === 'too early')
      const letters = await until('one more is given up', async () => {
        const { data } = await ada.device.ok('GET', `${path}/dead-letters`)
        return data.dead_letters[0].event.data.text === 'not for it' && data.dead_letters
      })
      assert.ok(letters.length > 1, 'with those that became too old')
      bad.answer = () => 200
      const { data: redriven } = await ada.device.ok('POST', `${path}/redrive`, {
        delivery_ids: [letters[0].delivery_id],
      })
      assert.deepEqual(redriven, { requeued: 1, skipped: [] })
      const again = await bad.next((event) => (event as { redelivered?: boolean }).redelivered === true)
      assert.equal(again.event.id, letters[0].event.id)
      assert.equal((await ada.device.ok('POST', `${path}/redrive`, { all: true })).data.requeued, letters.length - 1)
      await until('nothing is left', async () => {
        const { data } = await ada.device.ok('GET', `${path}/stats`)
        return data.pending === 0 && data.dead_letters === 0
      })
      assert.equal((await stage.admin.ok('POST', `${generalPath}/resume`)).data.resumed, true)
      await until('that is told as well', async () => {
        const { data } = await stage.admin.ok('GET', `/admin/events?after=${place}&types=webhook.resumed`)
        return (data.events as Envelope[]).some((event) => event.data.webhook_id === general.id)
      })
      await stage.admin.ok('DELETE', generalPath)
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
