import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import type { WebhookInbox } from '../support/e2e/inbox.ts'
import { type DatabaseKind, type Linked, Stage } from '../support/e2e/stage.ts'
import { until } from '../support/e2e/until.ts'
import { stopTestServer } from '../support/postgres.ts'

for (const database of ['sqlite', 'postgres'] as const satisfies readonly DatabaseKind[])
  describe(`webhooks fed by real events, ${database}`, () => {
    let stage: Stage
    let inbox: WebhookInbox
    let ada: Linked

    before(async () => {
      stage = await Stage.open({ database, env: { WEBHOOK_MAX_PER_DEVICE: '3', LOG_FORMAT: 'text' } })
      inbox = stage.inbox
      ada = await stage.linked('Ada')
    })
    after(async () => {
      await stage?.[Symbol.asyncDispose]()
      if (database === 'postgres') await stopTestServer()
    })

    test('made, listed, shown, changed, deleted; the secret is shown once', async () => {
      const device = await stage.newDevice()
      const url = `${inbox.url}a?b=c`
      const created = await device.ok('POST', '/webhooks', {
        url,
        events: ['message.*', 'connection.connected', 'message.*'],
        secret: 'a secret of at least sixteen',
        headers: { 'X-Tenant': 'acme' },
      })
      assert.equal(created.data.secret, 'a secret of at least sixteen')
      assert.deepEqual(
        [created.data.webhook_id, created.data.url, created.data.events, created.data.active],
        [created.data.id, url, ['message.*', 'connection.connected'], true],
      )
      const path = `/webhooks/${created.data.id}`
      const { data } = await device.ok('GET', path)
      assert.deepEqual(data.webhook.header_names, ['X-Tenant'])
      const list = await device.ok('GET', '/webhooks')
      assert.deepEqual(list.data.webhooks, [data.webhook])
      for (const text of [list.text, JSON.stringify(data)]) {
        assert.ok(!text.includes('sixteen'), 'no secret')
        assert.ok(!text.includes('acme'), 'no header value')
      }
      await device.ok('PATCH', path, { active: false })
      const changed = (await device.ok('GET', path)).data.webhook
      assert.deepEqual({ ...changed, updated_at: '' }, { ...data.webhook, active: false, updated_at: '' })
      await device.ok('PATCH', path, { events: [] })
      assert.deepEqual((await device.ok('GET', path)).data.webhook.events, [])
      await device.ok('DELETE', path)
      await device.refused(404, 'GET', path)
      assert.deepEqual((await device.ok('GET', '/webhooks')).data.webhooks, [])
    })

    test('bad input is refused with the field named', async () => {
      const device = await stage.newDevice()
      const { url } = inbox
      const bad: readonly [unknown, string][] = [
        [{}, 'url'],
        [{ url: '' }, 'url'],
        [{ url: 7 }, 'url'],
        [{ url: 'not a url' }, 'url'],
        [{ url: 'ftp://example.com/x' }, 'url'],
        [{ url: 'https://user:pass@example.com/' }, 'url'],
        [{ url: 'https://10.0.0.1/hook' }, 'url'],
        [{ url: 'https://169.254.169.254/latest' }, 'url'],
        [{ url: 'https://[::1]/hook' }, 'url'],
        [{ url: 'https://[::ffff:10.0.0.1]/hook' }, 'url'],
        [{ url: 'https://0x0a000001/hook' }, 'url'],
        [{ url: `https://example.com/${'x'.repeat(2048)}` }, 'url'],
        [{ url, events: ['message.recieved'] }, 'events[0]'],
        [{ url, events: ['*', 'nothing.*'] }, 'events[1]'],
        [{ url, events: 'message.received' }, 'events'],
        [{ url, secret: 'short' }, 'secret'],
        [{ url, active: 'yes' }, 'active'],
        [{ url, headers: { Host: 'x' } }, 'headers.Host'],
        [{ url, headers: { 'X-Webhook-Signature': 'x' } }, 'headers.X-Webhook-Signature'],
        [{ url, headers: { 'X-Bad': 'a\r\nb: c' } }, 'headers.X-Bad'],
      ]
      for (const [body, field] of bad) {
        const answer = await device.refused(400, 'POST', '/webhooks', body)
        assert.equal(answer.data.field, field, JSON.stringify(body).slice(0, 100))
      }
      const { id } = await device.listen()
      for (const [body, field] of bad.filter(([body]) => Object.keys(body as object).length > 0)) {
        const answer = await device.refused(400, 'PATCH', `/webhooks/${id}`, body)
        assert.equal(answer.data.field, field, JSON.stringify(body).slice(0, 100))
      }
      for (const [method, suffix] of [
        ['GET', ''],
        ['PATCH', ''],
        ['DELETE', ''],
        ['GET', '/logs'],
        ['POST', '/test'],
      ] as const) {
        const body = method === 'PATCH' ? { active: true } : undefined
        await device.refused(404, method, `/webhooks/99999999${suffix}`, body)
        assert.equal((await device.refused(400, method, `/webhooks/x${suffix}`, body)).data.field, 'webhook_id')
      }
    })

    test('a device has as many as it may have, also when asked all at once', async () => {
      const device = await stage.newDevice()
      const answers = await Promise.all(
        Array.from({ length: 10 }, () =>
          device.call('POST', '/webhooks', { body: { url: inbox.url, events: ['test.ping'] } }),
        ),
      )
      assert.equal(answers.filter(({ status }) => status === 200 || status === 201).length, 3)
      assert.equal(answers.filter(({ status }) => status === 409).length, 7)
    })

    test('the test event goes to the one addressed, signed, and stands in its log', async () => {
      const device = await stage.newDevice()
      const [one, other] = [await device.listen(['message.received']), await device.listen()]
      const { data } = await device.ok('POST', `/webhooks/${one.id}/test`)
      const ping = await device.event('test.ping')
      assert.equal(ping.id, data.event_id)
      assert.ok(inbox.isSigned(ping.id, one.secret) && !inbox.isSigned(ping.id, other.secret))
      const entry = await until('the log entry', async () => {
        return (await device.ok('GET', `/webhooks/${one.id}/logs`)).data.logs[0]
      })
      assert.deepEqual(
        [entry.event_type, entry.status, entry.attempt_count, entry.last_error, entry.last_status_code],
        ['test.ping', 'success', 1, '', 200],
      )
      assert.deepEqual((await device.ok('GET', `/webhooks/${other.id}/logs`)).data.logs, [])
      await device.ok('PATCH', `/webhooks/${one.id}`, { active: false })
      await device.refused(409, 'POST', `/webhooks/${one.id}/test`)
    })

    test('a receiver that repeats its request puts no credential into logs, dead letters or replies', async () => {
      const device = await stage.newDevice()
      let heard = ''
      const echo = createServer((request, response) => {
        heard = `${request.url} ${JSON.stringify(request.headers)}`
        // long, so that the kept part ends within the last one
        response.writeHead(410).end(`${heard} ${'.'.repeat(985 - heard.length)} ${request.headers['x-key']}`)
      })
      await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve))
      const credentials = [
        'hush-hush-token',
        'open sesame',
        'the-key-of-the-tenant-that-is-long',
        'a secret of the echo',
      ]
      const { data: made } = await device.ok('POST', '/webhooks', {
        url: `http://127.0.0.1:${(echo.address() as AddressInfo).port}/hook?token=${credentials[0]}`,
        secret: credentials[3],
        headers: {
          Authorization: `Basic ${Buffer.from(`me:${credentials[1]}`).toString('base64')}`,
          'X-Key': `Key ${credentials[2]}`,
        },
      })
      await device.ok('POST', `/webhooks/${made.id}/test`)
      const letter = await until('it is given up', async () => {
        return (await device.ok('GET', `/webhooks/${made.id}/dead-letters`)).data.dead_letters[0]
      })
      echo.close()
      assert.ok(heard.includes(credentials[2]!) && heard.length < 900)
      assert.match(letter.last_error, /^HTTP 410: /)
      const replies = await Promise.all(
        ['', '/logs', '/dead-letters', '/stats'].map((rest) => device.ok('GET', `/webhooks/${made.id}${rest}`)),
      )
      for (const text of [...replies.slice(1).map((reply) => reply.text), ...stage.log])
        for (const credential of [...credentials, 'the-key-of', Buffer.from(`me:${credentials[1]}`).toString('base64')])
          assert.ok(!text.includes(credential), `${credential} in ${text}`)
    })

    test('a received text goes to whoever wants it: headers, both signatures, envelope', async () => {
      const { data: hook } = await ada.device.ok('POST', '/webhooks', {
        url: inbox.url,
        events: ['message.received'],
        headers: { Authorization: 'Bearer of news' },
      })
      const friend = await stage.whatsapp.person('Friend')
      const id = await friend.write(ada.phone, 'for the subscriber')
      // the other webhook of the device gets the same event: two requests with the same id
      await until('both webhooks have it', () => {
        return inbox.receiver.received.filter(({ event }) => event.data.message_id === id).length === 2
      })
      const requests = inbox.receiver.received.filter(({ event }) => event.data.message_id === id)
      assert.equal(new Set(requests.map(({ event }) => event.id)).size, 1)
      const mine = requests.find(({ headers }) => headers.authorization === 'Bearer of news')!
      const { headers, raw, event } = mine
      assert.deepEqual(
        [headers['x-webhook-event'], headers['x-webhook-id'], headers['x-webhook-attempt'], headers['content-type']],
        ['message.received', event.id, '1', 'application/json'],
      )
      const hmac = (text: string | Buffer) => createHmac('sha256', hook.secret).update(text).digest('hex')
      assert.equal(headers['x-webhook-signature'], `sha256=${hmac(raw)}`)
      const time = headers['x-webhook-timestamp']
      const signed = Buffer.concat([Buffer.from(`${time}.`), raw])
      assert.equal(headers['x-webhook-signature-v2'], `t=${time},v1=${hmac(signed)}`)
      assert.deepEqual([event.device_id, event.attempt], [ada.device.id, 1])
      assert.ok(Number.isInteger(event.sequence))
      await ada.device.ok('DELETE', `/webhooks/${hook.id}`)
      const later = await friend.write(ada.phone, 'for one only')
      await ada.device.event('message.received', { message_id: later })
      assert.equal(inbox.receiver.received.filter(({ event }) => event.data.message_id === later).length, 1)
    })

    test('the log of a device has no gaps, and a chat is told in its order', async () => {
      const friends = await Promise.all(['One', 'Two', 'Three'].map((name) => stage.whatsapp.person(name)))
      for (let i = 0; i < 8; i++)
        await Promise.all(friends.map((friend) => friend.write(ada.phone, `${friend.name} ${i}`)))
      for (const friend of friends) await ada.device.event('message.received', { text: `${friend.name} 7` })
      const arrived = inbox.receiver.received.filter(({ event }) => event.device_id === ada.device.id)
      for (const friend of friends) {
        const texts = arrived
          .filter(({ event }) => event.event_type === 'message.received' && event.data.from_pn === friend.jid)
          .map(({ event }) => event.data.text)
        assert.deepEqual(
          texts,
          Array.from({ length: 8 }, (_, i) => `${friend.name} ${i}`),
        )
      }
      const sequences = [...new Set(arrived.map(({ event }) => event.sequence))].toSorted((a, b) => a - b)
      const first = sequences[0]!
      assert.deepEqual(
        sequences,
        sequences.map((_, index) => first + index),
      )
    })

    test('a receiver that is down gets everything, in order, when it is up again', async () => {
      const friend = await stage.whatsapp.person('Patient')
      let isDown = true
      inbox.receiver.answer = ({ event }) => (isDown && event.device_id === ada.device.id ? 503 : 200)
      const ids: string[] = []
      for (let i = 0; i < 5; i++) ids.push(await friend.write(ada.phone, `while down ${i}`))
      const failed = await until('a failed attempt in the log', async () => {
        const { data } = await ada.device.ok(
          'GET',
          `/webhooks/${(await ada.device.ok('GET', '/webhooks')).data.webhooks[0].id}/logs`,
        )
        return data.logs.find((log: { status: string }) => log.status === 'retrying')
      })
      assert.deepEqual([failed.last_status_code, failed.attempt_count >= 1], [503, true])
      const refusedOnes = inbox.receiver.received.length
      isDown = false
      const delivered = () =>
        inbox.receiver.received
          .slice(refusedOnes)
          .filter(({ event }) => event.event_type === 'message.received')
          .map(({ event }) => event.data.message_id)
      await until('all were delivered', () => ids.every((id) => delivered().includes(id)), 20_000)
      assert.deepEqual(
        delivered().filter((id) => ids.includes(id as string)),
        ids,
      )
      const repeated = inbox.receiver.received.filter(({ event }) => event.data.message_id === ids[0])
      assert.ok(repeated.length >= 2)
      assert.equal(new Set(repeated.map(({ event }) => event.id)).size, 1)
      assert.deepEqual(
        repeated.map(({ event }) => event.attempt),
        repeated.map((_, index) => index + 1),
      )
      const stats = (await stage.admin.ok('GET', '/admin/webhooks/stats')).data
      assert.ok(stats.success_deliveries > 0 && stats.success_rate > 0)
    })

    test('what was committed survives SIGKILL: delivered by the next process, under the same ids, in order', async () => {
      await stage.stop()
      await stage.startProcess()
      await ada.device.untilConnected()
      const friend = await stage.whatsapp.person('Witness')
      inbox.receiver.answer = ({ event }) => (event.device_id === ada.device.id ? 503 : 200)
      const ids: string[] = []
      for (let i = 0; i < 4; i++) ids.push(await friend.write(ada.phone, `before the end ${i}`))
      const first = await until('a first attempt', () =>
        inbox.receiver.received.find(({ event }) => event.data.message_id === ids[0]),
      )
      // acknowledged to WhatsApp means: it is in the database
      await until('WhatsApp was told that all are taken', async () => {
        return (await ada.phone.companions())[0]?.queue_length === 0
      })
      await stage.kill()
      // one comes while nobody is there
      ids.push(await friend.write(ada.phone, 'while dead'))
      inbox.receiver.answer = () => 200
      const before = inbox.receiver.received.length
      await stage.startProcess()
      const heard = () =>
        inbox.receiver.received.slice(before).filter(({ event }) => ids.includes(event.data.message_id as string))
      await until('all are told', () => new Set(heard().map(({ event }) => event.id)).size === ids.length, 20_000)
      assert.deepEqual([...new Set(heard().map(({ event }) => event.data.message_id))], ids)
      assert.equal(heard()[0]!.event.id, first.event.id)
      // and a text goes both ways with the process that came after
      await ada.device.untilConnected()
      await ada.device.send(friend, 'here again')
      await friend.message('here again')
    })

    test('nothing that the service saw was wrong', async () => {
      await stage.whatsapp.assertNoProblems()
      inbox.assertSchemas()
    })
  })
